"""What the demo model answers."""

import json
from typing import Any

import pytest

from demo_script import GREETING, ToolCall, reply, usage, words

TOOLS = [{"type": "function", "function": {"name": name}} for name in ("bash", "edit", "read", "write")]


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


@pytest.mark.parametrize(
    "text", ["run `ls -la`", "run: ls -la", "run ls -la", "Run: `ls -la`.", "please run the command ls -la", " run ls -la\nthanks"]
)
def test_a_request_to_run_something_becomes_a_call_of_the_shell(text: str) -> None:
    answer = reply([user(text)], TOOLS)
    assert isinstance(answer, ToolCall)
    assert answer.name == "bash"
    assert json.loads(answer.json) == {"command": "ls -la", "description": "Runs what was asked for"}


@pytest.mark.parametrize(
    ("text", "tool", "arguments"),
    [
        ("write hello.txt: some text", "write", {"filePath": "hello.txt", "content": "some text"}),
        ("Write `a/b.py`: x\ny", "write", {"filePath": "a/b.py", "content": "x\ny"}),
        ("read hello.txt", "read", {"filePath": "hello.txt"}),
    ],
)
def test_files_are_written_and_read_with_the_agents_tools(text: str, tool: str, arguments: dict[str, str]) -> None:
    assert reply([user(text)], TOOLS) == ToolCall(tool, arguments)


@pytest.mark.parametrize("text", ["hello", "running is fun", "read this long story", "write me a poem", "I want to run", ""])
def test_anything_else_is_answered_in_words(text: str) -> None:
    assert reply([user(text)], TOOLS) == GREETING.format(words=text)


def test_a_tool_that_is_not_offered_is_not_called() -> None:
    assert isinstance(reply([user("run ls")], []), str)
    assert isinstance(reply([user("run ls")], [{"type": "web_search"}]), str)


def test_the_last_user_message_counts_also_in_parts() -> None:
    parts = [{"type": "image_url", "image_url": {}}, {"type": "text", "text": "run ls"}]
    assert isinstance(reply([user("hello"), {"role": "assistant", "content": None}, user(parts)], TOOLS), ToolCall)


def test_a_tools_output_is_quoted_and_shortened() -> None:
    short = reply([user("run ls"), {"role": "tool", "content": "a.txt\n"}], TOOLS)
    long = reply([user("run ls"), {"role": "tool", "content": "x" * 10_000}], TOOLS)
    assert isinstance(short, str) and "```\na.txt\n```" in short
    assert isinstance(long, str) and len(long) < 1_000


def test_a_title_is_made_of_the_users_words() -> None:
    system = {"role": "system", "content": "You are a title generator. You output ONLY a thread title."}
    messages = [system, user("Generate a title for this conversation:\n"), user("explain the code in src/ to me please now")]
    assert reply(messages, []) == "Explain the code in src/ to me"
    assert reply([system, user("")], []) == "New session"


def test_a_streamed_answer_is_the_whole_answer() -> None:
    text = " A  b\n\n```\nc\n``` "
    assert "".join(words(text)) == text


def test_usage_adds_up() -> None:
    counts = usage([user("x" * 400)], ToolCall("bash", {"command": "ls"}))
    assert counts["prompt_tokens"] == 100
    assert counts["total_tokens"] == counts["prompt_tokens"] + counts["completion_tokens"]
