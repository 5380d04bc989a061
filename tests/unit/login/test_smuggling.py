"""A request with a body is one request, whatever the body says."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from login_bed import Caddy


@pytest.mark.parametrize("path", ["/check", "/-/login"])
def test_a_body_is_not_taken_for_the_next_request(caddy: Caddy, path: str) -> None:
    body = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
    with socket.create_connection(("127.0.0.1", caddy.port), timeout=5) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        said = b""
        while piece := connection.recv(4096):
            said += piece
    assert said.count(b"HTTP/1.") == 1


def test_a_second_request_on_a_connection_is_not_answered(caddy: Caddy) -> None:
    with socket.create_connection(("127.0.0.1", caddy.port), timeout=5) as connection:
        connection.sendall(b"GET /check HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        said = b""
        while piece := connection.recv(4096):
            said += piece
    assert said.count(b"HTTP/1.") == 1
    assert b" 401 " in said


def test_many_connections_at_once_do_not_wait_for_each_other(caddy: Caddy) -> None:
    """Who is turned away by a full queue tries again after a second, and each request has a connection of its own."""

    def seconds(_: int) -> float:
        started = time.monotonic()
        assert caddy.check() == 401
        return time.monotonic() - started

    with ThreadPoolExecutor(48) as pool:
        taken = sorted(pool.map(seconds, range(480)))
    # As many are turned away without room for them; a busy machine may keep one or two waiting.
    assert taken[-10] < 0.9
