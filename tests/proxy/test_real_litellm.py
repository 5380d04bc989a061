"""The gate, the keys and the demo model with the real LiteLLM; see `run`."""

import asyncio
import contextlib
import json
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from itertools import product
from typing import Any

import pytest
from fastapi import FastAPI, HTTPException, Request
from litellm.litellm_core_utils.prompt_templates.common_utils import unpack_defs
from litellm.litellm_core_utils.prompt_templates.factory import anthropic_messages_pt
from litellm.llms.vertex_ai.gemini.transformation import gemini_convert_messages_with_history
from served import BEARER, MASTER_KEY, Provider, Proxy

from access import KEYLESS_ROUTES
from body import checked_chat
from intake import MAX_BODY
from refusal import RefusedError
from schemas import unfolded

TOOLS = [{"type": "function", "function": {"name": "bash", "parameters": {"type": "object", "properties": {}}}}]


def routes(found: Iterable[Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every (method, path) that an app answers, through included routers and mounts."""
    for route in found:
        if hasattr(route, "original_router"):
            yield from routes(route.original_router.routes, prefix + route.include_context.prefix)
        elif getattr(route, "methods", None):
            yield from ((method, prefix + route.path) for method in route.methods)
        elif getattr(route, "routes", None):
            yield from routes(route.routes, prefix + route.path)
        elif hasattr(route, "path"):
            yield "GET", prefix + route.path


def test_the_demo_model_answers_without_a_key(proxy: Proxy) -> None:
    status, body = proxy.chat("hello")
    answer = json.loads(body)
    assert status == 200
    assert "hello" in answer["choices"][0]["message"]["content"]
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["total_tokens"] > 0


def test_the_demo_model_streams_word_by_word(proxy: Proxy) -> None:
    started = time.monotonic()
    chunks = proxy.stream("hello")
    assert 1.5 < time.monotonic() - started < 10
    assert len(chunks) > 30
    assert [chunk["choices"][0].get("finish_reason") for chunk in chunks if chunk["choices"]][-1] == "stop"
    assert chunks[-1]["usage"]["total_tokens"] > 0


def test_the_demo_model_calls_a_tool(proxy: Proxy) -> None:
    chunks = proxy.stream("run `ls -la`", tools=TOOLS)
    [call] = [call for chunk in chunks for choice in chunk["choices"] for call in choice["delta"].get("tool_calls") or []]
    assert call["index"] == 0
    assert call["id"].startswith("call_")
    assert call["function"]["name"] == "bash"
    assert json.loads(call["function"]["arguments"])["command"] == "ls -la"
    assert [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"] if choice.get("finish_reason")] == ["tool_calls"]
    assert json.loads(proxy.chat("run `ls -la`", tools=TOOLS)[1])["choices"][0]["finish_reason"] == "tool_calls"


def test_the_models_are_listed_without_a_key(proxy: Proxy) -> None:
    status, body = proxy.call("GET", "/v1/models")
    assert status == 200
    assert [model["id"] for model in json.loads(body)["data"]] == ["demo", "gpt-5"]


def test_every_other_route_is_refused_without_a_key(proxy: Proxy) -> None:
    assert isinstance(proxy.gate.app, FastAPI)
    found = set(routes(proxy.gate.app.routes))
    assert len(found) > 500, "the enumeration is blind"
    assert found >= KEYLESS_ROUTES
    without_key = {
        (method, path): proxy.call(method, path.translate(str.maketrans("", "", "{}")))[0] for method, path in found - KEYLESS_ROUTES
    }
    assert {route: status for route, status in without_key.items() if status != 401} == {}


def test_a_wrong_key_is_refused(proxy: Proxy) -> None:
    for path in ("/v1/models", "/model/info"):
        assert proxy.call("GET", path, headers={"authorization": "Bearer sk-wrong"})[0] == 401


def test_the_master_key_opens_an_admin_route(proxy: Proxy) -> None:
    assert proxy.call("GET", "/model/info", headers=BEARER)[0] == 200
    for name in ("x-api-key", "api-key", "x-goog-api-key", "x-litellm-api-key"):
        assert proxy.call("GET", "/model/info", headers={name: MASTER_KEY})[0] == 401


def test_the_second_layer_refuses_what_the_gate_would_let_through(proxy: Proxy) -> None:
    from auth import authenticate  # noqa: PLC0415  # LiteLLM reads its environment at import, so not before the proxy set it

    scope = {"type": "http", "method": "GET", "path": "/model/info", "raw_path": b"/model/info", "query_string": b"", "headers": []}
    with pytest.raises(HTTPException, match="401"):
        asyncio.run(authenticate(Request(scope), MASTER_KEY))


def test_a_rotated_key_is_used_at_once(proxy: Proxy, provider: Provider) -> None:
    for key in ("sk-one", "sk-two\n", "sk-three"):
        proxy.rotate(key)
        assert proxy.chat("hello", "gpt-5")[0] == 200
        assert f"Bearer {key.strip()}" in provider.credentials[-1]


def test_a_missing_key_is_a_clear_error_and_no_fallback(proxy: Proxy, provider: Provider) -> None:
    (proxy.keys / "openai").unlink(missing_ok=True)
    before = len(provider.credentials)
    status, body = proxy.chat("hello", "gpt-5")
    assert status == 503
    assert "No key for the provider openai" in body
    assert len(provider.credentials) == before


# The gate refuses these fields to a keyless caller. The master key may send them, and must not be able to send a key away either.
ADMIN = BEARER


def test_a_request_for_another_kind_of_provider_is_refused(proxy: Proxy, provider: Provider) -> None:
    proxy.rotate("sk-secret")
    before = len(provider.credentials)
    for kind in ("anthropic", "azure", "openrouter", "hosted_vllm", "litellm_proxy", "demo"):
        assert proxy.chat("hello", "gpt-5", ADMIN, custom_llm_provider=kind)[0] == 400
    assert len(provider.credentials) == before


def test_steering_never_delivers_the_key_to_another_address(proxy: Proxy) -> None:
    proxy.rotate("sk-secret")
    attacker = Provider()
    base = attacker.url
    steering: list[dict[str, Any]] = [{name: base} for name in ("api_base", "base_url", "azure_endpoint", "api_host", "host", "proxy")]
    steering += [{name: {"api_base": base}} for name in ("extra_body", "metadata", "litellm_params", "litellm_metadata")]
    steering += [{"api_base": base, "custom_llm_provider": "anthropic"}, {"api_base": base, "model_info": {"provider": "openai"}}]
    steering += [
        {"fallbacks": [{"model": "gpt-5", "api_base": base}]},
        {"user_config": {}},
        {"model_list": []},
        {"use_litellm_proxy": True},
    ]
    outcomes = [
        proxy.chat("hello", model, headers, **fields)
        for fields in steering
        for model in ("gpt-5", "demo", "openai/gpt-5")
        for headers in (ADMIN, None)
    ]
    for path, content in (("messages", {"max_tokens": 9}), ("responses", {"input": "hello"}), ("embeddings", {"input": "hello"})):
        for model in ("gpt-5", "openai/gpt-5"):
            steered = {"model": model, "messages": [{"role": "user", "content": "hello"}], "api_base": base, **content}
            outcomes.append(proxy.call("POST", f"/v1/{path}", steered, ADMIN))
    assert not [credentials for credentials in attacker.credentials if "sk-secret" in credentials]
    assert not [body for _, body in outcomes if "sk-secret" in body]
    assert proxy.chat("hello", "gpt-5")[0] == 200


@pytest.mark.parametrize("name", ["headers", "extra_headers", "default_headers"])
def test_a_request_that_chooses_its_host_carries_no_key(proxy: Proxy, provider: Provider, name: str) -> None:
    proxy.rotate("sk-secret")
    before = len(provider.credentials)
    for model in ("gpt-5", "openai/gpt-5"):
        assert proxy.chat("hello", model, ADMIN, **{name: {"Host": "evil.example"}})[0] == 400
    assert not [credentials for credentials in provider.credentials[before:] if "sk-secret" in credentials]


def test_a_request_that_chooses_its_path_carries_no_key(proxy: Proxy, provider: Provider) -> None:
    proxy.rotate("sk-secret")
    before = len(provider.credentials)
    assert proxy.chat("hello", "gpt-5", ADMIN, deployment_id="elsewhere")[0] == 400
    assert len(provider.credentials) == before


def ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/$defs/{name}"}


def circle(count: int, width: int, place: str) -> dict[str, Any]:
    """Definitions each of which names itself or some of the others, where they stay or are taken out."""
    names = "abcdef"[:count]
    inner = {
        name: {"properties": {str(step): {"$ref": f"#/{place}/{names[(number + step) % count]}"} for step in range(width)}}
        for number, name in enumerate(names)
    }
    return {place: inner, "properties": {"x": {"$ref": f"#/{place}/a"}}}


SCHEMAS = {
    "doubling": {
        "$defs": {**{f"d{n}": {"properties": {"a": ref(f"d{n + 1}"), "b": ref(f"d{n + 1}")}} for n in range(8)}, "d8": {"type": "string"}},
        "properties": {"a": ref("d0")},
    },
    "inner": {"properties": {"x": {"$defs": {"y": {"description": "long " * 99}}, "items": [ref("y")] * 9}, "y": ref("y")}},
    "old": {"definitions": {"n": {"enum": list(range(50))}}, "properties": {str(n): {"$ref": "#/definitions/n"} for n in range(20)}},
    "root": {"$defs": {"a": {"properties": {"b": ref("b")}}, "b": {"type": "string"}}, "$ref": "#/$defs/a"},
    "hidden": {
        "definitions": {"a": {"enum": list(range(50))}},
        "components": {"schemas": {"a": {}}},
        "items": {"$defs": {"a": ""}, **ref("a")},
    },
    **{f"circle of {count} in {place}": circle(count, 2, place) for count, place in product((1, 2), ("$defs", "definitions"))},
    "circle of 3": circle(3, 2, "$defs"),
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_unfolds_to_no_more_than_was_counted(name: str) -> None:
    schema = json.loads(json.dumps(SCHEMAS[name]))
    before, counted = len(json.dumps(schema)), unfolded([schema])
    assert schema == SCHEMAS[name]
    unpack_defs(schema, schema.pop("$defs", {}))
    after = len(json.dumps(schema))
    assert after - before <= counted
    assert counted > 0


@pytest.mark.parametrize("schema", [circle(3, 2, "definitions"), circle(4, 2, "definitions"), {"items": circle(3, 2, "$defs")}])
def test_definitions_that_stay_and_name_each_other_are_refused(proxy: Proxy, schema: dict[str, Any]) -> None:
    started = time.monotonic()
    status, _ = proxy.chat("hello", tools=[{"type": "function", "function": {"name": "a", "parameters": schema}}])
    assert status == 400
    assert time.monotonic() - started < 10


def test_a_schema_that_would_fill_the_memory_is_refused(proxy: Proxy) -> None:
    inner = {f"d{n}": {"properties": {"a": ref(f"d{n + 1}"), "b": ref(f"d{n + 1}")}} for n in range(30)}
    schema = {"$defs": inner, "properties": {"a": ref("d0")}}
    status, body = proxy.chat("hello", tools=[{"type": "function", "function": {"name": "a", "parameters": schema}}])
    assert status == 400
    assert "refer to too much" in json.loads(body)["error"]["message"]


USER = {"role": "user", "content": "x"}


def called(*arguments: str) -> dict[str, Any]:
    calls = [{"id": f"c{number}", "type": "function", "function": {"name": "f", "arguments": one}} for number, one in enumerate(arguments)]
    return {"role": "assistant", "content": "so", "tool_calls": calls}


def answered(content: str, number: int = 0) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": f"c{number}", "content": content}


def lists(count: int, last: int = 0) -> str:
    return '{"a": [' + "[]," * count + f"{last}]}}"


# Conversations that grow with a number, in each way that LiteLLM finds hard.
HARD: dict[str, Callable[[int], list[dict[str, Any]]]] = {
    "calls and results": lambda n: [called(*["{}"] * n), *[answered("ok", number) for number in range(n)]],
    "different calls": lambda n: [called(*[f'{{"a": {number}}}' for number in range(n)])],
    "calls that differ at their end": lambda n: [called(*[lists(1_000, number) for number in range(n)])],
    "messages in a row": lambda n: [called(f'{{"a": {number}}}') for number in range(n)],
    "results of many calls": lambda n: [called(*["{}"] * 200), *[answered("ok", number % 200) for number in range(n)]],
    "values in arguments": lambda n: [called(lists(n)), answered("ok")],
    "values in a result": lambda n: [called("{}"), answered(lists(n))],
    "arguments that are no JSON": lambda n: [called("{" + "x" * n), answered("ok")],
    "arguments that are cut off": lambda n: [called('{"a": "' + "x" * n + '", "b": [{"c": 1}'), answered("ok")],
}


def hardest(hard: Callable[[int], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The longest of such conversations that the gate lets through, but for a factor of two."""
    size, found = 16, b""
    while len(raw := json.dumps({"model": "m", "messages": [USER, *hard(size)]}).encode()) <= MAX_BODY:
        try:
            found = checked_chat(raw, ["m"])
        except RefusedError:
            break
        size *= 2
    messages: list[dict[str, Any]] = json.loads(found)["messages"]
    return messages


@pytest.mark.parametrize("name", HARD)
def test_no_conversation_that_passes_keeps_the_others_waiting_or_fills_the_memory(name: str) -> None:
    messages = hardest(HARD[name])
    translations: list[Callable[[Any], Any]] = [
        lambda found: anthropic_messages_pt(found, model="claude-sonnet-4-5", llm_provider="anthropic"),
        lambda found: gemini_convert_messages_with_history(found, model="gemini-3-pro", custom_llm_provider="gemini"),
    ]
    for translate in translations:
        given = json.loads(json.dumps(messages))
        started = time.thread_time()
        # Arguments that are no JSON may be refused, once that is clear.
        with contextlib.suppress(Exception) if name.startswith("arguments") else contextlib.nullcontext():
            translate(given)
        assert time.thread_time() - started < 4
    if name.startswith("values"):
        given = json.loads(json.dumps(messages))
        tracemalloc.start()
        try:
            translations[1](given)
            assert tracemalloc.get_traced_memory()[1] < 100 * 1024 * 1024
        finally:
            tracemalloc.stop()
