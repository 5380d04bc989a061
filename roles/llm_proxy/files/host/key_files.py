"""The providers' keys as files on the host, and the records of what became of each. Standard library only."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import secret_file

HISTORY = 200


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
        at = datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
        entry = {"at": at, "by": self._by, "key": name, "event": event, "fingerprint": now, "before": before}
        self._found["history"] = [*self._found["history"], entry][-HISTORY:]
        earlier = self.keys.pop(name, {})
        if now and earlier.get("fingerprint") == now:
            # As old as it was: it came back, or was given to someone else.
            self.keys[name] = {**earlier, "host": self._host}
        elif now:
            self.keys[name] = {"fingerprint": now, "since": at, "by": self._by, "host": self._host}
        if event == "revoked":
            self.revoked[before] = {"key": name, "at": at, "by": self._by}
        self._write()

    def _write(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        secret_file.write(self._path, json.dumps(self._found, indent=1), os.getuid(), os.getgid(), 0o600)


@contextlib.contextmanager
def alone(folder: Path, wait: bool = False) -> Iterator[None]:
    """Let nobody else change the keys of this host meanwhile; ``wait`` until nobody does.

    Raises:
        BusyError: someone does already.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with open(folder / "lock", "w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError:
            raise BusyError from None
        yield
