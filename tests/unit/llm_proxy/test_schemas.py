"""What a tool's schema refers to is counted before LiteLLM writes it out."""

import time
from typing import Any

import pytest

from refusal import RefusedError
from schemas import MAX_KEPT, unfolded


def ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/$defs/{name}"}


def doubling(levels: int, place: str = "$defs") -> dict[str, Any]:
    """Definitions each of which names the next one twice."""
    inner = {f"d{level}": {"properties": {"a": ref(f"d{level + 1}"), "b": ref(f"d{level + 1}")}} for level in range(levels)}
    return {place: {**inner, f"d{levels}": {"type": "string"}}, "properties": {"a": ref("d0")}}


def everyone(count: int) -> dict[str, Any]:
    """Definitions each of which names all."""
    names = [f"d{number}" for number in range(count)]
    return {"$defs": {name: {"anyOf": [ref(other) for other in names]} for name in names}, "anyOf": [ref(names[0])]}


def circle(count: int, place: str) -> dict[str, Any]:
    """Definitions in a circle, each of which names itself and the next one."""
    inner = {f"d{n}": {"properties": {"a": ref(f"d{n}"), "b": ref(f"d{(n + 1) % count}")}} for n in range(count)}
    return {place: inner, "properties": {"x": ref("d0")}}


def wide(definitions: int, objects: int) -> dict[str, Any]:
    """Objects that refer to nothing, where much is defined."""
    return {
        "$defs": {str(number): {} for number in range(definitions)},
        "properties": {str(number): {"a": {}} for number in range(objects)},
    }


def long(count: int) -> dict[str, Any]:
    """A long text, named often."""
    return {"$defs": {"text": {"description": "x" * 10_000}}, "anyOf": [ref("text")] * count}


@pytest.mark.parametrize(
    "schema",
    [
        doubling(16),
        doubling(60),
        doubling(16, "definitions"),
        {"components": {"schemas": doubling(16)["$defs"]}, **ref("d0")},
        everyone(12),
        wide(5000, 5000),
        long(1000),
        circle(5, "definitions"),
        {"items": circle(5, "$defs")},
    ],
    ids=["doubling", "doubling often", "definitions", "components", "everyone", "wide", "long", "circle", "inner circle"],
)
def test_what_would_take_a_gigabyte_is_refused_at_once(schema: dict[str, Any]) -> None:
    started = time.process_time()
    with pytest.raises(RefusedError, match="refer to too much"):
        unfolded([schema])
    assert time.process_time() - started < 2


def test_what_tools_really_have_passes() -> None:
    tree = {
        "$defs": {"node": {"properties": {"text": {"type": "string"}, "children": {"items": ref("node")}}}},
        "properties": {"top": ref("node")},
    }
    blocks = {f"block{number}": {"properties": {"text": ref("text"), "color": ref("color")}} for number in range(30)}
    page = {
        "$defs": {"text": {"type": "string"}, "color": {"enum": ["red", "green"]}, **blocks},
        "properties": {"children": {"items": {"anyOf": [ref(name) for name in blocks]}}},
    }
    assert 0 < unfolded([tree]) < 2000
    assert 0 < unfolded([page] * 20) < MAX_KEPT / 2
    assert unfolded([{"properties": {"$ref": {"type": "string"}, "a": ref("nobody")}}]) == 0
