"""What a tool's JSON schema becomes where LiteLLM writes out what it refers to, as it does for Gemini. Standard library only.

Schemas of half a kilobyte, whose definitions name each other, would take gigabytes. What they take is found out here before, within bounds,
by doing what LiteLLM would do, in its order: `unpack_defs` of its `prompt_templates/common_utils.py` also writes out definitions that stay
where they are, and what they have become then is what the next reference to them becomes.
"""

import copy
from collections import deque
from collections.abc import Collection, Iterable
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
        if not isinstance(schema, dict):
            continue
        components = schema.get("components")
        elsewhere = components.get("schemas") if isinstance(components, dict) else None
        try:
            # What is taken out of a schema before, and still known then: by Gemini's part of LiteLLM, and by Anthropic's.
            kept += _written_out(schema, ("$defs",), {}, MAX_KEPT - kept)
            if "definitions" in schema or isinstance(elsewhere, dict):
                known = elsewhere if isinstance(elsewhere, dict) else {}
                kept += _written_out(schema, ("definitions", "components"), known, MAX_KEPT - kept)
        except RecursionError:
            raise _too_much() from None
    return kept


def _written_out(whole: dict[str, Any], taken: Collection[str], elsewhere: dict[str, Any], most: int) -> int:
    """Write out what a schema refers to, without those of its fields that are ``taken``; return the bytes of that.

    Raises:
        RefusedError: they are more than ``most``.
    """
    schema, known = copy.deepcopy((whole, elsewhere))
    for name in taken:
        known |= _definitions({name: schema.pop(name, None)})
    known |= _definitions(schema)
    work = kept = 0
    waiting: deque[tuple[Any, Any, Any, dict[str, Any], frozenset[str]]] = deque([(schema, None, None, known, frozenset())])
    while waiting:
        node, parent, place, known, chain = waiting.popleft()
        if isinstance(node, dict):
            work += OBJECT + DEFINITION * (len(known) + len(chain))
        if work > MAX_WORK:
            raise _too_much()
        if isinstance(node, dict) and isinstance(node.get("$ref"), str):
            name = node["$ref"].rpartition("/")[2]
            target = known.get(name)
            # One on the way to itself stays as it is, and so does one to what nobody knows.
            if name in chain or not isinstance(target, dict):
                continue
            kept += _length(target)
            if kept > most:
                raise _too_much()
            made = copy.deepcopy(target)
            if parent is None:
                schema.clear()
                schema.update(made)
                made = schema
            else:
                parent[place] = made
            waiting.append((made, parent, place, known | _definitions(target), chain | {name}))
        elif isinstance(node, dict):
            inner = known | _definitions(node)
            waiting += [(one, node, name, inner, chain) for name, one in node.items()]
        elif isinstance(node, list):
            waiting += [(one, node, number, known, chain) for number, one in enumerate(node)]
    return kept


def _definitions(node: dict[str, Any]) -> dict[str, Any]:
    """What an object defines, by name."""
    places = (node.get("$defs"), node.get("definitions"))
    return {name: one for place in places if isinstance(place, dict) for name, one in place.items()}


def _length(value: Any) -> int:
    """How long a value is, with all that is in it."""
    length, waiting = 0, [value]
    while waiting:
        node = waiting.pop()
        length += VALUE + (len(node) if isinstance(node, str) else sum(map(len, node)) if isinstance(node, dict) else 0)
        waiting += node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return length


def _too_much() -> RefusedError:
    return RefusedError("The schemas of the tools refer to too much", param="tools", code="invalid_value")
