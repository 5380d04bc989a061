"""A server's connection that does not wait for ever: not for a request, and not for a client that does not read its answer."""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

# Seconds from a connection's start, or an answer's end, to the whole header of the next request.
REQUEST_SECONDS = 15.0
# Seconds for which a client may leave unread what waits for it.
READ_SECONDS = 60.0
# Of these, Uvicorn answers the requests of the first 256; it would keep any number of others, with what they have sent.
MAX_CONNECTIONS = 512


class PatientConnection(H11Protocol):
    """Uvicorn's own connection cancels its one timer with the first byte; this one's timers end with the whole of what they wait for."""

    request_seconds = REQUEST_SECONDS
    read_seconds = READ_SECONDS
    _request_timer: asyncio.TimerHandle | None = None
    _read_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Start waiting for the first request; hang up where there are too many others."""
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()
        self._await_request()

    def data_received(self, data: bytes) -> None:
        """Stop waiting when a request has begun; go on when what came belongs to none."""
        super().data_received(data)
        self._await_request()

    def on_response_complete(self) -> None:
        """Start waiting for the next request."""
        super().on_response_complete()
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._stop_request_timer()
        self._stop_read_timer()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client reads more slowly than is written: end the connection if that lasts."""
        super().pause_writing()
        self._read_timer = self._read_timer or self.loop.call_later(self.read_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """The client has read."""
        super().resume_writing()
        self._stop_read_timer()

    def _await_request(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_request_timer()
        elif self._request_timer is None and not self.transport.is_closing():
            self._request_timer = self.loop.call_later(self.request_seconds, self.transport.abort)

    def _stop_request_timer(self) -> None:
        if self._request_timer is not None:
            self._request_timer.cancel()
            self._request_timer = None

    def _stop_read_timer(self) -> None:
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None
