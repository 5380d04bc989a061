"""Who is logged in. A session survives restarts, and ends with its time, by logging out, or with a change of its user's password."""

import contextlib
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import state_file

MAX_SESSIONS = 50


def digest(text: str) -> str:
    """Return what stands for a token or a password's hash in the file: nobody who reads it can log in."""
    return hashlib.sha256(text.encode()).hexdigest()


class Sessions:
    """The sessions, in a file that only this service's user reads; `lifetime` is in seconds."""

    def __init__(self, path: Path, lifetime: float, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._lifetime = lifetime
        self._clock = clock
        self._lock = threading.Lock()
        self._sessions: dict[str, dict[str, Any]] = {}
        # Where it was lost, as by a host that lost its power, people log in again.
        with contextlib.suppress(FileNotFoundError, ValueError):
            self._sessions = json.loads(path.read_text(encoding="utf-8"))

    def start(self, user: str, stored: str) -> str:
        """Return a new session's token for a user whose password's hash is `stored`; a user's oldest beyond the 50th ends."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            now = self._clock()
            kept = {key: one for key, one in self._sessions.items() if self._end(one) > now}
            mine = [key for key, one in kept.items() if one["user"] == user]
            for key in mine[: len(mine) - MAX_SESSIONS + 1] if len(mine) >= MAX_SESSIONS else []:
                del kept[key]
            kept[digest(token)] = {"user": user, "password": digest(stored), "since": now, "until": now + self._lifetime}
            self._sessions = kept
            self._save()
        return token

    def user(self, token: str, users: Mapping[str, str]) -> str | None:
        """Return whose session a token is, None if it is nobody's any more; `users` are the hashes by name."""
        one = self._sessions.get(digest(token))
        if not one or self._end(one) <= self._clock() or one["user"] not in users or one["password"] != digest(users[one["user"]]):
            return None
        return str(one["user"])

    def end(self, token: str) -> None:
        """End a session."""
        with self._lock:
            if self._sessions.pop(digest(token), None):
                self._save()

    def _end(self, one: dict[str, Any]) -> float:
        """Return when a session ends: a lifetime that has become shorter is for those that are there, too."""
        return float(min(one["until"], one.get("since", one["until"]) + self._lifetime))

    def _save(self) -> None:
        state_file.replace(self._path, json.dumps(self._sessions))
