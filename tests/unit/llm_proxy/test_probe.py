"""A key is tried by a call that costs nothing, at the address that is its provider's and nowhere else."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import probe

KEY = "sk-key-0123456789"


class Server(ThreadingHTTPServer):
    """Answers with a status and a body, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.body, self.headers = 200, b"{}", {"content-type": "application/json"}
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """Answers as its server is told."""

    server: Server

    def do_GET(self) -> None:
        self.server.asked.append((self.command, self.path, {name.lower(): value for name, value in self.headers.items()}))
        self.send_response(self.server.status)
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.server.body)

    do_POST = do_GET

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    found = Server()
    yield found
    found.shutdown()


@pytest.mark.parametrize(
    ("litellm", "base", "path", "header"),
    [
        ("openai", "/v1", "/v1/models", ("authorization", f"Bearer {KEY}")),
        ("mistral", "/v1/", "/v1/models", ("authorization", f"Bearer {KEY}")),
        ("anthropic", "", "/v1/models", ("x-api-key", KEY)),
        ("anthropic", "/v1", "/v1/models", ("x-api-key", KEY)),
        ("gemini", "/v1beta", "/v1beta/models", ("x-goog-api-key", KEY)),
    ],
)
def test_each_kind_of_provider_is_asked_for_its_models(server: Server, litellm: str, base: str, path: str, header: tuple[str, str]) -> None:
    assert probe.status_of(probe.free_call(litellm, server.url + base, KEY)) == 200
    [(method, asked, headers)] = server.asked
    assert (method, asked) == ("GET", path)
    assert headers[header[0]] == header[1]
    assert KEY not in asked


@pytest.mark.parametrize(
    ("status", "body", "found"),
    [
        (401, b"", 401),
        (429, b"", 429),
        (503, b"", 503),
        (400, b'{"error": {"status": "INVALID_ARGUMENT", "details": [{"reason": "API_KEY_INVALID"}]}}', 401),
        (400, b'{"error": {"status": "INVALID_ARGUMENT"}}', 400),
    ],
)
def test_what_comes_of_it_is_the_status(server: Server, status: int, body: bytes, found: int) -> None:
    server.status, server.body = status, body
    assert probe.status_of(probe.free_call("openai", server.url, KEY)) == found


def test_where_nobody_answers_it_is_0() -> None:
    assert probe.status_of(probe.free_call("openai", "http://127.0.0.1:1/v1", KEY)) == 0


def test_a_key_follows_no_redirect(server: Server) -> None:
    other = Server()
    server.status, server.headers = 302, {"location": f"{other.url}/v1/models"}
    assert probe.status_of(probe.free_call("openai", server.url, KEY)) == 302
    assert other.asked == []
    other.shutdown()


def test_the_key_is_read_from_standard_input_and_not_told(server: Server) -> None:
    given = json.dumps({"litellm": "openai", "api_base": server.url, "key": KEY})
    command = [sys.executable, "-IS", str(Path(probe.__file__)), "try"]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=True, env={})
    assert (json.loads(done.stdout), done.stderr) == ({"status": 200}, "")


def test_the_way_leads_through_the_guard_that_the_environment_names(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    assert probe.status_of(probe.free_call("openai", "http://api.example/v1", KEY)) == 200
    assert server.asked[0][1] == "http://api.example/v1/models"
