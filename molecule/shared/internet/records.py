"""The record of everything that reached the fake internet."""

import json
import threading
import time
from pathlib import Path

KEPT = 4096


class Records:
    """A list that grows, in memory and as a JSON line each in a file; `n` counts from 1."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: list[dict[str, object]] = []
        self.more = threading.Condition()
        path.write_text("", encoding="utf-8")

    def add(self, kind: str, here: tuple[str, int], peer: tuple[str, int], **more: object) -> None:
        """Append what came from `peer` to `here`; None is left out, and of bytes the first 4 KB are kept."""
        kept = {key: readable(value) if isinstance(value, bytes) else value for key, value in more.items() if value is not None}
        with self.more:
            entry: dict[str, object] = {
                "n": len(self.entries) + 1,
                "time": time.time(),
                "kind": kind,
                "address": here[0],
                "port": here[1],
                "peer": peer[0],
                **kept,
            }
            self.entries.append(entry)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
            self.more.notify_all()

    def since(self, number: int, wait: float) -> list[dict[str, object]]:
        """Return the entries after the first `number`; where there is none yet, wait for one, at most `wait` seconds."""
        with self.more:
            self.more.wait_for(lambda: len(self.entries) > number, wait)
            return self.entries[number:]


def readable(data: bytes) -> str:
    """Return the first bytes as text, with escapes where they are none."""
    return data[:KEPT].decode(errors="backslashreplace")
