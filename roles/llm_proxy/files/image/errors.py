"""LiteLLM's and the providers' errors, made fit for a keyless caller. Standard library only.

What went wrong stays (OpenCode reads it to shorten a conversation or to wait); where it went wrong goes: tracebacks,
addresses, deployments, versions, and whatever is or looks like a key.
"""

import json
import re
from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

from masking import Masker
from refusal import error_body

# Characters of an error that are looked at, and that are sent.
MAX_READ = 8_000
MAX_SENT = 2_000
# Bytes of an error that is still arriving; what is longer is no error's text.
MAX_HELD = 1_048_576

# How an event of a chat begins; any other is an error, in one of the several ways in which LiteLLM writes them.
SSE_CHAT = (b'data: {"id"', b"data: [DONE]", b": ")
SSE_END = b"\n\n"

KINDS = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
GENERIC = {
    400: "The provider did not accept the request",
    401: "The provider did not accept the proxy's key",
    403: "The provider did not allow the request",
    404: "The provider does not have what was asked for",
    408: "The provider took too long",
    429: "The provider asks for fewer requests; try again later",
}

# In this order: what is cut off first is not looked at again. None begins anew at each character of a long run: a provider, or who has it
# repeat something, chooses the text, and that would take seconds in which nobody else is answered.
_CUT = re.compile(
    r"(?<!\s)\s*(?:Traceback \(most recent call last\)|Received Model Group=|Available Model Group Fallbacks=|LiteLLM: |LiteLLM Retr).*",
    re.DOTALL,
)
_PREFIXES = re.compile(r"^(?:\s*(?:litellm\.)?(?:[A-Za-z]+(?:Error|Exception))\s*(?::|-)\s*)+")
_REPLACED: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b[a-z][a-z0-9+.-]{1,15}://[^\s\"'<>,)\]}]+", re.IGNORECASE), "[address]"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"), "[address]"),
    (re.compile(r"\[?\b[0-9a-f]{1,4}(?::[0-9a-f]{0,4}){3,7}\b\]?", re.IGNORECASE), "[address]"),
    (re.compile(r"\bhost=['\"]?[^\s'\",)]+['\"]?", re.IGNORECASE), "host=[address]"),
    (re.compile(r"(?<![a-z0-9-])(?<![a-z0-9-]\.)[a-z0-9-]+(?:\.[a-z0-9-]+)*:\d{2,5}\b(?!\.\d)", re.IGNORECASE), "[address]"),
    (re.compile(r"(?<![\w./+-])[\w.+-]*(?:/+[\w.+-]+)+/+(?:site-packages|litellm|ocweb)/[\w./+-]*"), "[file]"),
    (re.compile(r"\blitellm[ /=v]*\d+(?:\.\d+)+\S*", re.IGNORECASE), "[version]"),
    (re.compile(r"\b[0-9a-f]{32,}\b|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "[id]"),
    (re.compile(r"\blitellm\.(?=[A-Z])"), ""),
)
_PLAIN = re.compile(r"(?:[A-Za-z][\w.\[\]-]{0,63}|[1-5]\d\d)\Z", re.ASCII)


class ErrorCleaner:
    """Rewrites errors; `addresses` are the providers' as configured, whose hosts are not to be told."""

    def __init__(self, addresses: Collection[str]) -> None:
        hosts = sorted({host for address in addresses if (host := urlsplit(address).hostname)}, key=len, reverse=True)
        self._hosts = re.compile("|".join(rf"(?<![\w.-]){re.escape(host)}(?::\d+)?(?![\w-])" for host in hosts) or r"(?!)", re.IGNORECASE)

    def clean(self, status: int, body: bytes, masker: Masker) -> bytes:
        """The body of an answer of `status` >= 400, as JSON in OpenAI's shape."""
        error = _find_error(body)
        return self._rewritten(status, error, masker)

    def clean_event(self, event: bytes, masker: Masker) -> bytes:
        """An error event of a stream, without the blank line that ends it; the same made clean."""
        error = _find_error(event)
        code = str(error.get("code"))
        status = int(code) if re.fullmatch(r"[45]\d\d", code) else 500
        return b"data: " + self._rewritten(status, error, masker)

    def _rewritten(self, status: int, error: dict[str, Any], masker: Masker) -> bytes:
        original = str(error.get("message") or "")[:MAX_READ]
        message = self.text(original, masker) or GENERIC.get(status, "The provider or the proxy failed; try again later")
        kind = _plain(error.get("type"), masker) or KINDS.get(status, "invalid_request_error" if status < 500 else "server_error")
        code = _plain(error.get("code"), masker)
        if "ContextWindowExceeded" in original:
            code = "context_length_exceeded"
        return error_body(message, kind, _plain(error.get("param"), masker), code)

    def text(self, message: str, masker: Masker) -> str:
        """An error's text without what a keyless caller need not know."""
        message = _CUT.sub("", message[:MAX_READ])
        message = _inner(_PREFIXES.sub("", message))
        # Secrets first, while they are whole.
        message = masker.scrub(message)
        for pattern, instead in _REPLACED:
            message = pattern.sub(instead, message)
        return self._hosts.sub("[address]", message).strip()[:MAX_SENT]


class ErrorEvents:
    """Finds what is an error in a stream of server-sent events, and lets a chat's own events pass at once."""

    def __init__(self, cleaner: ErrorCleaner, masker: Masker) -> None:
        self._cleaner = cleaner
        self._masker = masker
        self._held = b""
        self._within = False

    def feed(self, data: bytes) -> bytes:
        """What may go out now that `data` has come."""
        data, self._held = self._held + data, b""
        out = []
        while data:
            if not self._within and not data.startswith(SSE_CHAT):
                event, end, rest = data.partition(SSE_END)
                if not end and len(data) <= MAX_HELD:
                    self._held = data
                    break
                out += [self._cleaner.clean_event(event, self._masker), SSE_END]
                data = rest
                continue
            event, end, rest = data.partition(SSE_END)
            if not end and event.endswith(b"\n"):
                # The next byte decides whether this was the event's end.
                event, self._held = event[:-1], b"\n"
            self._within = not end
            out += [event, end]
            data = rest
        return b"".join(out)

    def end(self) -> bytes:
        """What was held back, when nothing more comes."""
        rest, self._held = self._held, b""
        if not rest.strip() or self._within:
            return rest
        return self._cleaner.clean_event(rest, self._masker) + SSE_END


def _find_error(body: bytes) -> dict[str, Any]:
    """The error in an answer, whichever of the usual shapes it has; empty when there is none to be told."""
    text = body[: MAX_READ * 8].decode("utf-8", "replace").removeprefix("data: ").partition("\n\n")[0]
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {} if text.lstrip().startswith(("{", "<")) else {"message": text}
    for name in ("error", "detail"):
        if isinstance(found, dict) and name in found:
            found = found[name]
    if isinstance(found, str):
        return {"message": found}
    return found if isinstance(found, dict) and isinstance(found.get("message"), str) else {}


def _inner(message: str) -> str:
    """The provider's own words, where the message wraps them up as JSON."""
    start = message.find("{")
    if start < 0:
        return message
    try:
        found, _ = json.JSONDecoder().raw_decode(message, start)
    except (ValueError, RecursionError):
        return message
    inner = found.get("error", found) if isinstance(found, dict) else None
    if isinstance(inner, dict) and isinstance(inner.get("message"), str) and inner["message"]:
        return str(inner["message"])
    return message


def _plain(value: Any, masker: Masker) -> str | None:
    """A short name of an error, if that is what `value` is."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str) and _PLAIN.match(value) and masker.scrub(value) == value:
        return value
    return None
