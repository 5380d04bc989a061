"""A key that was left somewhere is found, whatever it is written as, and whoever holds it."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import sweep

KEY = "sk-proj-a+b/c=d\"e'f-0123456789"


@pytest.fixture(autouse=True)
def small_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where this machine's own files would be searched, those of the test are."""
    for places, name in (("TEMPORARY", "tmp"), ("LOGS", "log"), ("SETTINGS", "etc")):
        monkeypatch.setattr(sweep, places, [str(tmp_path / name)])
    monkeypatch.setattr(sweep, "_homes", lambda: [str(tmp_path / "home")])
    monkeypatch.setattr(sweep, "_containers", lambda _: [])
    monkeypatch.setattr(sweep, "_output", lambda _: str(tmp_path / "docker"))


def found(tmp_path: Path) -> dict[str, tuple[int, list[str]]]:
    return {one["place"]: (one["found"], one["where"]) for one in sweep.sweep([KEY], str(tmp_path / "stack"), "ocweb") if one["found"]}


@pytest.mark.parametrize(
    "text",
    [
        KEY,
        json.dumps({"key": KEY}),
        f"https://host/?key={quote(KEY, safe='')}&x=y",
        KEY.encode().hex(),
        *(base64.b64encode(b"x" * before + KEY.encode() + b":").decode() for before in range(3)),
        base64.urlsafe_b64encode(f"user:{KEY}".encode()).decode(),
    ],
    # An environment tells the name of the test that runs.
    ids=["plain", "json", "url", "hex", "base64", "base64 after one", "base64 after two", "base64 for urls"],
)
@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("stack/backend/home/notes", "the stack's folder"),
        ("tmp/ansible-tmp-1/source", "temporary files"),
        ("log/syslog", "logs and mail"),
        ("etc/environment", "the system's configuration"),
        ("home/.bash_history", "homes: histories, caches, configuration"),
        ("home/.ansible/tmp/x", "homes: histories, caches, configuration"),
        ("docker/containers/c0ffee/config.v2.json", "the engine: containers' metadata and logs, images' metadata, volumes, build cache"),
    ],
)
def test_a_file_that_holds_it_is_found(tmp_path: Path, path: str, place: str, text: str) -> None:
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    file.write_text(f"before {text} after", encoding="utf-8")
    assert found(tmp_path) == {place: (1, [str(file)])}


def test_where_it_is_not_nothing_is_found(tmp_path: Path) -> None:
    (tmp_path / "stack").mkdir()
    (tmp_path / "stack/notes").write_text(KEY[:-1], encoding="utf-8")
    os.mkfifo(tmp_path / "stack/pipe")
    places = sweep.sweep([KEY], str(tmp_path / "stack"), "ocweb")
    assert {place["found"] for place in places} == {0}
    assert len(places) == 7


def holding(where: str) -> Any:
    """A process that holds the key in its memory or its environment, once it says so."""
    environment = {**os.environ, **({"KEPT": KEY} if where == "environment" else {})}
    program = "import sys; key = sys.stdin.readline().strip() * 2; print('ready', flush=True); sys.stdin.read()"
    process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdin
    assert process.stdout
    process.stdin.write((KEY if where == "memory" else "nothing") + "\n")
    process.stdin.flush()
    process.stdout.readline()
    return process


def test_the_memory_of_a_containers_processes_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = holding("memory")
    monkeypatch.setattr(sweep, "_containers", lambda _: [{"service": name, "id": "c", "layers": []} for name in ("backend", "llm-proxy")])
    monkeypatch.setattr(sweep, "_output", lambda command: f"PID\n{process.pid}\n" if command[1] == "top" else str(tmp_path))
    places = {one["place"]: one for one in sweep.sweep([KEY], str(tmp_path), "ocweb")}
    process.kill()
    process.wait()
    assert places["backend: memory"]["found"] > 0
    assert not places["backend: memory"]["expected"]
    assert places["llm-proxy: memory"]["expected"]
    assert places["every process: command line and environment"]["found"] == 0


def test_the_environment_of_every_process_is_looked_at(tmp_path: Path) -> None:
    process = holding("environment")
    places = found(tmp_path)
    process.kill()
    process.wait()
    assert places["every process: command line and environment"] == (1, [f"/proc/{process.pid}/environ"])


def test_what_cannot_be_searched_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stack").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))
    places = {one["place"]: one for one in sweep.sweep([KEY], str(tmp_path / "stack"), "ocweb")}
    assert places["the stack's folder"]["unread"]


def test_the_layers_of_a_container_are_known_with_either_store() -> None:
    overlay = {"GraphDriver": {"Data": {"UpperDir": "/a/diff", "LowerDir": "/b/diff:/c/diff"}}, "State": {"Pid": 1}}
    assert sweep._layers(overlay) == ["/a/diff", "/b/diff", "/c/diff"]
    snapshot = {"GraphDriver": None, "State": {"Pid": os.getpid()}}
    layers = sweep._layers(snapshot)
    assert f"/proc/{os.getpid()}/root/usr" in layers
    assert f"/proc/{os.getpid()}/root/proc" not in layers
