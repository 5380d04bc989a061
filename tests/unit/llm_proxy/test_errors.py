"""What a keyless caller learns of an error."""

import json
import time
from typing import Any

import pytest

from errors import MAX_SENT, ErrorCleaner, ErrorEvents
from masking import Masker

KEY = "provider-key-0123456789"
MASKER = Masker([KEY])
CLEANER = ErrorCleaner(["https://api.openai.com/v1", "http://vllm.lan:8000/v1", ""])


def cleaned(status: int, body: Any) -> dict[str, Any]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    error: dict[str, Any] = json.loads(CLEANER.clean(status, raw, MASKER))["error"]
    assert sorted(error) == ["code", "message", "param", "type"]
    return error


def test_the_providers_words_and_names_stay() -> None:
    error = {"message": "Rate limit reached for gpt-5", "type": "tokens", "param": "messages[0].content", "code": "rate_limit_exceeded"}
    assert cleaned(429, {"error": error}) == error


@pytest.mark.parametrize(
    ("message", "clean"),
    [
        ("litellm.RateLimitError: RateLimitError: OpenAIException - Slow down", "Slow down"),
        ("litellm.BadRequestError: OpenAIException - Bad. Received Model Group=gpt-5\nAvailable Model Group Fallbacks=None", "Bad."),
        ('litellm.BadRequestError: AnthropicException - {"type":"error","error":{"message":"prompt is too long: 3 tokens > 2 maximum"}}',
         "prompt is too long: 3 tokens > 2 maximum"),
        ("litellm.APIError: b'{\"a\"", "b'{\"a\""),
        ("Oh\nTraceback (most recent call last):\n  File \"/app/lib/x.py\", line 3", "Oh"),
        ("Cannot connect to host api.openai.com:443 ssl:default", "Cannot connect to host [address] ssl:default"),
        ("see https://platform.openai.com/keys, or http://10.0.0.1:4000/x.", "see [address], or [address]"),
        ("no api.openai.com here, nor API.OPENAI.COM", "no [address] here, nor [address]"),
        ("at vllm.lan, 10.1.2.3:80, fe80::1:2:3:4, egress:3128", "at [address], [address], [address], [address]"),
        ("HTTPSConnectionPool(host='x.y', port=443)", "HTTPSConnectionPool(host=[address], port=443)"),
        ("in /app/lib/python3.13/site-packages/litellm/main.py", "in [file]"),
        ("LiteLLM 1.109.1 failed", "[version] failed"),
        (f"deployment {'a' * 64}", "deployment [id]"),
        (f"key {KEY} or {KEY[2:14]}", "key [masked] or [masked]"),
        ("messages.1.content.0.text: field required", "messages.1.content.0.text: field required"),
        ("no litellm.Router", "no Router"),
    ],
)  # fmt: skip
def test_the_message_says_what_and_not_where(message: str, clean: str) -> None:
    assert cleaned(400, {"error": {"message": message}})["message"] == clean


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"Internal Server Error", "Internal Server Error"),
        (b"", "The provider or the proxy failed; try again later"),
        (b"<html>502</html>", "The provider or the proxy failed; try again later"),
        (b'{"error": ', "The provider or the proxy failed; try again later"),
        (b"\xff", "\ufffd"),
        ({"detail": "Not admitted"}, "Not admitted"),
        ({"detail": {"error": "x"}}, "The provider or the proxy failed; try again later"),
        ({"error": "short"}, "short"),
        ({"error": {"message": ["x"]}}, "The provider or the proxy failed; try again later"),
        ([1], "The provider or the proxy failed; try again later"),
        (b'data: {"error": {"message": "early"}}\n\ndata: [DONE]\n\n', "early"),
    ],
)
def test_an_error_of_any_shape_becomes_one(body: Any, message: str) -> None:
    assert cleaned(500, body) == {"message": message, "type": "server_error", "param": None, "code": None}


@pytest.mark.parametrize("value", [KEY, "a b", "x" * 65, "", {"a": 1}, True, "sk-abcdefghijkl", "http://x", "9" * 30])
def test_only_a_short_plain_name_is_kept(value: Any) -> None:
    error = cleaned(400, {"error": {"message": "x", "type": value, "param": value, "code": value}})
    assert error == {"message": "x", "type": "invalid_request_error", "param": None, "code": None}


def test_a_context_that_is_too_long_has_its_code() -> None:
    message = "litellm.ContextWindowExceededError: litellm.BadRequestError: OpenAIException - This model's maximum context length is 8"
    assert cleaned(400, {"error": {"message": message, "code": "400"}}) == {
        "message": "This model's maximum context length is 8",
        "type": "invalid_request_error",
        "param": None,
        "code": "context_length_exceeded",
    }


def test_a_message_has_a_length() -> None:
    assert len(cleaned(400, {"error": {"message": "a b " * 10_000}})["message"]) == MAX_SENT
    assert len(CLEANER.clean(400, b"\xff" * 1_000_000, MASKER)) < 20_000


CHAT = b'data: {"id":"1"}\n\n'
ERROR = b'data: {"error": {"message": "at https://x", "code": 429}}\n\n'


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
@pytest.mark.parametrize("wrong", [ERROR, b"data: Oh, at https://x\n\n", b"Oh, at https://x\n\n", b"data: Oh, at https://x"])
def test_an_error_in_a_stream_is_found_wherever_it_is_cut(wrong: bytes, size: int) -> None:
    stream = CHAT + b": ping\n\n" + wrong + (CHAT + b"data: [DONE]\n\n" if wrong.endswith(b"\n") else b"")
    events = ErrorEvents(CLEANER, MASKER)
    out = b"".join(events.feed(stream[at : at + size]) for at in range(0, len(stream), size)) + events.end()
    found = out.split(b"\n\n")
    assert found[:2] == [CHAT.strip(), b": ping"]
    error = json.loads(found[2].removeprefix(b"data: "))["error"]
    assert error["message"].endswith("at [address]")
    assert error["type"] == ("rate_limit_error" if wrong is ERROR else "server_error")
    assert found[3:] == ([CHAT.strip(), b"data: [DONE]", b""] if wrong.endswith(b"\n") else [b""])


def test_a_chat_passes_as_it_comes() -> None:
    events = ErrorEvents(CLEANER, MASKER)
    for piece in (CHAT, CHAT + CHAT, b'data: {"id":"1', b'"}', b"\n\n", b"data: [DONE]\n\n"):
        assert events.feed(piece) == piece
    assert events.feed(b"dat") == b""
    assert events.end() != b"dat"
    assert ErrorEvents(CLEANER, MASKER).end() == b""


def test_an_error_without_an_end_is_not_kept_for_ever() -> None:
    events = ErrorEvents(CLEANER, MASKER)
    out = b"".join(events.feed(b"x" * 300_000) for _ in range(4))
    assert 0 < len(out) < 20_000


LONG = 8000
RUNS = [
    "***a",
    "a//",
    "/",
    "a-",
    "a-1",
    "a.",
    "a:1.",
    "/a",
    "/usr/",
    " ",
    "\n ",
    "*a",
    "a*",
    "a**",
    "[0:",
    "1.",
    "host=",
    "litellm 1.",
    "Error: ",
    "sk-",
    "Bearer ",
    "0" * 31 + "-",
    "x://",
]


@pytest.mark.parametrize("run", RUNS)
def test_no_text_takes_long_to_clean(run: str) -> None:
    started = time.process_time()
    for end in ("", "!"):
        CLEANER.text((run * LONG)[:LONG] + end, MASKER)
    assert time.process_time() - started < 0.5


def test_what_stands_beside_dots_and_paths_is_cleaned_all_the_same() -> None:
    said = CLEANER.text(
        "at ..inner:4000, -inner:4001 in x/usr//lib/python3/site-packages/a.py, a*b*** or (c***) sk-proj-abcdefgh***wxyz", MASKER
    )
    assert said == "at ..[address], [address] in [file], a*[masked] or ([masked]) [masked][masked]"
