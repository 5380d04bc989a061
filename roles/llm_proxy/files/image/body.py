"""A keyless caller's chat request: from the bytes that arrived to the bytes that LiteLLM gets. Standard library only."""

import json
import re
from collections.abc import Callable, Collection
from typing import Any

from fields import CHAT
from refusal import RefusedError
from schemas import unfolded
from shapes import check

MAX_DEPTH = 64
# Each value costs memory many times its bytes: 32 MiB of `[],` would become a gigabyte.
MAX_MARKS = 400_000
# In all the texts that LiteLLM parses: more than a million tokens hold.
MAX_TEXT_MARKS = 1_000_000
# Bytes of a text that take as much memory, in LiteLLM's copies, as a mark does.
MARK = 16
# Steps that LiteLLM may take with tool calls, about a microsecond each, in which it does nothing else: for Gemini it compares every call
# with all since the last result, and every result with the calls before it. A thousand turns of three calls take some twenty thousand.
MAX_STEPS = 500_000
# So much of the arguments is compared, or looked through because it is no JSON, in one step.
STEP_MARKS = 64
STEP_CHARACTERS = 16
# Without any of these, a schema is no more than it seems.
_FOLDED = (b'"$ref"', b'"$defs"', b'"definitions"', b'"schemas"')

_STRING = re.compile(rb'"[^"]*"?')
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def checked_chat(raw: bytes, models: Collection[str], count: Callable[[int], None] = lambda _: None) -> bytes:
    """Check a chat request and write it anew, so that what was checked is what LiteLLM reads.

    `count` is told of the bytes that it takes besides its own, as of a text.

    Raises:
        RefusedError: 400 for what is not JSON or has a field that fields.py does not allow, 404 for a model not in `models`, and
            whatever `count` raises.
    """
    count(MARK * marks(raw))
    request = parse(raw)
    check(request, CHAT, "")
    count(MARK * _marks_in_texts(request["messages"]))
    if request["model"] not in models:
        message = f"There is no model {request['model'][:80]!r} here. There is: {', '.join(models)}."
        raise RefusedError(message, status=404, param="model", code="model_not_found")
    try:
        # Half a surrogate pair is no character: JavaScript may cut a text there, and UTF-8 cannot carry it.
        written = json.dumps(request, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace")
    except ValueError:
        raise RefusedError("The body holds a number that JSON does not have, such as NaN", code="invalid_json") from None
    if any(word in written for word in _FOLDED):
        count(unfolded(tool["function"].get("parameters") for tool in request.get("tools", [])))
    return written


def parse(raw: bytes) -> Any:
    """Read strict JSON: UTF-8, and no key twice in an object. How deep it is, and how many values it has, is for `marks` to tell before.

    Raises:
        RefusedError: 400.
    """
    try:
        return json.loads(raw.decode("utf-8"), object_pairs_hook=_object)
    except UnicodeDecodeError:
        raise RefusedError("The body is not UTF-8", code="invalid_json") from None
    except (ValueError, RecursionError):
        raise RefusedError("The body is not valid JSON", code="invalid_json") from None


def marks(raw: bytes) -> int:
    """Return how many quotes, commas and brackets there are that are not part of a text.

    Raises:
        RefusedError: 400, there are too many, or the brackets go too deep for anything to be built of them.
    """
    bones = _bones(raw)
    found = _count(bones)
    if found > MAX_MARKS:
        raise _too_many()
    depth = 0
    for bracket in bones.translate(None, _NOT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            raise RefusedError(f"The body is nested deeper than {MAX_DEPTH} levels", code="invalid_json")
    return found


def _bones(raw: bytes) -> bytes:
    """JSON without its texts, unless there are more of these than may be."""
    bones = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    return _STRING.sub(b"", bones) if bones.count(b'"') <= MAX_MARKS else bones


def _count(bones: bytes) -> int:
    return sum(bones.count(mark) for mark in b'",[]{}')


def _marks_in_texts(messages: list[dict[str, Any]]) -> int:
    """Return how many marks there are in the texts that LiteLLM parses: arguments of tool calls, and results that look like JSON.

    Raises:
        RefusedError: 400, there are too many, or telling the calls apart takes too long.
    """
    found = steps = parts = calls = 0
    for message in messages:
        if message["role"] == "assistant":
            weight = 0
            called = message.get("tool_calls", [])
            for call in called:
                arguments = call["function"]["arguments"]
                marks_here = _count_in(arguments)
                found += marks_here
                steps += len(arguments) // STEP_CHARACTERS
                weight += 1 + marks_here // STEP_MARKS
            # What was said and thought is compared with, too.
            parts += 2 + len(called)
            steps += parts * weight
            calls = len(called) or calls
        elif message["role"] == "tool":
            parts = 0
            steps += calls
            if message["content"].lstrip()[:1] in ("{", "["):
                found += _count_in(message["content"])
        elif message["role"] == "user":
            parts = 0
        if found > MAX_TEXT_MARKS:
            raise _too_many()
        if steps > MAX_STEPS:
            complaint = "The messages hold too many tool calls side by side, or too long ones"
            raise RefusedError(complaint, param="messages", code="invalid_value")
    return found


def _count_in(text: str) -> int:
    return _count(_bones(text.encode("utf-8", "replace")))


def _too_many() -> RefusedError:
    return RefusedError("The body holds too many values", code="invalid_json")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise RefusedError("The body names a field of an object twice", code="invalid_json")
    return fields
