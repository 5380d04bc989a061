"""What a tool's JSON schema becomes where LiteLLM writes out what it refers to, as it does for Gemini. Standard library only.

A schema of 2 KB whose definitions name each other twice would take a gigabyte. What it takes is counted here before, step by step as
`unpack_defs` of LiteLLM's `prompt_templates/common_utils.py` goes about it, and nothing of it is made.
"""

from collections.abc import Iterable
from typing import Any

from refusal import RefusedError

# Bytes, for each schema, of what is made for a moment: at each object, a copy of all definitions that are known there.
MAX_WORK = 64 * 2**20
OBJECT, DEFINITION = 64, 32
# Bytes, for all schemas of a request, of what is kept in memory and sent, as compared with a text of that length.
MAX_KEPT = 4 * 2**20
VALUE = 48


def unfolded(schemas: Iterable[Any]) -> int:
    """Return the bytes, as of a text, that the schemas' references become.

    Raises:
        RefusedError: 400, it is too much.
    """
    kept = 0
    for schema in schemas:
        definitions = _definitions(schema)
        known = DEFINITION * sum(map(len, definitions.values()))
        work = 0
        waiting: list[tuple[Any, frozenset[str]]] = [(schema, frozenset())]
        while waiting:
            node, chain = waiting.pop()
            if chain:
                kept += _length(node)
            if isinstance(node, dict):
                work += OBJECT + known + DEFINITION * len(chain)
            if work > MAX_WORK or kept > MAX_KEPT:
                raise RefusedError("The schemas of the tools refer to too much", param="tools", code="invalid_value")
            name = node["$ref"].rpartition("/")[2] if isinstance(node, dict) and isinstance(node.get("$ref"), str) else None
            if name is None:
                waiting += [(one, chain) for one in _inner(node)]
            elif name not in chain:
                # One that refers to itself stays as it is, and so does one to what nobody knows.
                waiting += [(one, chain | {name}) for one in definitions.get(name, ())]
    return kept


def _inner(node: Any) -> Iterable[Any]:
    return node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()


def _length(node: Any) -> int:
    """A value's own length, without what is in it."""
    return VALUE + (len(node) if isinstance(node, str) else sum(map(len, node)) if isinstance(node, dict) else 0)


def _definitions(schema: Any) -> dict[str, list[Any]]:
    """What a reference may mean, by its last part, wherever it is defined."""
    found: dict[str, list[Any]] = {}
    waiting = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            for place in ("$defs", "definitions", "schemas"):
                if isinstance(node.get(place), dict):
                    for name, one in node[place].items():
                        found.setdefault(name, []).append(one)
        waiting += _inner(node)
    return found
