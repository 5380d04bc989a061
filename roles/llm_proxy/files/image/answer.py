"""What a keyless caller gets to see of LiteLLM's answer: no secret, no header but the harmless, errors made clean."""

import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from attempt import Attempt
from errors import ErrorCleaner, ErrorEvents
from masking import MaskedStream, Masker

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

# LiteLLM's own tell its version and the provider's address, and it passes the provider's headers on.
RESPONSE_HEADERS = frozenset({b"content-type", b"cache-control"})
# For how long the provider wants to be left alone: by the name that LiteLLM gives a provider's headers, and by its own.
RETRY = b"retry-after"
RETRY_HEADERS = frozenset({RETRY, b"llm_provider-" + RETRY})
# Fewer digits than a secret has characters.
_SECONDS = re.compile(rb"[0-9]{1,7}")
JSON = (b"content-type", b"application/json")
# Bytes of an error that are kept to be looked at.
MAX_ERROR = 1_048_576


class Answer:
    """An ASGI `send` in front of `send`; `masker` tells the secrets of the moment.

    Where `attempt` has another key to try, nothing is sent, and `again` becomes true.
    """

    def __init__(self, send: Send, masker: Callable[[], Masker], cleaner: ErrorCleaner, attempt: Attempt | None = None) -> None:
        self.attempt = attempt
        self.again = False
        self._send = send
        self._masker_now = masker
        self._cleaner = cleaner
        self.started = False
        self._status = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._whole: list[bytes] = []
        self._events: ErrorEvents | None = None

    async def __call__(self, message: Message) -> None:
        """Pass on what LiteLLM sends: a stream as it comes, anything else once it is whole."""
        if message["type"] == "http.response.start":
            seconds = _seconds(message.get("headers", ()))
            self.again = self.attempt is not None and self.attempt.answered(message["status"], float(seconds) if seconds else None)
            if not self.again:
                await self._start(message)
        elif self.again:
            return
        elif message["type"] == "http.response.body":
            data, more = message.get("body", b""), message.get("more_body", False)
            await (self._stream(data, more) if self._events else self._collect(data, more))

    async def _start(self, message: Message) -> None:
        self._status = message["status"]
        # Only now: the key that the provider got may have been put in place while it was asked.
        masker = self._masker = self._masker_now()
        headers = message.get("headers", ())
        self._headers = [(name, masker.mask(value)) for name, value in only(headers, RESPONSE_HEADERS)]
        if seconds := _seconds(headers):
            self._headers.append((RETRY, seconds))
        if self._status < 400 and any(value.startswith(b"text/event-stream") for name, value in self._headers if name == JSON[0]):
            self._events = ErrorEvents(self._cleaner, masker)
            self._masked = MaskedStream(lambda: masker)
            self.started = True
            await self._send({**message, "headers": self._headers})

    async def _stream(self, data: bytes, more: bool) -> None:
        assert self._events
        data = self._masked.feed(self._events.feed(data))
        if not more:
            data += self._masked.feed(self._events.end()) + self._masked.end()
        if data or not more:
            await self._send({"type": "http.response.body", "body": data, "more_body": more})

    async def _collect(self, data: bytes, more: bool) -> None:
        if self._status < 400 or sum(map(len, self._whole)) < MAX_ERROR:
            self._whole.append(data)
        if more:
            return
        body, headers = b"".join(self._whole), self._headers
        if self._status >= 400:
            body = self._cleaner.clean(self._status, body, self._masker)
            headers = [JSON, *(header for header in headers if header[0] != JSON[0])]
        await self.whole(self._status, headers, self._masker.mask(body))

    async def whole(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Send an answer in one piece."""
        self.started = True
        headers = [*headers, (b"content-length", str(len(body)).encode())]
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


def only(headers: Iterable[tuple[bytes, bytes]], names: frozenset[bytes]) -> list[tuple[bytes, bytes]]:
    """Those of the raw ASGI `headers` whose name is in `names`, with the name in lower case."""
    return [(name.lower(), value) for name, value in headers if name.lower() in names]


def _seconds(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """For how long the provider wants to be left alone, if it says so in seconds."""
    return next((value for _, value in only(headers, RETRY_HEADERS) if _SECONDS.fullmatch(value)), None)
