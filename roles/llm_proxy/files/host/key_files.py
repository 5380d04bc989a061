"""The providers' keys as files on the host, and the records of what became of each. Standard library only."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

import secret_file

HISTORY = 200
# How the file is called that a key was moved to when it was revoked: this, its fingerprint, its name, between dots.
REVOKED = "revoked"
# As long as someone who changes keys may take to try and to prove some of them.
MOST_SECONDS = 600


class BusyError(Exception):
    """Another rotation is under way on this host."""


class DamagedError(Exception):
    """The records cannot be read, so that nobody knows what was revoked."""


def fingerprint(key: str) -> str:
    """What a key is called where it must not be told; roles/llm_proxy/files/image/key_ring.py makes the same."""
    return hashlib.sha256(b"ocweb key " + key.encode()).hexdigest()[:12]


class KeyFiles:
    """The folder of the keys; ``owner`` and ``group`` are the proxy's."""

    def __init__(self, folder: Path, owner: int, group: int) -> None:
        self.folder = folder
        self._belongs = (owner, group, 0o400)

    def names(self) -> list[str]:
        """Return the names of the keys that there are."""
        return sorted(path.name for path in self.folder.iterdir() if not path.name.startswith(".")) if self.folder.is_dir() else []

    def read(self, name: str) -> str:
        """Return a key as the proxy reads it, "" where there is none."""
        try:
            return (self.folder / name).read_text(encoding="utf-8", errors="replace").strip()
        except FileNotFoundError:
            return ""

    def place(self, name: str, key: str) -> None:
        """Put a key in place in one step; the proxy's next request uses it."""
        secret_file.write(self.folder / name, key, *self._belongs)

    def given(self, name: str) -> bool:
        """Tell whether the proxy, and it alone, can read a key."""
        return secret_file.belongs(self.folder / name) == self._belongs

    def remove(self, name: str) -> None:
        """Take a key away; the proxy's next request does without."""
        (self.folder / name).unlink(missing_ok=True)

    def former(self, name: str) -> str:
        """Return the key that was kept while the one in its place was not proved yet, "" where that is not so."""
        return self.read(f".{name}.old")

    def keep(self, name: str) -> None:
        """Keep the key that is in place, until it is forgotten or brought back; one that is kept already stays."""
        old = self.folder / f".{name}.old"
        if not old.exists() and (self.folder / name).exists():
            os.link(self.folder / name, old)

    def bring_back(self, name: str) -> None:
        """Put the key that was kept back in place; where there was none, there is none again."""
        old = self.folder / f".{name}.old"
        if old.exists():
            os.replace(old, self.folder / name)
            # Of two names of one file, a rename leaves both.
            old.unlink(missing_ok=True)
        else:
            self.remove(name)

    def forget(self, name: str) -> None:
        """Let go of the key that was kept, and of what an interrupted write left."""
        for end in ("old", "new"):
            self.remove(f".{name}.{end}")

    def leftovers(self) -> list[str]:
        """Return the names of keys that something was kept or half written of."""
        left = [path.name[1:-4] for path in self.folder.glob(".?*") if path.name.endswith((".old", ".new"))] if self.folder.is_dir() else []
        return sorted({name for name in left if name})


class Revoked(NamedTuple):
    """A key that was revoked, and is kept until it is known on this host that it was, and what is left of it was looked for."""

    name: str
    fingerprint: str
    path: Path

    @property
    def key(self) -> str:
        """The key itself, "" where it cannot be told any more."""
        try:
            return self.path.read_text(encoding="utf-8", errors="replace").strip()
        except FileNotFoundError:
            return ""

    @property
    def at(self) -> str:
        """When it was taken from its place."""
        return _moment(os.lstat(self.path).st_ctime)


class RevokedKeys:
    """The folder in which a revoked key lies until its revocation has ended; the proxy does not see it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def take(self, file: Path, name: str, key: str) -> None:
        """Take a key from its place for good, so that it is known on a full disk and after a killed run that it was revoked.

        Raises:
            OSError: it is gone from its place, but that is not kept.
        """
        kept = self.folder / f"{REVOKED}.{fingerprint(key)}.{name}"
        try:
            # This needs no room.
            os.replace(file, kept)
        except OSError:
            # On another file system, or brought back to another name just now.
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            secret_file.write(kept, key, os.getuid(), os.getgid(), 0o400)
        finally:
            # Of two names of one file, a rename leaves both.
            file.unlink(missing_ok=True)

    def found(self) -> list[Revoked]:
        """Return what lies here."""
        parts = [(path, path.name.split(".", 2)) for path in sorted(self.folder.glob(f"{REVOKED}.*.*"))]
        return [Revoked(name, known, path) for path, (_, known, name) in parts]


class Records:
    """Who did what to which key and when, by fingerprints; ``by`` is who does it now, ``host`` what the inventory calls this one.

    Raises:
        DamagedError: they cannot be read.
    """

    def __init__(self, path: Path, by: str, host: str) -> None:
        self._path = path
        self._by = by
        self._host = host
        self._found: dict[str, Any] = {"keys": {}, "revoked": {}, "history": []}
        with contextlib.suppress(FileNotFoundError):
            try:
                found = json.loads(path.read_text(encoding="utf-8"))
                self._found |= {name: found[name] for name in self._found if isinstance(found[name], type(self._found[name]))}
            except (ValueError, LookupError, TypeError):
                raise DamagedError(f"{path} is damaged, and with it what is known of revoked keys. Mend it, or take it away.") from None

    @property
    def keys(self) -> dict[str, dict[str, str]]:
        """The keys that are in place: fingerprint, since when, by whom."""
        return self._found["keys"]  # type: ignore[no-any-return]

    @property
    def revoked(self) -> dict[str, dict[str, str]]:
        """What is never to be put in place again, by fingerprint."""
        return self._found["revoked"]  # type: ignore[no-any-return]

    def note(self, name: str, event: str, now: str, before: str) -> None:
        """Write down what became of a key: ``now`` and ``before`` are fingerprints, "" is none."""
        at = _moment(time.time())
        earlier = self.keys.pop(name, {})
        if now and earlier.get("fingerprint") == now:
            # As old as it was: it came back, or was given to someone else.
            self.keys[name] = {**earlier, "host": self._host}
        elif now:
            self.keys[name] = {"fingerprint": now, "since": at, "by": self._by, "host": self._host}
        self._write({"at": at, "by": self._by, "key": name, "event": event, "fingerprint": now, "before": before})

    def revoke(self, key: Revoked, by: str = "") -> None:
        """Write down that a key was revoked, by whoever does it now if nobody else is named."""
        who = {"at": key.at, "by": by or self._by}
        # Another may have come into its place meanwhile.
        if self.keys.get(key.name, {}).get("fingerprint") == key.fingerprint:
            self.keys.pop(key.name)
        self.revoked[key.fingerprint] = {"key": key.name, **who}
        self._write({**who, "key": key.name, "event": "revoked", "fingerprint": "", "before": key.fingerprint})

    def _write(self, entry: dict[str, str]) -> None:
        self._found["history"] = [*self._found["history"], entry][-HISTORY:]
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        secret_file.write(self._path, json.dumps(self._found, indent=1), os.getuid(), os.getgid(), 0o600)
        sync(self._path.parent)


@contextlib.contextmanager
def alone(folder: Path, seconds: float = 0) -> Iterator[None]:
    """Let nobody else change the keys of this host meanwhile; wait so long until nobody does.

    Raises:
        BusyError: someone does already.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    end = time.monotonic() + seconds
    with open(folder / "lock", "w", encoding="ascii") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() >= end:
                    raise BusyError from None
            time.sleep(0.1)
        yield


def sync(folder: Path) -> None:
    """See that what was named otherwise in a folder is so after a crash, too."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
