"""What a backup takes from the agent's home, which the agent may have prepared for it."""

import contextlib
import errno
import io
import json
import os
import sqlite3
import stat
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
    (home / "same").hardlink_to(home / "notes")
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


def unpacked(archive: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Unpack an archive into a fresh home, and return that."""
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    monkeypatch.setattr(sessions, "HOME", fresh)
    monkeypatch.setattr(sys, "stdin", Streams(archive))
    sessions.unpack()
    return fresh


def test_a_backup_follows_no_link_and_waits_at_no_pipe(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tarfile.open(fileobj=io.BytesIO(packed(monkeypatch))) as archive:
        kinds = {entry.name: entry.type for entry in archive}
    assert next(iter(kinds)) == "manifest.json"
    links = {f"sessions/{name}": tarfile.SYMTYPE for name in ("shadow", "etc", "fake.db")}
    assert {name: kind for name, kind in kinds.items() if kind == tarfile.SYMTYPE} == links
    assert kinds["sessions/notes"] == kinds["sessions/same"] == tarfile.REGTYPE
    assert [name for name in kinds if any(part in name for part in ("pipe", "cache", "npm", "node_modules", "sessions/etc/"))] == []


def test_a_database_in_use_is_packed_whole_and_comes_back(
    home: Path, database: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = packed(monkeypatch)
    fresh = unpacked(archive, tmp_path, monkeypatch)
    assert sessions.changes(fresh / sessions.DATABASE) == ["1_one", "2_two"]
    assert sorted(os.listdir((fresh / sessions.DATABASE).parent)) == ["opencode.db"]
    assert (fresh / "notes").read_text(encoding="utf-8") == "mine"
    assert os.readlink(fresh / "shadow") == "/etc/shadow"


def test_folders_that_nobody_may_write_to_and_what_a_group_may_come_back(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = home / "go/pkg/mod/example.org"
    (module / "inner").mkdir(parents=True)
    (module / "inner/main.go").write_text("package main", encoding="utf-8")
    (module / "inner/main.go").chmod(0o664)
    for folder, mode in ((module / "inner", 0o555), (module, 0o555), (home / "go", 0o2775)):
        os.utime(folder, (1_700_000_000, 1_700_000_000))
        folder.chmod(mode)
    archive = packed(monkeypatch)
    extracted = []
    real = tarfile.TarFile.extract

    def extract(archive: tarfile.TarFile, entry: tarfile.TarInfo, path: Path, **options: Any) -> None:
        # Root may write anywhere; what may be written to by others is to be seen at that time.
        real(archive, entry, path, **options)
        extracted.append((entry.name, stat.S_IMODE((path / entry.name).lstat().st_mode)))

    monkeypatch.setattr(tarfile.TarFile, "extract", extract)
    fresh = unpacked(archive, tmp_path, monkeypatch)
    assert all(mode & stat.S_IWUSR for name, mode in extracted if (fresh / name).is_dir() and not (fresh / name).is_symlink())
    found = {name: stat.S_IMODE((fresh / name).stat().st_mode) for name in ("go", "go/pkg/mod/example.org", "go/pkg/mod/example.org/inner")}
    assert list(found.values()) == [0o2775, 0o555, 0o555]
    assert stat.S_IMODE((fresh / "go/pkg/mod/example.org/inner/main.go").stat().st_mode) == 0o664
    assert (fresh / "go").stat().st_mtime == 1_700_000_000


def test_a_file_that_goes_while_it_is_packed_is_left_out(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = tarfile.TarFile.gettarinfo

    def gone(archive: tarfile.TarFile, path: str, name: str) -> tarfile.TarInfo:
        entry = real(archive, path, name)
        if path.endswith("/notes"):
            Path(path).unlink()
        return entry

    monkeypatch.setattr(tarfile.TarFile, "gettarinfo", gone)
    with tarfile.open(fileobj=io.BytesIO(packed(monkeypatch))) as archive:
        names = archive.getnames()
    assert "sessions/notes" not in names
    assert "sessions/shadow" in names


@pytest.fixture
def no_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read what its owner may read, whoever runs the tests."""

    def guarded(real: Callable[..., Any]) -> Callable[..., Any]:
        def opened(path: Any, *words: Any, **options: Any) -> Any:
            if isinstance(path, (str, Path)) and os.path.lexists(path) and not lstat(path).st_mode & stat.S_IRUSR:
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return real(path, *words, **options)

        return opened

    def entered(real: Callable[..., os.stat_result]) -> Callable[..., os.stat_result]:
        def looked(path: Any, **options: Any) -> os.stat_result:
            if (
                isinstance(path, (str, Path))
                and str(path).startswith(str(tmp_path))
                and not lstat(Path(path).parent).st_mode & stat.S_IXUSR
            ):
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return real(path, **options)

        return looked

    lstat = os.lstat
    monkeypatch.setattr(os, "open", guarded(os.open))
    monkeypatch.setattr(os, "scandir", guarded(os.scandir))
    monkeypatch.setattr(os, "stat", entered(os.stat))
    monkeypatch.setattr(os, "lstat", entered(os.lstat))


@pytest.mark.usefixtures("no_root")
def test_what_the_agent_itself_may_not_read_is_left_out_and_named(
    home: Path, database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "notes").chmod(0)
    (home / "locked").mkdir(mode=0)
    # Whose names can be read, and nothing else.
    (home / "listed/inner").mkdir(parents=True)
    (home / "listed").chmod(0o600)
    with tarfile.open(fileobj=io.BytesIO(packed(monkeypatch))) as archive:
        names = archive.getnames()
    left_out = json.loads(capsys.readouterr().err.splitlines()[-1])
    # One file with two names.
    assert sorted(map(json.loads, left_out)) == [str(home / name) for name in ("listed/inner", "locked", "notes", "same")]
    assert "sessions/shadow" in names
    assert f"sessions/{sessions.DATABASE}" in names
    assert not {"sessions/notes", "sessions/same"} & set(names)


@pytest.mark.usefixtures("no_root")
def test_of_many_names_that_the_agent_chose_few_are_told(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(100):
        (home / f"{number:03}\n\x1b[2J").touch(mode=0)
    packed(monkeypatch)
    told = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert len(told) == sessions.MOST_UNREADABLE + 1
    assert told[-1] == "others"
    assert all(name.isprintable() for name in told)


@pytest.mark.usefixtures("no_root")
def test_a_backup_without_the_workspace_is_none(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "workspace").mkdir(mode=0)
    monkeypatch.setattr(sessions, "WORKSPACE", tmp_path / "workspace")
    with pytest.raises(PermissionError):
        packed(monkeypatch)


@pytest.mark.usefixtures("no_root")
@pytest.mark.parametrize("part", [sessions.DATABASE, str(Path(sessions.DATABASE).parent), ".local"])
def test_a_backup_without_the_sessions_is_none(
    home: Path, database: sqlite3.Connection, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mode = (home / part).stat().st_mode
    (home / part).chmod(0)
    try:
        with pytest.raises(PermissionError):
            packed(monkeypatch)
    finally:
        (home / part).chmod(mode)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE VIEW migration AS WITH RECURSIVE c(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM c) SELECT id FROM c",
        "CREATE TABLE other (id TEXT)",
    ],
)
def test_what_is_no_table_of_changes_is_not_read(home: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(home / sessions.DATABASE)) as database:
        database.execute(statement)
        database.commit()
    assert sessions.changes(home / sessions.DATABASE) == []


def test_changes_without_end_are_read_to_one(home: Path, database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MOST_CHANGES", 1)
    assert len(sessions.changes(home / sessions.DATABASE)) == 1
    monkeypatch.setattr(sessions, "SECONDS_FOR_CHANGES", 0)
    database.execute(
        "WITH RECURSIVE c(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM c LIMIT 200000) INSERT INTO migration SELECT id, 0 FROM c"
    )
    database.commit()
    monkeypatch.setattr(sessions, "MOST_CHANGES", 10**9)
    with pytest.raises(sqlite3.OperationalError, match="interrupted"):
        sessions.changes(home / sessions.DATABASE)


def test_a_database_that_is_kept_locked_is_not_waited_for_without_end(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "SECONDS_FOR_A_COPY", 0)
    path = home / sessions.DATABASE
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("CREATE TABLE migration (id TEXT)")
        database.execute("BEGIN EXCLUSIVE")
        with pytest.raises(TimeoutError, match=r"opencode\.db is locked by somebody"):
            sessions.copied(path)


def test_of_other_databases_what_is_none_is_packed_as_it_is(
    home: Path, database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "junk.db").write_bytes(sessions.MAGIC + b"junk" * 100)
    (home / "odd.db").write_bytes(sessions.MAGIC)
    (home / ".odd.db.copy").mkdir()
    with tarfile.open(fileobj=io.BytesIO(packed(monkeypatch))) as archive:
        sizes = {entry.name: entry.size for entry in archive}
    assert (sizes["sessions/junk.db"], sizes["sessions/odd.db"]) == (16 + 400, 16)
    assert f"sessions/{sessions.DATABASE}" in sizes
    database.close()
    (home / sessions.DATABASE).write_bytes(sessions.MAGIC + b"junk" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        packed(monkeypatch)
    assert not [path for path in (home / sessions.DATABASE).parent.iterdir() if "copy" in path.name]


def test_what_was_packed_or_unpacked_is_not_kept_in_memory(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(300):
        (home / f"{number}").touch()
    most = 0

    def open_archive(*words: Any, **options: Any) -> Any:
        class Counted(tarfile.TarFile):
            def __setattr__(self, name: str, value: object) -> None:
                nonlocal most
                most = max(most, *(len(self.__dict__.get(kept, [])) for kept in ("members", "inodes")))
                super().__setattr__(name, value)

        return Counted.open(*words, **options)

    monkeypatch.setattr(tarfile, "open", open_archive)
    archive = packed(monkeypatch)
    fresh = unpacked(archive, tmp_path, monkeypatch)
    assert len(os.listdir(fresh)) > 300
    assert 0 < most < 10


def test_what_does_not_fit_leaves_the_database_and_nothing_else(
    home: Path, database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.close()
    before = os.listdir((home / sessions.DATABASE).parent)

    class Full:
        def read(self, _: int) -> bytes:
            raise OSError(28, "No space left on device")

    stdin = Streams()
    stdin.buffer = Full()  # type: ignore[assignment]
    monkeypatch.setattr(sys, "stdin", stdin)
    with pytest.raises(OSError, match="No space left"):
        sessions.put_back()
    assert os.listdir((home / sessions.DATABASE).parent) == before


def test_the_size_of_the_database_is_said(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / sessions.DATABASE).write_bytes(b"x" * 1234)
    sessions.size()
    assert capsys.readouterr().out == "1234\n"


def test_a_format_that_cannot_be_read_is_not_taken_for_none(tmp_path: Path, stub_command: Callable[..., None]) -> None:
    stub_command("echo sqlite3.DatabaseError: database disk image is malformed >&2; exit 1")
    with pytest.raises(RuntimeError, match="database disk image is malformed"):
        sessions.Sessions(tmp_path, "image", "").format()
    stub_command("""echo '["1_one"]'""")
    assert sessions.Sessions(tmp_path, "image", "").format() == ["1_one"]


def test_what_works_in_the_home_is_confined(tmp_path: Path) -> None:
    command = sessions.Sessions(tmp_path, "image", "").command
    limits = {"--network=none", "--read-only", "--cap-drop=ALL", "--memory=512m", "--memory-swap=512m", "--log-driver=none"}
    assert limits <= set(command[: command.index("image")])


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
    assert out.buffer.getvalue().endswith(aside[0].name.removeprefix("opencode.db.").encode() + b"\n")
    sessions.take_back(aside[0].name.removeprefix("opencode.db."))
    assert sessions.changes(home / sessions.DATABASE) == ["1_one", "2_two", "3_three"]
    assert os.listdir((home / sessions.DATABASE).parent) == ["opencode.db"]
