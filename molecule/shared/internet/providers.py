"""Model providers that say the same thing always, unless the last message asks them to misbehave.

ECHO-KEY-401 and ECHO-KEY-500 are errors that repeat the presented key, ECHO-KEY-STREAM is one in the middle of an answer, and
ECHO-KEY-TEXT an answer that says it; TOOL:<command>, up to the end of its line, calls the tool `bash` with the command; SLOW or
SLOW:<seconds> is an answer that takes its time. A key that its provider's account does not accept gets the provider's own kind of error.
"""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from accounts import Account, Refusal

PACE = 0.5
USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}


@dataclass
class Answer:
    """An HTTP answer; one with several pieces is sent as they come."""

    status: int
    kind: str
    pieces: Iterator[bytes]
    headers: tuple[tuple[str, str], ...] = ()


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


def answer(method: str, target: str, headers: dict[str, str], body: bytes, account: Account) -> Answer | None:
    """Return the answer of the provider whose account it is; None where it has no such path.

    Raises:
        ConnectionAbortedError: the provider is down, and says nothing.
    """
    path = urlsplit(target).path
    shape = next((shape for pattern, shape in SHAPES.items() if re.fullmatch(pattern, path)), None)
    free = VENDORS.get(account.name, OpenAI()) if re.fullmatch(r"(/v1|/v1beta)?/models", path) and method == "GET" else None
    vendor = shape if method == "POST" else free
    if vendor is None:
        return None
    if account.down == "close":
        raise ConnectionAbortedError(f"{account.name} is down")
    key = presented(target, headers)
    reply = refused(vendor, key, account)
    if reply is None and free is not None:
        reply = free.listed(headers)
    elif reply is None and shape is not None:
        try:
            reply = answered(shape, json.loads(body), path.endswith(":streamGenerateContent"), key, headers)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            reply = whole(400, {"error": {"message": f"not understood: {error!r}", "type": "invalid_request_error"}})
    assert reply is not None
    if key:
        account.used(key, reply.status, free is not None)
    return reply


def refused(vendor: "OpenAI | Anthropic | Gemini", key: str, account: Account) -> Answer | None:
    """Return the provider's own error for a key that it does not accept, or while it is down; None is no error."""
    if account.down:
        return whole(int(account.down), vendor.refusal(Refusal(int(account.down)), key)[1])
    refusal = account.refusal(key)
    if refusal is None:
        return None
    status, body = vendor.refusal(refusal, key)
    error = whole(status, body)
    error.headers = () if refusal.retry_after is None else (("retry-after", str(refusal.retry_after)),)
    return error


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


def starred(key: str) -> str:
    """Return a key as OpenAI repeats it: its beginning and its end."""
    return f"{key[:8]}{'*' * 8}{key[-4:]}"


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

    def refusal(self, refusal: Refusal, key: str) -> tuple[int, dict[str, Any]]:
        """Return status and error for a key that is not accepted."""
        if not key:
            said = "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth."
            return 401, {"error": {"message": said, "type": "invalid_request_error", "param": None, "code": None}}
        message, kind, code = {
            401: (
                f"Incorrect API key provided: {starred(key)}. You can find your API key at https://platform.openai.com/account/api-keys.",
                *("invalid_request_error", "invalid_api_key"),
            ),
            402: ("You exceeded your current quota, please check your plan and billing details.", *("insufficient_quota",) * 2),
            403: ("You are not allowed to sample from this model", "invalid_request_error", None),
            429: ("Rate limit reached for requests per min (RPM): Limit 3, Used 3, Requested 1.", "requests", "rate_limit_exceeded"),
        }.get(refusal.status, ("The server is overloaded or not ready yet.", "server_error", None))
        # OpenAI says 429 of a quota that is used up, too.
        status = 429 if refusal.status == 402 else refusal.status
        return status, {"error": {"message": message, "type": kind, "param": None, "code": code}}

    def listed(self, headers: dict[str, str]) -> Answer:
        """Return the list of models, which costs nothing."""
        return whole(200, {"object": "list", "data": [{"id": "gpt-4o", "object": "model", "created": 1, "owned_by": "system"}]})

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

    def refusal(self, refusal: Refusal, key: str) -> tuple[int, dict[str, Any]]:
        """Return status and error for a key that is not accepted."""
        kind, message = {
            401: ("authentication_error", "invalid x-api-key" if key else "x-api-key header is required"),
            402: ("billing_error", "Your credit balance is too low to access the Anthropic API."),
            403: ("permission_error", "Your API key does not have permission to use the specified resource."),
            429: ("rate_limit_error", "This request would exceed your organization's rate limit of 3 requests per minute."),
            529: ("overloaded_error", "Overloaded"),
        }.get(refusal.status, ("api_error", "Internal server error"))
        return refusal.status, {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_fake"}

    def listed(self, headers: dict[str, str]) -> Answer:
        """Return the list of models, which costs nothing."""
        if "anthropic-version" not in headers:
            said = {"type": "invalid_request_error", "message": "anthropic-version: header is required"}
            return whole(400, {"type": "error", "error": said, "request_id": "req_fake"})
        model = {"type": "model", "id": "claude-sonnet-4-5", "display_name": "Claude Sonnet 4.5", "created_at": "2025-09-29T00:00:00Z"}
        return whole(200, {"data": [model], "has_more": False, "first_id": model["id"], "last_id": model["id"]})

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

    def refusal(self, refusal: Refusal, key: str) -> tuple[int, dict[str, Any]]:
        """Return status and error for a key that is not accepted: Google says 400 of one that it does not know."""
        if not key:
            said = "Method doesn't allow unregistered callers (callers without established identity). Please use API Key to call this API."
            return 403, {"error": {"code": 403, "message": said, "status": "PERMISSION_DENIED"}}
        status, name, message = {
            401: (400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."),
            403: (403, "PERMISSION_DENIED", "Your API key was reported as leaked. Please use another API key."),
            429: (429, "RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan and billing details."),
        }.get(refusal.status, (refusal.status, "UNAVAILABLE", "The model is overloaded. Please try again later."))
        error: dict[str, Any] = {"code": status, "message": message, "status": name}
        if refusal.status == 401:
            info = {"reason": "API_KEY_INVALID", "domain": "googleapis.com", "metadata": {"service": "generativelanguage.googleapis.com"}}
            error["details"] = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", **info}]
        return status, {"error": error}

    def listed(self, headers: dict[str, str]) -> Answer:
        """Return the list of models, which costs nothing."""
        model = {"name": "models/gemini-2.0-flash", "version": "2.0", "displayName": "Gemini 2.0 Flash"}
        return whole(200, {"models": [model]})

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


VENDORS: dict[str, OpenAI | Anthropic | Gemini] = {"anthropic": Anthropic(), "gemini": Gemini()}
SHAPES: dict[str, OpenAI | Anthropic | Gemini] = {
    r"(/v1)?/chat/completions": OpenAI(),
    r"/v1/messages": Anthropic(),
    r"(/v1beta)?/models/[^/]+:(streamGenerateContent|generateContent)": Gemini(),
}
