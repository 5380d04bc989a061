"""A provider on loopback that plays the models' part towards OpenCode, and records all that comes."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

REFUSED = {"error": {"message": "This model does not like that", "type": "invalid_request_error", "code": "disliked"}}
# A user's word, and the tool that the model calls on it.
CALLS = {
    "run-it": ("bash", {"command": "echo hello", "description": "Says hello"}),
    "read-it": ("read", {"filePath": "picture.png"}),
    "write-it": ("write", {"filePath": "new.txt", "content": "text"}),
}


@dataclass(frozen=True)
class Recorded:
    """A request as it came; `body` is its JSON."""

    method: str
    path: str
    headers: frozenset[str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.raw)
        return found


class FakeProvider(ThreadingHTTPServer):
    """Serves /v1/chat/completions on loopback."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.recorded: list[Recorded] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    """Answers every method and path, so that each is recorded."""

    server: FakeProvider

    def handle_any(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = frozenset(name.lower() for name in self.headers)
        self.server.recorded.append(Recorded(self.command, self.path, headers, raw))
        if not raw:
            return self.answer(200, "application/json", b'{"object": "list", "data": []}')
        messages = json.loads(raw)["messages"]
        if messages[-1]["role"] == "user" and "refuse-it" in words(messages[-1]):
            return self.answer(400, "application/json", json.dumps(REFUSED).encode())
        return self.answer(200, "text/event-stream", b"".join(events(messages)))

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = handle_any

    def answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


def words(message: dict[str, Any]) -> str:
    content = message["content"]
    return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)


def events(messages: list[dict[str, Any]]) -> Iterator[bytes]:
    """The model's answer as a stream: some reasoning, then a tool call where one is asked for, else text."""
    last = messages[-1]
    wanted = [call for word, call in CALLS.items() if last["role"] == "user" and word in words(last)]
    yield event({"role": "assistant", "content": ""})
    yield event({"reasoning_content": "Let me think."})
    for name, arguments in wanted:
        function = {"name": name, "arguments": json.dumps(arguments)}
        # LiteLLM passes on what Gemini wants to have back, in these two places.
        extra = {"extra_content": {"google": {"thought_signature": "c2ln"}}, "provider_specific_fields": {"thought_signature": "c2ln"}}
        yield event({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function, **extra}]})
    if not wanted:
        yield event({"content": "Done."})
    yield event({}, "tool_calls" if wanted else "stop")
    yield b"data: [DONE]\n\n"


def event(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2} if finish_reason else None
    chunk = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], "usage": usage}
    return f"data: {json.dumps(chunk)}\n\n".encode()
