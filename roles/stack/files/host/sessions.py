"""Works in the agent's home, where its sessions are, from inside a container that sees nothing else.

What lies there was written by an agent that may be hostile: on the host, a link that it left could lead anywhere.
Runs as ``python -c THIS ACTION`` in the proxy's image, as the user whom the home belongs to, with the home at /home/opencode.
The host's side of it is ``Sessions``.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import sqlite3
import stat
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import IO, Any

HOME = Path("/home/opencode")
WORKSPACE = Path("/workspace")
# What OpenCode keeps its sessions in, and a table in it that names each change of its format.
DATABASE = ".local/share/opencode/opencode.db"
MAGIC = b"SQLite format 3\0"
# Made anew where they are missing: they are no one's work.
LEFT_OUT = (
    ".cache",
    ".npm",
    ".config/opencode/node_modules",
    ".local/state/opencode/locks",
    ".local/share/opencode/log",
    ".gitconfig",
    ".ssh",
)
SMALL = 64 * 2**20
# More changes than OpenCode's format will have, and longer than it takes to read them, in seconds: the agent may have written them.
MOST_CHANGES = 10_000
SECONDS_FOR_CHANGES = 20
SECONDS_FOR_A_COPY = 120
MOST_UNREADABLE = 10
NAME = re.compile(r"[\w.-]{1,100}")


class Sessions:
    """The agent's home at ``home`` on the host, worked on with ``image``."""

    def __init__(self, home: Path, image: str, source: str, extra: tuple[str, ...] = ()) -> None:
        owner = home.stat()
        confined = (
            "--network=none",
            "--read-only",
            "--cap-drop=ALL",
            "--security-opt=no-new-privileges",
            "--pids-limit=64",
            "--tmpfs=/tmp",
            "--memory=512m",
            "--memory-swap=512m",
            # What it prints is a whole home, which the engine would keep in a file beside.
            "--log-driver=none",
        )
        mounts = [word for mount in (f"{home}:{HOME}", *extra) for word in ("--volume", mount)]
        user = f"--user={owner.st_uid}:{owner.st_gid}"
        self.command = ["docker", "run", "--rm", "--interactive", *confined, user, *mounts, image, "/app/bin/python", "-IS", "-c", source]

    def start(
        self, *words: str, stdin: int | IO[bytes] = subprocess.DEVNULL, stdout: int | IO[bytes] = subprocess.PIPE
    ) -> subprocess.Popen[bytes]:
        """Start an action; standard error is kept."""
        return subprocess.Popen([*self.command, *words], stdin=stdin, stdout=stdout, stderr=subprocess.PIPE)

    def ask(self, *words: str, stdin: int | IO[bytes] = subprocess.DEVNULL, stdout: int | IO[bytes] = subprocess.PIPE) -> bytes:
        """Run an action and return what it prints.

        Raises:
            RuntimeError: it failed; says why.
        """
        process = self.start(*words, stdin=stdin, stdout=stdout)
        said, complaint = process.communicate()
        if process.returncode:
            raise RuntimeError((complaint.decode(errors="replace").strip().splitlines() or [f"exit code {process.returncode}"])[-1])
        return said or b""

    def format(self) -> list[str]:
        """Return the names of the format's changes, as far as the database has gone through them; [] where there is no database yet.

        Raises:
            RuntimeError: it cannot be read.
        """
        return list(json.loads(self.ask("format")))


def is_database(path: Path) -> bool:
    """Tell whether a regular file is an SQLite database."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            return stat.S_ISREG(os.fstat(file.fileno()).st_mode) and file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def copied(path: Path) -> Path:
    """Return a copy of a database as it is at one moment, made while others write to it; it lies beside it.

    Raises:
        TimeoutError: somebody keeps it locked.
    """
    end = time.monotonic() + SECONDS_FOR_A_COPY

    def waited(state: int, *_: int) -> None:
        if state in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) and time.monotonic() > end:
            raise TimeoutError(f"{path.name} is locked by somebody, for {SECONDS_FOR_A_COPY} seconds now")

    target = path.with_name(f".{path.name}.copy")
    target.unlink(missing_ok=True)
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=1)) as live, contextlib.closing(sqlite3.connect(target)) as copy:
            # In one go: in steps, it would begin anew with each change.
            live.backup(copy, progress=waited)
    except BaseException:  # on a full disk, it would keep all that was free
        for left in (target, target.with_name(f"{target.name}-journal")):
            left.unlink(missing_ok=True)
        raise
    return target


def changes(path: Path) -> list[str]:
    """Return the names of the format's changes that a database has gone through."""
    if not is_database(path):
        return []
    end = time.monotonic() + SECONDS_FOR_CHANGES
    with contextlib.closing(sqlite3.connect(path, timeout=SECONDS_FOR_CHANGES)) as database:
        database.set_progress_handler(lambda: time.monotonic() > end, 100_000)
        # A view could go on for ever.
        known = database.execute("SELECT count(*) FROM sqlite_master WHERE name = 'migration' AND type = 'table'").fetchone()[0]
        rows = database.execute("SELECT substr(id, 1, 200) FROM migration LIMIT ?", (MOST_CHANGES,)) if known else []
        names = [str(row[0]) for row in rows]
    # They are shown to people, and the agent may have written them.
    return sorted(name if NAME.fullmatch(name) else "one with an odd name" for name in names)


def size() -> None:
    """Write the bytes of the database to standard output."""
    print((HOME / DATABASE).stat().st_size)


def copy_out() -> None:
    """Write a copy of the database to standard output."""
    copy = copied(HOME / DATABASE)
    try:
        with copy.open("rb") as file:
            while block := file.read(2**20):
                sys.stdout.buffer.write(block)
    finally:
        copy.unlink()


def put_back() -> None:
    """Take a database from standard input in place of the one that there is. Nothing else may be using it.

    The one that there is stays beside it, with the time in its name, which is printed.
    """
    path = HOME / DATABASE
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    try:
        with fresh.open("wb") as file:
            while block := sys.stdin.buffer.read(2**20):
                file.write(block)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    aside = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    for end in ("-wal", "-shm", ""):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + end).rename(path.with_name(f"{path.name}.{aside}{end}"))
    fresh.rename(path)
    print(aside)


def take_back(aside: str) -> None:
    """Put the database that ``put_back`` kept into its place again."""
    path = HOME / DATABASE
    for end in ("-wal", "-shm", ""):
        path.with_name(path.name + end).unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            path.with_name(f"{path.name}.{aside}{end}").rename(path.with_name(path.name + end))


def leave_out(path: Path, error: OSError, unreadable: list[str]) -> None:
    """Go on without a file or folder that went meanwhile, or that the agent itself may not read, which is noted in ``unreadable``.

    Raises:
        OSError: it cannot be read for another reason, the sessions are in it, or it is all of the workspace.
    """
    if isinstance(error, FileNotFoundError):
        return
    if not isinstance(error, PermissionError) or path == WORKSPACE or (HOME / DATABASE).is_relative_to(path):
        raise error
    # There may be a million of them, and the agent chose their names.
    if len(unreadable) < MOST_UNREADABLE:
        unreadable.append(json.dumps(str(path)[:200]))
    elif len(unreadable) == MOST_UNREADABLE:
        unreadable.append("others")


def add(archive: tarfile.TarFile, path: Path, name: str, unreadable: list[str]) -> None:
    """Add one file, folder or link, never what a link leads to."""
    # Which would all be kept in memory.
    archive.members, archive.inodes = [], {}  # type: ignore[attr-defined]
    try:
        entry = archive.gettarinfo(str(path), name)
        if entry is None or not entry.isreg():
            if entry is not None and (entry.isdir() or entry.issym()):
                archive.addfile(entry)
            return
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        leave_out(path, error, unreadable)
        return
    with open(handle, "rb") as file:
        entry.size = os.fstat(file.fileno()).st_size
        if entry.size > SMALL:
            archive.addfile(entry, file)
            return
        content = file.read(entry.size)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))


def pack() -> None:
    """Write the archive to standard output: first what standard input has ({name: text}), then the home, and /workspace if there is one.

    The last line of standard error is a list of what had to be left out.
    """
    unreadable: list[str] = []
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=tarfile.PAX_FORMAT, bufsize=2**20) as archive:
        for name, text in json.load(sys.stdin).items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime = len(text.encode()), 0o600, int(time.time())
            archive.addfile(entry, io.BytesIO(text.encode()))
        for root, prefix in ((HOME, "sessions"), (WORKSPACE, "workspace")):
            if root.is_dir():
                walk(archive, root, prefix, unreadable)
    print(json.dumps(unreadable), file=sys.stderr)


def walk(archive: tarfile.TarFile, root: Path, prefix: str, unreadable: list[str]) -> None:
    """Add what a folder holds. A database is added as a copy, without the files in which its newest changes wait."""
    for folder, inner, names in os.walk(root, onerror=lambda error: leave_out(Path(error.filename), error, unreadable)):
        here = Path(folder)
        place = here.relative_to(root)
        if prefix == "sessions":
            inner[:] = [name for name in inner if str(place / name) not in LEFT_OUT]
        links = [name for name in inner if os.path.islink(here / name)]
        add(archive, here, str(prefix / place), unreadable)
        databases = {name for name in names if prefix == "sessions" and name.endswith(".db") and is_database(here / name)}
        waiting: set[str] = set()
        for name in sorted(databases):
            try:
                copy = copied(here / name)
            except (sqlite3.Error, OSError):
                # As it is, then: of all databases, only the sessions' own has to be whole.
                if str(place / name) == DATABASE:
                    raise
                databases.remove(name)
                continue
            waiting |= {name + end for end in ("-wal", "-shm")}
            try:
                add(archive, copy, str(prefix / place / name), unreadable)
            finally:
                copy.unlink()
        for name in sorted({*names, *links} - databases - waiting):
            if str(place / name) in LEFT_OUT and prefix == "sessions":
                continue
            if not (name.startswith(".") and name.endswith(".db.copy")):
                add(archive, here / name, str(prefix / place / name), unreadable)


def unpack() -> None:
    """Take an archive from standard input: the home goes to the home here, the workspace to /workspace if there is one."""
    places: dict[str, Any] = {"sessions": HOME, "workspace": WORKSPACE}
    folders: list[tuple[Path, int, float]] = []
    with tarfile.open(fileobj=sys.stdin.buffer, mode="r|", bufsize=2**20) as archive:
        for entry in archive:
            first, _, rest = entry.name.partition("/")
            root = places.get(first)
            if root is None or not root.is_dir() or not rest:
                continue
            archive.members = []  # type: ignore[attr-defined]
            entry.name = rest
            archive.extract(entry, root, set_attrs=not entry.isdir(), filter=with_its_mode)
            if entry.isdir():
                folders.append((root / rest, entry.mode & 0o3777, float(entry.mtime)))
    while sys.stdin.buffer.read(2**20):
        pass
    # At the end, and what lies deeper first: not even their owner may write to some, and each file changes its folder's time.
    for folder, mode, modified in reversed(folders):
        folder.chmod(mode)
        os.utime(folder, (modified, modified))


def with_its_mode(entry: tarfile.TarInfo, root: str) -> tarfile.TarInfo:
    """Let nothing out of ``root``, as tarfile does, but leave a group what it may do."""
    return tarfile.tar_filter(entry, root).replace(mode=entry.mode & 0o777, deep=False)


if __name__ == "__main__":
    action = sys.argv[1]
    if action == "format":
        print(json.dumps(changes(HOME / DATABASE)))
    elif action == "take_back":
        take_back(sys.argv[2])
    else:
        {"size": size, "copy": copy_out, "put": put_back, "pack": pack, "unpack": unpack}[action]()
