"""When each key was last used, and how that went: in a file that outlives restarts, and tells no key. Standard library only."""

import json
import os
import sys
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

# Between two times that the file is written, unless a key is turned down or takes hold again.
SECONDS = 1.0


class Usage:
    """What is known of each key, by its file's name; `clock` counts seconds since 1970."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._written = 0.0
        self._complained = False
        self.keys: dict[str, dict[str, Any]] = self._earlier()

    def accepted(self, file: str, fingerprint: str) -> None:
        """A request with the key was answered."""
        entry = self._entry(file, fingerprint)
        news = entry["last_success"] is None or entry["refused"] is not None
        entry |= {"last_use": self._now(), "last_success": self._now(), "refused": None}
        self._write(news)

    def used(self, file: str, fingerprint: str) -> None:
        """A request with the key failed, for which the key is not to blame."""
        self._entry(file, fingerprint)["last_use"] = self._now()
        self._write(False)

    def refused(self, file: str, fingerprint: str, status: int) -> None:
        """The key was turned down."""
        entry = self._entry(file, fingerprint)
        news = entry["refused"] is None
        entry |= {"last_use": self._now(), "refused": {"status": status, "at": self._now()}}
        self._write(news)

    def _entry(self, file: str, fingerprint: str) -> dict[str, Any]:
        entry = self.keys.get(file)
        if entry is None or entry["fingerprint"] != fingerprint:
            entry = self.keys[file] = {"fingerprint": fingerprint, "last_use": None, "last_success": None, "refused": None}
        return entry

    def _now(self) -> str:
        return datetime.fromtimestamp(self._clock(), timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")

    def _earlier(self) -> dict[str, dict[str, Any]]:
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return {name: entry for name, entry in found.items() if isinstance(entry, dict) and entry.keys() >= {"fingerprint", "refused"}}

    def _write(self, news: bool) -> None:
        if not news and self._clock() - self._written < SECONDS:
            return
        self._written = self._clock()
        new = self._path.with_suffix(".new")
        try:
            new.write_text(json.dumps(self.keys), encoding="utf-8")
            os.replace(new, self._path)
        except OSError as error:
            if not self._complained:
                print(f"llm-proxy: what is known of the keys cannot be written to {self._path}: {error}", file=sys.stderr)
            self._complained = True
