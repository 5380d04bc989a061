"""What a deploy fetches from is asked before, and what is in the way is said."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

import mirrors


class Mirror(BaseHTTPRequestHandler):
    """Has nothing to show, or, where the path says so, wants a proxy's password or is silent the first time."""

    silent: ClassVar[list[str]] = []

    def do_HEAD(self) -> None:
        if self.path in self.silent:
            self.silent.remove(self.path)
            return
        self.send_error(407 if "proxied" in self.path else 404)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_any_answer_shows_that_a_mirror_is_reached(mirror: str) -> None:
    assert mirrors.unreachable({"stack_debian_mirror": f"{mirror}/debian"}, "") == {}


def test_a_mirror_whose_first_answer_is_lost_is_asked_again(mirror: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Mirror, "silent", ["/once", "/twice", "/twice"])
    assert list(mirrors.unreachable({"a": f"{mirror}/once", "b": f"{mirror}/twice"}, "")) == ["b"]


def test_what_is_in_the_way_of_a_mirror_is_said(mirror: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        found = mirrors.unreachable({"a": nobody, "b": "https://no-such-host.invalid/", "c": f"{mirror}/proxied", "d": "not a url"}, "")
    assert list(found) == ["a", "b", "c", "d"]
    assert "refused" in found["a"]
    assert found["c"] == "the proxy wants a password"


def test_a_mirror_is_reached_by_the_proxy_that_builds_have(mirror: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"stack_debian_mirror": "http://deb.example.invalid/debian"}
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert mirrors.unreachable(asked, "") != {}
    (tmp_path / "config.json").write_text(json.dumps({"proxies": {"default": {"httpProxy": mirror}}}), encoding="utf-8")
    assert mirrors.unreachable(asked, "") == {}


SOURCES = {
    "stack_debian_mirror": "http://debian.example/",
    "docker_repository": "https://docker.example/",
    "docker_debian_mirror": "http://trixie.example/",
    "frontend_acme_directory": "https://authority.example/",
}


COMPLETE = {"state": "running", "compose": "2.26.1", "buildx": "0.13.1", "images": ["localhost/ocweb/backend:1"]}


NONE = {"state": "absent", "compose": "", "buildx": "", "images": []}


@pytest.mark.parametrize(
    ("engine", "version", "description", "asked"),
    [
        (NONE, "13", "", ["stack_debian_mirror", "docker_repository", "frontend_acme_directory"]),
        (NONE, "12", "", list(SOURCES)),
        ({**COMPLETE, "buildx": ""}, "12", "services:", ["docker_repository", "docker_debian_mirror", "frontend_acme_directory"]),
        ({**COMPLETE, "images": []}, "12", "", ["stack_debian_mirror", "frontend_acme_directory"]),
        (COMPLETE, "12", "", ["frontend_acme_directory"]),
        (COMPLETE, "12", 'ocweb.acme: "false"', ["frontend_acme_directory"]),
        (COMPLETE, "12", 'ocweb.acme: "true"', []),
    ],
)
def test_what_a_deploy_fetches_from_is_asked_and_nothing_else(
    stub_command: Callable[..., None], engine: dict[str, Any], version: str, description: str, asked: list[str]
) -> None:
    stub_command("echo 'APT::Architecture \"amd64\";'", "apt-config")
    host = {"engine": engine, "distribution": "debian", "version": version, "description": description, "deployed": description != ""}
    assert list(mirrors.needed(SOURCES, host)) == asked


@pytest.mark.parametrize("line", ['Acquire::http::Proxy "http://proxy:3142";', 'Acquire::https::proxy-auto-detect "/bin/proxy";'])
def test_packages_that_come_by_a_proxy_of_apts_are_apts_to_reach(stub_command: Callable[..., None], line: str) -> None:
    stub_command(f"echo '{line}'", "apt-config")
    host = {"engine": NONE, "distribution": "debian", "version": "12", "description": "", "deployed": False}
    assert list(mirrors.needed(SOURCES, host)) == ["stack_debian_mirror", "frontend_acme_directory"]
