"""All that the real OpenCode sends passes the proxy's gate; see `run`.

A new OpenCode that sends more fails here, and roles/llm_proxy/files/image/fields.py says where to allow it.
"""

import base64
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from fake_provider import REFUSED, FakeProvider, Recorded

import fields
from access import KEYLESS_ROUTES
from body import checked_chat
from opencode import OpenCode
from refusal import RefusedError
from shapes import AnyObject, Either, ListOf, Record, Shape, Tagged

PICTURE = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
LIMIT = {"limit": {"context": 128000, "output": 16384}}
# Without `attachment` and `modalities`, OpenCode sends no files: it tells the model that it cannot read them.
SEES = {"attachment": True, "modalities": {"input": ["text", "image", "pdf", "audio"], "output": ["text"]}}
MODELS = {
    "plain": {"name": "plain", **LIMIT},
    "seeing": {"name": "seeing", **LIMIT, **SEES},
    "thinking": {"name": "thinking", **LIMIT, "reasoning": True, "temperature": True, "options": {"textVerbosity": "low"}},
    # OpenCode knows models by their names: it asks this kind to cache.
    "claude-sonnet-4-5": {"name": "claude", **LIMIT, **SEES, "reasoning": True},
    "gpt-5": {"name": "gpt", **LIMIT, **SEES, "reasoning": True},
    "gemini-3-pro": {"name": "gemini", **LIMIT, **SEES, "reasoning": True},
}


def attached(mime: str, content: bytes) -> dict[str, str]:
    return {"mime": mime, "filename": f"file.{mime.partition('/')[2]}", "url": f"data:{mime};base64,{base64.b64encode(content).decode()}"}


@dataclass
class Recording:
    """What came to the provider, and OpenCode's account of the refusal."""

    requests: list[Recorded]
    refusal: dict[str, Any]


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recording]:
    provider = FakeProvider()
    opencode = OpenCode(tmp_path_factory.mktemp("opencode"), provider.url, MODELS, agent={"plan": {"temperature": 0.1, "top_p": 0.9}})
    try:
        (opencode.workspace / "picture.png").write_bytes(PICTURE)
        refusal = converse(opencode)
        await_quiet(provider)
        yield Recording(list(provider.recorded), refusal)
    finally:
        opencode.stop()
        provider.shutdown()


def converse(opencode: OpenCode) -> dict[str, Any]:
    """Use OpenCode in every way that has it ask a model; returns what it makes of an error."""
    for model in MODELS:
        session = opencode.session()
        for text in ("hello", "run-it", "read-it", "write-it", "and then?"):
            opencode.say(session, text, model)
        if model in ("plain", "claude-sonnet-4-5"):
            opencode.summarize(session, model)
            opencode.say(session, "go on", model)
    session = opencode.session()
    for model in ("seeing", "claude-sonnet-4-5", "plain"):
        opencode.say(session, "look", model, attached("image/png", PICTURE))
        opencode.say(session, "read", model, attached("application/pdf", b"%PDF-1.4"))
        opencode.say(session, "hear", model, attached("audio/wav", b"RIFF"))
        opencode.say(session, "read", model, attached("text/plain", b"words"))
    session = opencode.session()
    for variant in ("low", "high"):
        opencode.say(session, "think", "thinking", variant=variant)
    opencode.say(session, "plan it", "thinking", agent="plan")
    schema = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
    opencode.say(session, "in a form", "plain", format={"type": "json_schema", "schema": schema})
    refused: dict[str, Any] = opencode.say(session, "refuse-it", "plain")["info"]["error"]
    return refused


def await_quiet(provider: FakeProvider) -> None:
    """Titles are made on the side: wait until nothing has come for a second."""
    seen = -1
    while seen != len(provider.recorded):
        seen = len(provider.recorded)
        time.sleep(1)


def test_every_route_is_one_that_needs_no_key(recording: Recording) -> None:
    assert {(request.method, request.path) for request in recording.requests} <= KEYLESS_ROUTES


def test_every_request_passes_the_gate(recording: Recording) -> None:
    refused: Counter[str] = Counter()
    for request in recording.requests:
        try:
            checked_chat(request.raw, list(MODELS))
        except RefusedError as error:
            refused[str(error)] += 1
    assert not refused


def test_no_request_carries_a_key(recording: Recording) -> None:
    assert not [request for request in recording.requests if request.headers & {"authorization", "x-api-key", "cookie"}]


def test_an_error_reaches_the_user_in_the_providers_words(recording: Recording) -> None:
    assert recording.refusal["data"]["message"] == REFUSED["error"]["message"]
    assert recording.refusal["data"]["statusCode"] == 400


def paths(value: Any, shape: Shape, path: str = "") -> Iterator[str]:
    """Each field in `value`, as fields.py names them: with the tag of what it is in, and what is data left out."""
    if isinstance(shape, Either):
        shape = next((one for one in shape.shapes if isinstance(value, list) and isinstance(one, ListOf)), shape.shapes[0])
    if isinstance(value, list) and isinstance(shape, ListOf):
        for item in value:
            yield from paths(item, shape.item, path)
    elif isinstance(value, dict) and isinstance(shape, Record | Tagged):
        if isinstance(shape, Tagged):
            path, shape = f"{path}({value[shape.tag]})", shape.records[value[shape.tag]]
        for name, item in value.items():
            yield f"{path}.{name}".lstrip(".")
            yield from paths(item, shape.fields[name], f"{path}.{name}".lstrip("."))


def allowed(shape: Shape, path: str = "") -> Iterator[str]:
    """Each field that fields.py allows, named alike."""
    match shape:
        case Either():
            for one in shape.shapes:
                yield from allowed(one, path)
        case ListOf():
            yield from allowed(shape.item, path)
        case Tagged():
            for tag, record in shape.records.items():
                yield from allowed(record, f"{path}({tag})")
        case Record():
            for name, item in shape.fields.items():
                yield f"{path}.{name}".lstrip(".")
                yield from allowed(item, f"{path}.{name}".lstrip("."))


# Allowed although no conversation here has them; each needs a reason.
UNSEEN = {
    # Tools of an MCP server's may have it.
    "tools.function.strict",
}


def test_nothing_is_allowed_that_opencode_does_not_send(recording: Recording) -> None:
    seen = {path for request in recording.requests for path in paths(request.body, fields.CHAT)}
    print("\n".join(sorted(seen)))
    assert set(allowed(fields.CHAT)) - seen - UNSEEN == set()


def test_the_recording_is_not_blind(recording: Recording) -> None:
    bodies = [request.body for request in recording.requests]
    kinds = {
        "all": bodies,
        "titles": [body for body in bodies if "title" in str(body["messages"][0]["content"])[:200] and "tools" not in body],
        "summaries": [body for body in bodies if "summar" in str(body["messages"]).lower() and "tools" not in body],
        "tool calls": [body for body in bodies if any("tool_calls" in message for message in body["messages"])],
        "tool results": [body for body in bodies if body["messages"][-1]["role"] == "tool"],
        "images": [body for body in bodies if "'image_url'" in str(body["messages"])],
        "reasoning": [body for body in bodies if "reasoning_effort" in body],
        "caching": [body for body in bodies if "'cache_control'" in str(body["messages"])],
        "refused": [body for body in bodies if "refuse-it" in str(body["messages"][-1])],
    }
    least = {
        "all": 60,
        "titles": 5,
        "summaries": 2,
        "tool calls": 30,
        "tool results": 12,
        "images": 6,
        "reasoning": 2,
        "caching": 10,
        "refused": 1,
    }
    assert {kind: len(found) for kind, found in kinds.items() if len(found) < least[kind]} == {}
    assert AnyObject in {type(shape) for shape in fields.TOOL.fields["function"].fields.values()}  # type: ignore[union-attr]
