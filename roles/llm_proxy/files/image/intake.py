"""Reads a request's body within limits of size, time and memory. Standard library only."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

from refusal import RefusedError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

MAX_BODY = 32 * 1024 * 1024
MAX_SECONDS = 60.0
# Bytes of all the requests under way, and of texts that would take what their values take. LiteLLM keeps several copies of each: one of
# 31 MB with a single emoji in it, which makes every character four bytes, takes 370 MB more; and llm_proxy_memory_limit is 1 GB.
MAX_TOGETHER = 48 * 1024 * 1024


class GoneError(Exception):
    """The client went away before its request was whole."""


class Intake:
    """Counts what all the requests under way hold."""

    def __init__(self, max_body: int = MAX_BODY, max_together: int = MAX_TOGETHER, seconds: float = MAX_SECONDS) -> None:
        self.max_body = max_body
        self.max_together = max_together
        self.seconds = seconds
        self.held = 0

    @asynccontextmanager
    async def body(self, headers: Iterable[tuple[bytes, bytes]], receive: Receive) -> AsyncIterator[tuple[bytes, Callable[[int], None]]]:
        """The whole JSON body of a request, and what counts further bytes that it takes; its memory counts until the context is left.

        Raises:
            RefusedError: 400 for another content type, 413 when it is too large, 408 when it is too slow, 503 when others hold too much.
            GoneError: the client is gone.
        """
        self._look_at(headers)
        share = [0]
        try:
            # The caller's is to be the only reference: it lets go of the bytes once they are checked.
            whole = [await self._read(receive, share)]
            yield whole.pop(), lambda more: self._count(more, share)
        finally:
            self.held -= share[0]

    async def _read(self, receive: Receive, share: list[int]) -> bytes:
        """Read all, counting in `share` what this request holds of `held`."""
        pieces: list[bytes] = []
        try:
            async with asyncio.timeout(self.seconds):
                async for piece in _pieces(receive):
                    if share[0] + len(piece) > self.max_body:
                        raise _too_large(self.max_body)
                    self._count(len(piece), share)
                    pieces.append(piece)
        except TimeoutError:
            raise RefusedError(f"The body did not arrive within {self.seconds:g} seconds", status=408, code="request_timeout") from None
        return b"".join(pieces)

    def _count(self, more: int, share: list[int]) -> None:
        share[0] += more
        self.held += more
        if self.held > self.max_together:
            raise RefusedError("Too much is under way; try again later", status=503, kind="server_error", code="overloaded")

    def _look_at(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        found: dict[bytes, list[bytes]] = {}
        for name, value in headers:
            found.setdefault(name.lower(), []).append(value)
        kinds = found.get(b"content-type", [])
        if len(kinds) != 1 or kinds[0].partition(b";")[0].strip().lower() != b"application/json":
            raise RefusedError("The content type has to be application/json", code="invalid_content_type")
        length = found.get(b"content-length", [b"0"])[0]
        if length.isdigit() and int(length[:20]) > self.max_body:
            raise _too_large(self.max_body)


async def _pieces(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise GoneError
        yield message.get("body", b"")
        more = message.get("more_body", False)


def _too_large(limit: int) -> RefusedError:
    return RefusedError(f"The body is larger than {limit} bytes", status=413, code="request_too_large")
