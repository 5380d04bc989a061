"""What calls the login in these tests."""

import http.client
from pathlib import Path
from urllib.parse import urlencode

import login

PASSWORD = "correct horse battery"


class Caddy:
    """What calls the login."""

    def __init__(self, port: int, users: Path, handler: type[login.Handler]) -> None:
        self.port = port
        self.users = users
        self.handler = handler

    def call(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: str | None = None
    ) -> tuple[int, dict[str, str], str]:
        """Return status, headers and text of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode()

    def log_in(self, name: str = "dev", password: str = PASSWORD, address: str = "192.0.2.7") -> tuple[int, dict[str, str], str]:
        return self.call("POST", "/-/login", {"X-Forwarded-For": address}, urlencode({"name": name, "password": password}))

    def check(self, cookie: str = "", **headers: str) -> int:
        return self.call("GET", "/check", {"Cookie": cookie, **headers})[0]


def cookie(headers: dict[str, str]) -> str:
    return headers["set-cookie"].partition(";")[0]
