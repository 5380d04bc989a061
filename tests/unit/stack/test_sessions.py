"""What a backup takes from the agent's home, which the agent may have prepared for it."""

import io
import json
import os
import sqlite3
import sys
import tarfile
from pathlib import Path

import pytest

import sessions


class Streams:
    """Standard input or output, as bytes."""

    def __init__(self, content: bytes = b"") -> None:
        self.buffer = io.BytesIO(content)

    def write(self, text: str) -> int:
        return self.buffer.write(text.encode())

    def read(self) -> str:
        return self.buffer.read().decode()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a database that is in use, links that lead out, a pipe, and what is made anew anyway."""
    home = tmp_path / "home"
    (home / sessions.DATABASE).parent.mkdir(parents=True)
    for anew in (".cache", ".npm", ".config/opencode/node_modules"):
        (home / anew).mkdir(parents=True)
        (home / anew / "big").touch()
    (home / "notes").write_text("mine", encoding="utf-8")
    (home / "shadow").symlink_to("/etc/shadow")
    (home / "etc").symlink_to("/etc")
    (home / "fake.db").symlink_to("/etc/hostname")
    os.mkfifo(home / "pipe")
    monkeypatch.setattr(sessions, "HOME", home)
    return home


@pytest.fixture
def database(home: Path) -> sqlite3.Connection:
    """The sessions' database, with changes that are not in its file yet."""
    live = sqlite3.connect(home / sessions.DATABASE)
    live.execute("PRAGMA journal_mode=WAL")
    live.execute("CREATE TABLE migration (id TEXT, time_completed INTEGER)")
    live.execute("INSERT INTO migration VALUES ('2_two', 0), ('1_one', 0)")
    live.commit()
    return live


def packed(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """Return the archive of the home."""
    monkeypatch.setattr(sys, "stdin", Streams(json.dumps({"manifest.json": "{}"}).encode()))
    out = Streams()
    monkeypatch.setattr(sys, "stdout", out)
    sessions.pack()
    return out.buffer.getvalue()


def test_a_backup_follows_no_link_and_waits_at_no_pipe(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tarfile.open(fileobj=io.BytesIO(packed(monkeypatch))) as archive:
        kinds = {entry.name: entry.type for entry in archive}
    assert next(iter(kinds)) == "manifest.json"
    links = {f"sessions/{name}": tarfile.SYMTYPE for name in ("shadow", "etc", "fake.db")}
    assert {name: kind for name, kind in kinds.items() if kind == tarfile.SYMTYPE} == links
    assert kinds["sessions/notes"] == tarfile.REGTYPE
    assert [name for name in kinds if any(part in name for part in ("pipe", "cache", "npm", "node_modules", "sessions/etc/"))] == []


def test_a_database_in_use_is_packed_whole_and_comes_back(
    home: Path, database: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = packed(monkeypatch)
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    monkeypatch.setattr(sessions, "HOME", fresh)
    monkeypatch.setattr(sys, "stdin", Streams(archive))
    sessions.unpack()
    assert sessions.changes(fresh / sessions.DATABASE) == ["1_one", "2_two"]
    assert sorted(os.listdir((fresh / sessions.DATABASE).parent)) == ["opencode.db"]
    assert (fresh / "notes").read_text(encoding="utf-8") == "mine"
    assert os.readlink(fresh / "shadow") == "/etc/shadow"


def test_a_format_is_read_from_a_database_alone(home: Path) -> None:
    path = home / sessions.DATABASE
    assert sessions.changes(path) == []
    path.symlink_to("/etc/hostname")
    assert sessions.changes(path) == []


def test_a_database_that_is_put_back_keeps_the_one_that_was_there(
    home: Path, database: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Streams()
    monkeypatch.setattr(sys, "stdout", out)
    sessions.copy_out()
    database.execute("INSERT INTO migration VALUES ('3_three', 0)")
    database.commit()
    database.close()
    monkeypatch.setattr(sys, "stdin", Streams(out.buffer.getvalue()))
    sessions.put_back()
    assert sessions.changes(home / sessions.DATABASE) == ["1_one", "2_two"]
    aside = [path for path in (home / sessions.DATABASE).parent.iterdir() if path.name.endswith("Z")]
    assert [sessions.changes(path) for path in aside] == [["1_one", "2_two", "3_three"]]
