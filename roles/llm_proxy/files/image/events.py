"""What someone has to know: a line of JSON in a file that outlives restarts, one in the log, and a call of a webhook if there is one.

Standard library only.
"""

import http.client
import json
import os
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

# What is written anew begins once the file is so large; the one before stays beside it.
MAX_BYTES = 262_144
# The same event is told once in so many seconds; a flood of them tells nothing more.
SECONDS_BETWEEN = 10.0
# Whoever presents the decoy chooses where, and so could fill the file until the first events are gone, or have the webhook called without
# end: of what is seen at one place, so many events a minute are told, and of each word so many characters.
MOST_A_MINUTE = 10
MOST_CHARACTERS = 200
WEBHOOK_SECONDS = 10.0


class EventLog:
    """Events in `path`; `webhook` tells the address that each is posted to, "" is none. `clock` counts seconds since 1970."""

    def __init__(self, path: Path, webhook: Callable[[], str] = lambda: "", clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._webhook = webhook
        self._clock = clock
        # What was told within the last minute, and when.
        self._told: list[tuple[float, tuple[str, ...]]] = []
        self._lock = threading.Lock()

    def add(self, event: str, where: str, **more: str) -> None:
        """Write an event down, unless the same one was a moment ago or too many were, and post it."""
        now = self._clock()
        more = {name: value[:MOST_CHARACTERS] for name, value in more.items()}
        this = (event, where, *more.values())
        with self._lock:
            self._told = [(at, one) for at, one in self._told if now - at < 60]
            if any(one == this and now - at < SECONDS_BETWEEN for at, one in self._told):
                return
            if sum(one[:2] == (event, where) for _, one in self._told) >= MOST_A_MINUTE:
                return
            self._told.append((now, this))
            at = datetime.fromtimestamp(now, timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
            entry = {"time": at, "event": event, "where": where, **more}
            line = json.dumps(entry)
            print(line, flush=True)
            self._write(line)
        if address := self._webhook():
            threading.Thread(target=_post, args=(address, line), daemon=True).start()

    def _write(self, line: str) -> None:
        try:
            if self._path.exists() and self._path.stat().st_size > MAX_BYTES:
                os.replace(self._path, self._path.with_suffix(".1.jsonl"))
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            print(f"llm-proxy: an event cannot be written to {self._path}: {error}", file=sys.stderr)


def _post(address: str, line: str) -> None:
    # Chat services show what stands in `text`.
    body: dict[str, Any] = {"text": f"ocweb: {line}", **json.loads(line)}
    request = urllib.request.Request(address, json.dumps(body).encode(), {"content-type": "application/json"}, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=WEBHOOK_SECONDS):
            pass
    except (OSError, ValueError, http.client.HTTPException) as error:
        # Neither the address nor what it says of it: it is a secret.
        print(f"llm-proxy: the webhook did not take an event ({type(error).__name__})", file=sys.stderr)
