"""What the demo model answers: pure functions from a chat's messages and tools to text or a tool call."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Messages = Sequence[Mapping[str, Any]]

QUOTED_OUTPUT_CHARS = 600
TITLE_WORDS = 7


@dataclass(frozen=True)
class ToolCall:
    """A call the model asks for; `arguments` are the tool's own, by name."""

    name: str
    arguments: Mapping[str, str]

    @property
    def json(self) -> str:
        """The arguments as OpenAI's API carries them."""
        return json.dumps(self.arguments)


# A request in words, the tool of OpenCode that serves it, and the arguments that the tool takes.
REQUESTS: tuple[tuple[re.Pattern[str], str, Callable[[re.Match[str]], dict[str, str]]], ...] = (
    (
        re.compile(r"^(?:please )?run(?: the command)?\s*:?\s+`?([^`\n]+)`?", re.IGNORECASE),
        "bash",
        lambda match: {"command": match[1].strip(), "description": "Runs what was asked for"},
    ),
    (
        re.compile(r"^(?:please )?write\s+`?([^\s:`]+)`?\s*:\s*(.+)", re.IGNORECASE | re.DOTALL),
        "write",
        lambda match: {"filePath": match[1], "content": match[2]},
    ),
    (
        re.compile(r"^(?:please )?read\s+`?([^\s`]+)`?\s*$", re.IGNORECASE),
        "read",
        lambda match: {"filePath": match[1]},
    ),
)

GREETING = (
    "Hello! I am the demo model of this workbench. I live inside the LLM proxy: I need no key, and I call nobody. "
    "You wrote: “{words}”. I cannot think about that, but I can show you that everything works. "
    "Ask me “run `ls -la`”, “write hello.txt: some text” or “read hello.txt”, and I use the agent's tools. "
    "For real answers, install a provider's key and choose one of its models."
)
ANSWER = "The tool answered:\n\n```\n{output}\n```\n\nThat went from the agent's tool through me to you."


def reply(messages: Messages, tools: Sequence[Mapping[str, Any]]) -> str | ToolCall:
    """Answer the chat `messages` (OpenAI's shape), given the `tools` on offer."""
    if messages and messages[-1]["role"] == "tool":
        return _quote(_text(messages[-1]))
    words = _last_words(messages)
    if any(message["role"] == "system" and "title" in _text(message)[:200].lower() for message in messages) and not tools:
        return _title(words)
    offered = {tool["function"]["name"] for tool in tools if "function" in tool}
    for pattern, tool, arguments in REQUESTS:
        match = pattern.match(words)
        if match and tool in offered:
            return ToolCall(tool, arguments(match))
    return GREETING.format(words=_shorten(words, 200))


def usage(messages: Messages, answer: str | ToolCall) -> dict[str, int]:
    """Token counts, estimated at four characters a token."""
    prompt = max(1, sum(len(_text(message)) for message in messages) // 4)
    completion = max(1, len(answer if isinstance(answer, str) else answer.json) // 4)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def words(answer: str) -> list[str]:
    """Cut an answer into the pieces that it is streamed in; joined, they are the answer."""
    return re.findall(r"\S+\s*|\s+", answer)


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(part.get("text", "") for part in content if part.get("type") == "text")


def _last_words(messages: Messages) -> str:
    return next((_text(message).strip() for message in reversed(messages) if message["role"] == "user"), "")


def _title(words: str) -> str:
    subject = words.removeprefix("Generate a title for this conversation:").strip().strip('"')
    title = " ".join(subject.split()[:TITLE_WORDS])
    return title[:1].upper() + title[1:50] or "New session"


def _quote(output: str) -> str:
    return ANSWER.format(output=_shorten(output.strip(), QUOTED_OUTPUT_CHARS))


def _shorten(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]} …"
