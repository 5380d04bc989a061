"""A keyless caller's chat request: from the bytes that arrived to the bytes that LiteLLM gets. Standard library only."""

import json
import re
from collections.abc import Collection
from typing import Any

from fields import CHAT
from refusal import RefusedError
from shapes import check

MAX_DEPTH = 64
# Each value costs memory many times its bytes: 32 MiB of `[],` would become a gigabyte.
MAX_MARKS = 400_000

_STRING = re.compile(rb'"[^"]*"?')
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def checked_chat(raw: bytes, models: Collection[str]) -> bytes:
    """Check a chat request and write it anew, so that what was checked is what LiteLLM reads.

    Raises:
        RefusedError: 400 for what is not JSON or has a field that fields.py does not allow, 404 for a model not in `models`.
    """
    request = parse(raw)
    check(request, CHAT, "")
    if request["model"] not in models:
        message = f"There is no model {request['model'][:80]!r} here. There is: {', '.join(models)}."
        raise RefusedError(message, status=404, param="model", code="model_not_found")
    try:
        # Half a surrogate pair is no character: JavaScript may cut a text there, and UTF-8 cannot carry it.
        return json.dumps(request, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8", "replace")
    except ValueError:
        raise RefusedError("The body holds a number that JSON does not have, such as NaN", code="invalid_json") from None


def parse(raw: bytes) -> Any:
    """Read strict JSON: UTF-8, no key twice in an object, neither too deep nor too many values.

    Raises:
        RefusedError: 400.
    """
    _bound(raw)
    try:
        return json.loads(raw.decode("utf-8"), object_pairs_hook=_object)
    except UnicodeDecodeError:
        raise RefusedError("The body is not UTF-8", code="invalid_json") from None
    except (ValueError, RecursionError):
        raise RefusedError("The body is not valid JSON", code="invalid_json") from None


def _bound(raw: bytes) -> None:
    """Look at the quotes, commas and brackets that are not part of a text, before anything is built of them."""
    bones = raw.replace(b"\\\\", b"").replace(b'\\"', b"")
    if bones.count(b'"') <= MAX_MARKS:
        bones = _STRING.sub(b"", bones)
    if sum(bones.count(mark) for mark in b'",[]{}') > MAX_MARKS:
        raise RefusedError("The body holds too many values", code="invalid_json")
    depth = 0
    for bracket in bones.translate(None, _NOT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            raise RefusedError(f"The body is nested deeper than {MAX_DEPTH} levels", code="invalid_json")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise RefusedError("The body names a field of an object twice", code="invalid_json")
    return fields
