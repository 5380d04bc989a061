"""A key that was left somewhere is found, whatever it is written as, and whoever holds it."""

import base64
import gzip
import html
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import sweep

LIMIT = sweep.Limit(float("inf"))
KEY = "sk-proj-a+b/c=d\"e'f-0123456789"


@pytest.fixture(autouse=True)
def small_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where this machine's own files would be searched, those of the test are."""
    for places, name in (("TEMPORARY", "tmp"), ("LOGS", "log"), ("SETTINGS", "etc")):
        monkeypatch.setattr(sweep, places, [str(tmp_path / name)])
    monkeypatch.setattr(sweep, "_homes", lambda: [str(tmp_path / "home")])
    monkeypatch.setattr(sweep, "_containers", lambda _: ([], ""))
    monkeypatch.setattr(sweep, "_output", lambda _: str(tmp_path / "docker"))


def found(tmp_path: Path) -> dict[str, tuple[int, list[str]]]:
    return {name: (one["found"], one["where"]) for name, one in places(tmp_path).items() if one["found"]}


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


@pytest.mark.parametrize(
    "text",
    [
        html.escape(KEY),
        repr(KEY),
        repr(KEY.encode()),
        json.dumps(KEY).replace("/", "\\/"),
        json.dumps(json.dumps(KEY)),
        quote(KEY),
        re.sub("%..", lambda code: code[0].lower(), quote(KEY, safe="")),
        KEY.encode().hex().upper(),
    ],
    ids=["html", "python", "python bytes", "json of php", "json in json", "path", "url in lower case", "hex in upper case"],
)
def test_a_key_is_known_in_every_spelling_that_the_proxy_masks(tmp_path: Path, text: str) -> None:
    (tmp_path / "stack").mkdir()
    (tmp_path / "stack/notes").write_text(f"before {text} after", encoding="utf-8")
    assert found(tmp_path) == {"the stack's folder": (1, [str(tmp_path / "stack/notes")])}


def test_the_file_that_keeps_it_is_no_find_and_every_other_one_of_that_name_is(tmp_path: Path) -> None:
    kept, other = tmp_path / "stack/records/revoked.c0ffee.openai", tmp_path / "stack/backend/revoked.c0ffee.openai"
    for file in (kept, other):
        file.parent.mkdir(parents=True)
        file.write_text(KEY, encoding="utf-8")
    [folder, *_] = sweep.sweep([KEY], str(tmp_path / "stack"), "ocweb", LIMIT, [str(kept)])
    assert (folder["found"], folder["where"]) == (1, [str(other)])


def test_where_it_is_not_nothing_is_found(tmp_path: Path) -> None:
    (tmp_path / "stack").mkdir()
    (tmp_path / "stack/notes").write_text(KEY[:-1], encoding="utf-8")
    os.mkfifo(tmp_path / "stack/pipe")
    places = sweep.sweep([KEY], str(tmp_path / "stack"), "ocweb", LIMIT)
    assert {place["found"] for place in places} == {0}
    assert len(places) == 8


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


# Reserves more than any memory, as any process may, and writes a page of each piece if it is told to; it keeps a key.
RESERVING = """
import mmap, sys
key = sys.stdin.readline().strip() * 2
kept = []
for number in range(100):
    # Private, nobody's, and not set aside (MAP_NORESERVE).
    kept.append(mmap.mmap(-1, 1 << 40, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000, prot=mmap.PROT_READ | mmap.PROT_WRITE))
    kept[-1].madvise(mmap.MADV_NOHUGEPAGE)
    if "written" in sys.argv:
        kept[-1][number * mmap.PAGESIZE] = 1
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def reserving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Make the backend and the proxy a process each that has reserved 100 TiB; those that are named have written to it here and there."""
    begun = {}

    def begin(*written: str) -> None:
        for name in ("backend", "llm-proxy"):
            words = [sys.executable, "-c", RESERVING, *(["written"] if name in written else [])]
            process = begun[name] = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            assert process.stdin and process.stdout
            process.stdin.write(f"{KEY}\n")
            process.stdin.flush()
            assert process.stdout.readline() == "ready\n"
        containers = [{"service": name, "id": name, "running": True, "layers": [str(tmp_path / "stack")]} for name in begun]
        monkeypatch.setattr(sweep, "_containers", lambda _: (containers, ""))
        monkeypatch.setattr(
            sweep, "_output", lambda words: f"PID\n{begun[words[2]].pid}\n" if words[1] == "top" else str(tmp_path / "docker")
        )

    yield begin
    for process in begun.values():
        process.kill()
        process.communicate()


def test_memory_that_is_only_reserved_takes_no_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reserving: Callable[..., None]
) -> None:
    monkeypatch.setattr(sweep, "SECONDS", 30)
    reserving()
    found = places(tmp_path)
    for place in ("backend: memory", "llm-proxy: memory"):
        assert found[place]["found"] > 0
        assert found[place]["unread"] == []


def test_a_container_whose_memory_takes_too_long_holds_up_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reserving: Callable[..., None]
) -> None:
    # The backend takes all of it, and the proxy a moment, as long as this machine has little else to do.
    monkeypatch.setattr(sweep, "SECONDS", 15)
    reserving("backend")
    begin = time.monotonic()
    found = places(tmp_path)
    assert time.monotonic() - begin < 60
    assert found["backend: memory"]["unread"] == ["the time for it ran out: 1 of its 1 processes were not searched, or not to the end"]
    # What is small comes first.
    assert found["backend: memory"]["found"] > 0
    assert found["llm-proxy: memory"]["unread"] == []


def test_a_search_of_files_that_takes_too_long_is_ended_and_what_it_found_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stack").mkdir()
    engine(tmp_path, monkeypatch, "exit 1")
    (tmp_path / "bin/grep").write_text("#!/bin/sh\nprintf 'found/here\\0'\nexec sleep 600\n", encoding="utf-8")
    (tmp_path / "bin/grep").chmod(0o755)
    monkeypatch.setattr(sweep, "SECONDS", 2)
    found = sweep._in_files("here", [str(tmp_path)], [KEY], LIMIT)
    assert (found["found"], found["where"]) == (1, ["found/here"])
    assert found["unread"] == ["the time for it ran out, and the rest was not looked at"]


def test_that_the_time_ran_out_is_said_before_what_could_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine(tmp_path, monkeypatch, "exit 1")
    (tmp_path / "bin/grep").write_text("#!/bin/sh\nexec sleep 600\n", encoding="utf-8")
    (tmp_path / "bin/grep").chmod(0o755)
    monkeypatch.setattr(sweep, "SECONDS", 1)
    hidden = [f"/{name}: Permission denied" for name in "abc"]
    monkeypatch.setattr(sweep, "_reachable", lambda paths: (paths, hidden))
    unread = sweep._in_files("here", [str(tmp_path)], [KEY], LIMIT)["unread"]
    assert unread == ["the time for it ran out, and the rest was not looked at", *hidden[:2]]


def test_a_search_of_files_that_is_killed_is_not_taken_for_one_that_found_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine(tmp_path, monkeypatch, "exit 1")
    (tmp_path / "bin/grep").write_text("#!/bin/sh\nkill -KILL $$\n", encoding="utf-8")
    (tmp_path / "bin/grep").chmod(0o755)
    assert sweep._in_files("here", [str(tmp_path)], [KEY], LIMIT)["unread"] == ["grep: -9"]


@pytest.mark.parametrize("end", ["time", "callers"])
def test_at_the_end_of_all_time_or_where_nobody_waits_every_search_ends(tmp_path: Path, reserving: Callable[..., None], end: str) -> None:
    for name in ("stack", "tmp", "log", "etc", "home/.config", "docker/containers"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "log/one.gz").write_bytes(gzip.compress(b"nothing"))
    reserving("backend", "llm-proxy")
    asking, gone = os.pipe()
    if end == "callers":
        os.close(gone)
    found = sweep.sweep([KEY], str(tmp_path / "stack"), "ocweb", sweep.Limit(0 if end == "time" else 600, [asking]))
    os.close(asking)
    assert [place["place"] for place in found if not any("the time for it ran out" in reason for reason in place["unread"])] == []
    if end == "time":
        os.close(gone)


CALLED = """
import sweep, time
with sweep.callers() as asking:
    limit = sweep.Limit(60, asking)
    begin = time.monotonic()
    print("waited for" if limit.left() else "alone", flush=True)
    while limit.left():
        time.sleep(0.05)
    print("alone" if time.monotonic() - begin < 50 else "over", flush=True)
"""


def test_who_asked_is_missed_when_it_ends() -> None:
    words = ["sh", "-c", '"$0" -c "$1"; true', sys.executable, CALLED]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=environment) as caller:
        assert caller.stdout
        assert caller.stdout.readline() == "waited for\n"
        caller.kill()
        assert caller.stdout.readline() == "alone\n"


def test_the_memory_of_a_containers_processes_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = holding("memory")
    containers: list[dict[str, Any]] = [{"service": name, "id": "c", "running": True, "layers": []} for name in ("backend", "llm-proxy")]
    monkeypatch.setattr(sweep, "_containers", lambda _: (containers, ""))
    monkeypatch.setattr(sweep, "_output", lambda command: f"PID\n{process.pid}\n" if command[1] == "top" else str(tmp_path))
    places = {one["place"]: one for one in sweep.sweep([KEY], str(tmp_path), "ocweb", LIMIT)}
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
    places = {one["place"]: one for one in sweep.sweep([KEY], str(tmp_path / "stack"), "ocweb", LIMIT)}
    assert places["the stack's folder"]["unread"]


def test_the_layers_of_a_container_are_known_with_either_store() -> None:
    overlay = {"GraphDriver": {"Data": {"UpperDir": "/a/diff", "LowerDir": "/b/diff:/c/diff"}}, "State": {"Pid": 1}}
    assert sweep._layers(overlay) == ["/a/diff", "/b/diff", "/c/diff"]
    snapshot = {"GraphDriver": None, "State": {"Pid": os.getpid()}}
    layers = sweep._layers(snapshot)
    assert f"/proc/{os.getpid()}/root/usr" in layers
    assert f"/proc/{os.getpid()}/root/proc" not in layers


def places(folder: Path, *keys: str) -> dict[str, dict[str, Any]]:
    return {one["place"]: one for one in sweep.sweep([*keys] or [KEY], str(folder / "stack"), "ocweb", LIMIT)}


def test_a_key_that_is_so_short_that_it_stands_everywhere_is_not_looked_for_and_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "stack").mkdir()
    (tmp_path / "stack/notes").write_text("something else", encoding="utf-8")
    for keys in (["x"], ["none"], ["x", KEY]):
        assert {one["found"] for one in places(tmp_path, *keys).values()} == {0}
        assert places(tmp_path, *keys)["a key of less than 8 characters"]["unread"]


def test_a_line_larger_than_the_memory_neither_takes_the_memory_nor_is_taken_for_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "GREP_MEMORY", 100_000)
    home = tmp_path / "stack/backend/home"
    home.mkdir(parents=True)
    with (home / "zeros").open("wb") as file:
        file.truncate(300_000_000)
        file.seek(0, os.SEEK_END)
        file.write(KEY.encode())
    assert places(tmp_path)["the stack's folder"]["where"] == [str(home / "zeros")]
    assert places(tmp_path)["the stack's folder"]["unread"] == []
    with (home / "zeros").open("wb") as file:
        for _ in range(150):
            file.write(b"x" * 1_000_000)
    assert "memory exhausted" in places(tmp_path)["the stack's folder"]["unread"][0]
    (home / "zeros").unlink()


def test_a_log_that_is_packed_is_opened_and_one_that_is_broken_is_said(tmp_path: Path) -> None:
    (tmp_path / "log/app").mkdir(parents=True)
    (tmp_path / "log/app/one.gz").write_bytes(gzip.compress(b"x" * 100 + KEY.encode()))
    (tmp_path / "log/two.gz").write_bytes(gzip.compress(b"y" * 5000)[:-10])
    packed = places(tmp_path)["logs that are packed"]
    assert (packed["found"], packed["where"]) == (1, [str(tmp_path / "log/app/one.gz")])
    assert "two.gz" in packed["unread"][0]


def engine(folder: Path, monkeypatch: pytest.MonkeyPatch, answers: str) -> None:
    """Put a `docker` on the PATH that answers as lines of shell say, and have it asked."""
    monkeypatch.undo()
    monkeypatch.setenv("PATH", f"{folder}/bin:{os.environ['PATH']}")
    (folder / "bin").mkdir()
    (folder / "bin/docker").write_text(f"#!/bin/sh\n{answers}\n", encoding="utf-8")
    (folder / "bin/docker").chmod(0o755)


def test_an_engine_that_cannot_be_asked_is_not_taken_for_one_without_containers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine(tmp_path, monkeypatch, "echo permission denied >&2; exit 1")
    assert sweep._containers("ocweb") == ([], "permission denied")
    monkeypatch.setattr(sweep, "_in_files", lambda place, *_: sweep._place(place))
    monkeypatch.setattr(sweep, "LOGS", [])
    assert places(tmp_path)["the stack's containers"]["unread"] == ["permission denied"]


def test_every_container_of_a_service_is_searched_and_what_lies_in_memory_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    described = [
        {
            "Id": name,
            "Config": {"Labels": {"com.docker.compose.service": "backend"}},
            "GraphDriver": {"Data": {"UpperDir": str(tmp_path / name)}},
            "State": {"Pid": os.getpid(), "Running": True},
        }
        for name in ("one", "two")
    ]
    engine(tmp_path, monkeypatch, f"[ $1 = ps ] && echo one two; [ $1 = inspect ] && echo '{json.dumps(described)}'; true")
    mounts = ["/ / rw - overlay o", "/ /dev rw - tmpfs t", "/ /dev/shm rw - tmpfs t", "/ /tmp rw shared:1 - tmpfs t", "/ /keys ro - ext4 e"]
    read_text = Path.read_text

    def read(path: Path, *arguments: Any, **named: Any) -> str:
        is_table = path.name == "mountinfo"
        return "\n".join(f"1 2 0:1 {line} rw" for line in mounts) if is_table else read_text(path, *arguments, **named)

    monkeypatch.setattr(Path, "read_text", read)
    found, trouble = sweep._containers("ocweb")
    root = f"/proc/{os.getpid()}/root"
    assert [one["layers"] for one in found] == [[str(tmp_path / name), f"{root}/dev/shm", f"{root}/tmp"] for name in ("one", "two")]
    assert trouble == ""
    looked: dict[str, list[str]] = {}

    def look(place: str, paths: list[str], *_: object) -> dict[str, Any]:
        looked[place] = paths
        return sweep._place(place)

    monkeypatch.setattr(sweep, "_in_files", look)
    monkeypatch.setattr(sweep, "LOGS", [])
    memory = places(tmp_path)["backend: memory"]
    assert {str(tmp_path / "one"), str(tmp_path / "two")} <= {*looked["backend: file system and image"]}
    # This docker tells no processes.
    assert "needs the command ps" in memory["unread"][0]


def test_what_may_not_be_looked_at_is_not_taken_for_what_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(os, "lstat", denied)
        assert sweep._in_files("the engine", [str(tmp_path)], [KEY], LIMIT)["unread"] == [f"{tmp_path}: Permission denied"]
    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", denied)
        assert "not allowed" in sweep._in_processes([KEY], LIMIT)["unread"][0]
