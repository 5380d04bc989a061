"""Model providers that say the same thing always, unless the last message asks them to misbehave.

ECHO-KEY-401 and ECHO-KEY-500 are errors that repeat the presented key, ECHO-KEY-STREAM is one in the middle of an answer, and
ECHO-KEY-TEXT an answer that says it; TOOL:<command>, up to the end of its line, calls the tool `bash` with the command; SLOW or
SLOW:<seconds> is an answer that takes its time.
"""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

PACE = 0.5
USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}


@dataclass
class Answer:
    """An HTTP answer; one with several pieces is sent as they come."""

    status: int
    kind: str
    pieces: Iterator[bytes]


@dataclass
class Plan:
    """What the provider is going to say."""

    texts: list[str]
    key: str
    command: str = ""
    pace: float = 0
    breaks: bool = False

    def said(self) -> Iterator[str]:
        """Yield the texts at the plan's pace."""
        for text in self.texts:
            yield text
            time.sleep(self.pace)

    @property
    def arguments(self) -> dict[str, str]:
        """The tool's arguments."""
        return {"command": self.command, "description": "what the prompt asked for"}


def answer(method: str, target: str, headers: dict[str, str], body: bytes) -> Answer | None:
    """Return a provider's answer; None where no provider has such a path."""
    path = urlsplit(target).path
    shape = next((shape for pattern, shape in SHAPES.items() if re.fullmatch(pattern, path)), None)
    if shape is None or method != "POST":
        return None
    key = presented(target, headers)
    if not key:
        return whole(401, shape.error("no key was presented"))
    try:
        return answered(shape, json.loads(body), path.endswith(":streamGenerateContent"), key, headers)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        return whole(400, {"error": {"message": f"not understood: {error!r}", "type": "invalid_request_error"}})


def answered(shape: "OpenAI | Anthropic | Gemini", request: dict[str, Any], stream: bool, key: str, headers: dict[str, str]) -> Answer:
    """Return the answer to a request with a key."""
    prompt, result = shape.last(request)
    if "ECHO-KEY-401" in prompt:
        return whole(401, shape.error(f"Incorrect API key provided: {key}. Get another one."))
    if "ECHO-KEY-500" in prompt:
        text = f"crashed while serving the key {key}\nheaders: {json.dumps(headers)}\n"
        return Answer(500, "text/plain", iter([text.encode()]))
    plan = planned(shape.name, prompt, result, key, bool(request.get("tools")))
    if not (stream or request.get("stream")):
        return whole(401, shape.error(f"The key {key} ran out")) if plan.breaks else whole(200, shape.whole(plan))
    return Answer(200, "text/event-stream", shape.events(plan))


def planned(name: str, prompt: str, result: str | None, key: str, tools: bool) -> Plan:
    """Decide what to say to a prompt, or to a tool's result."""
    if result is not None:
        return Plan([f"This is the fake {name}. ", f"The tool said: {result}"], key)
    if "ECHO-KEY-STREAM" in prompt:
        return Plan([f"This is the fake {name}. "], key, breaks=True)
    if "ECHO-KEY-TEXT" in prompt:
        return Plan([f"This is the fake {name}. ", f"Your key is {key}."], key)
    if tools and (tool := re.search(r"TOOL:([^\n]+)", prompt)):
        return Plan([], key, command=tool.group(1).strip())
    if slow := re.search(r"SLOW(?::(\d+))?", prompt):
        seconds = int(slow.group(1) or 10)
        return Plan([f"This is the fake {name}. ", *(f"{number} " for number in range(int(seconds / PACE)))], key, pace=PACE)
    return Plan(["This is ", f"the fake {name}."], key)


def presented(target: str, headers: dict[str, str]) -> str:
    """Return the key that a request carries, wherever a provider would look for it."""
    bearer = headers.get("authorization", "").removeprefix("Bearer ").strip()
    in_query = parse_qs(urlsplit(target).query).get("key", [""])[0]
    return headers.get("x-api-key") or headers.get("x-goog-api-key") or in_query or bearer


def whole(status: int, body: object) -> Answer:
    """Return an answer in one piece."""
    return Answer(status, "application/json", iter([json.dumps(body).encode()]))


def event(data: object, name: str = "") -> bytes:
    """Return a server-sent event."""
    return (
        (f"event: {name}\n" if name else "").encode() + b"data: " + (data if isinstance(data, str) else json.dumps(data)).encode() + b"\n\n"
    )


def text_of(content: Any) -> str:
    """Return the text of a message's content, which may come in parts."""
    return content if isinstance(content, str) else " ".join(part["text"] for part in content or [] if part.get("text"))


class OpenAI:
    """Chat completions."""

    name = "openai"

    def last(self, request: dict[str, Any]) -> tuple[str, str | None]:
        """Return the last thing that a person said, and a tool's result if that came after it."""
        messages = request["messages"]
        prompt = next((text_of(message["content"]) for message in reversed(messages) if message["role"] == "user"), "")
        return prompt, text_of(messages[-1]["content"]) if messages[-1]["role"] == "tool" else None

    def error(self, message: str) -> dict[str, Any]:
        """Return an error in the provider's form."""
        return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": "invalid_api_key"}}

    def tool(self, plan: Plan) -> list[dict[str, Any]]:
        """Return the call of a tool."""
        call = {"name": "bash", "arguments": json.dumps(plan.arguments)}
        return [{"index": 0, "id": "call_fake", "type": "function", "function": call}]

    def whole(self, plan: Plan) -> dict[str, Any]:
        """Return the answer in one piece."""
        message: dict[str, Any] = {"role": "assistant", "content": "".join(plan.said()) or None}
        if plan.command:
            message["tool_calls"] = self.tool(plan)
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if plan.command else "stop"}
        return {"id": "chatcmpl-fake", "object": "chat.completion", "created": 1, "model": "fake", "choices": [choice], "usage": USAGE}

    def events(self, plan: Plan) -> Iterator[bytes]:
        """Yield the answer as a stream."""

        def chunk(delta: dict[str, Any], reason: str | None = None, **more: object) -> bytes:
            choice = {"index": 0, "delta": delta, "finish_reason": reason}
            return event(
                {"id": "chatcmpl-fake", "object": "chat.completion.chunk", "created": 1, "model": "fake", "choices": [choice], **more}
            )

        yield chunk({"role": "assistant", "content": ""})
        for text in plan.said():
            yield chunk({"content": text})
        if plan.breaks:
            yield event(self.error(f"The key {plan.key} ran out"))
            return
        if plan.command:
            yield chunk({"tool_calls": self.tool(plan)})
        yield chunk({}, "tool_calls" if plan.command else "stop", usage=USAGE)
        yield event("[DONE]")


class Anthropic:
    """Messages."""

    name = "anthropic"

    def last(self, request: dict[str, Any]) -> tuple[str, str | None]:
        """Return the last thing that a person said, and a tool's result if that came after it."""
        said = [message["content"] for message in request["messages"] if message["role"] == "user"]
        prompt = next((text for text in map(text_of, reversed(said)) if text), "")
        results = [text_of(part.get("content")) for part in said[-1] if part["type"] == "tool_result"] if isinstance(said[-1], list) else []
        return prompt, " ".join(results) if results else None

    def error(self, message: str) -> dict[str, Any]:
        """Return an error in the provider's form."""
        return {"type": "error", "error": {"type": "authentication_error", "message": message}}

    def message(self, content: list[dict[str, Any]], reason: str | None) -> dict[str, Any]:
        """Return the frame of an answer."""
        usage = {"input_tokens": 7, "output_tokens": 5}
        frame = {"id": "msg_fake", "type": "message", "role": "assistant", "model": "fake", "content": content}
        return {**frame, "stop_reason": reason, "stop_sequence": None, "usage": usage}

    def whole(self, plan: Plan) -> dict[str, Any]:
        """Return the answer in one piece."""
        if plan.command:
            return self.message([{"type": "tool_use", "id": "toolu_fake", "name": "bash", "input": plan.arguments}], "tool_use")
        return self.message([{"type": "text", "text": "".join(plan.said())}], "end_turn")

    def events(self, plan: Plan) -> Iterator[bytes]:
        """Yield the answer as a stream."""

        def typed(name: str, **fields: object) -> bytes:
            return event({"type": name, **fields}, name)

        yield typed("message_start", message=self.message([], None))
        if plan.command:
            yield typed("content_block_start", index=0, content_block={"type": "tool_use", "id": "toolu_fake", "name": "bash", "input": {}})
            pieces = iter([{"type": "input_json_delta", "partial_json": json.dumps(plan.arguments)}])
        else:
            yield typed("content_block_start", index=0, content_block={"type": "text", "text": ""})
            pieces = ({"type": "text_delta", "text": text} for text in plan.said())
        for delta in pieces:
            yield typed("content_block_delta", index=0, delta=delta)
        if plan.breaks:
            yield event(self.error(f"The key {plan.key} ran out"), "error")
            return
        yield typed("content_block_stop", index=0)
        reason = "tool_use" if plan.command else "end_turn"
        yield typed("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage={"output_tokens": 5})
        yield typed("message_stop")


class Gemini:
    """Content generation."""

    name = "gemini"

    def last(self, request: dict[str, Any]) -> tuple[str, str | None]:
        """Return the last thing that a person said, and a tool's result if that came after it."""
        said = [content["parts"] for content in request["contents"] if content.get("role", "user") != "model"]
        prompt = next((text for text in map(text_of, reversed(said)) if text), "")
        results = [json.dumps(found) for part in said[-1] if (found := part.get("functionResponse") or part.get("function_response"))]
        return prompt, " ".join(results) if results else None

    def error(self, message: str) -> dict[str, Any]:
        """Return an error in the provider's form."""
        return {"error": {"code": 401, "message": message, "status": "UNAUTHENTICATED"}}

    def content(self, part: dict[str, Any], reason: str | None) -> dict[str, Any]:
        """Return a piece of an answer, or all of it."""
        candidate = {"content": {"role": "model", "parts": [part]}, "index": 0, **({"finishReason": reason} if reason else {})}
        usage = {"promptTokenCount": 7, "candidatesTokenCount": 5, "totalTokenCount": 12}
        return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "fake"}

    def whole(self, plan: Plan) -> dict[str, Any]:
        """Return the answer in one piece."""
        if plan.command:
            return self.content({"functionCall": {"name": "bash", "args": plan.arguments}}, "STOP")
        return self.content({"text": "".join(plan.said())}, "STOP")

    def events(self, plan: Plan) -> Iterator[bytes]:
        """Yield the answer as a stream."""
        if plan.command:
            yield event(self.whole(plan))
            return
        for text in plan.said():
            yield event(self.content({"text": text}, None))
        yield event(self.error(f"The key {plan.key} ran out") if plan.breaks else self.content({"text": ""}, "STOP"))


SHAPES: dict[str, OpenAI | Anthropic | Gemini] = {
    r"(/v1)?/chat/completions": OpenAI(),
    r"/v1/messages": Anthropic(),
    r"(/v1beta)?/models/[^/]+:(streamGenerateContent|generateContent)": Gemini(),
}
