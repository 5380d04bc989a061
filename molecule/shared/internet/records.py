"""The record of everything that reached the fake internet."""

import threading
import time
from collections import deque

KEPT = 4096
# So many entries are kept. A suite of attacks makes a few thousand; load makes more, and asks the accounts instead.
ENTRIES = 20_000


class Records:
    """A list of the last entries; `n` counts from 1 and goes on when old ones are dropped."""

    def __init__(self, most: int = ENTRIES) -> None:
        self.entries: deque[dict[str, object]] = deque(maxlen=most)
        self.count = 0
        self.more = threading.Condition()

    def add(self, kind: str, here: tuple[str, int], peer: tuple[str, int], **more: object) -> None:
        """Append what came from `peer` to `here`; None is left out, and of bytes the first 4 KB are kept."""
        kept = {key: readable(value) if isinstance(value, bytes) else value for key, value in more.items() if value is not None}
        with self.more:
            self.count += 1
            self.entries.append(
                {"n": self.count, "time": time.time(), "kind": kind, "address": here[0], "port": here[1], "peer": peer[0], **kept}
            )
            self.more.notify_all()

    def since(self, number: int, wait: float) -> list[dict[str, object]]:
        """Return the entries after the first `number`; where there is none yet, wait for one, at most `wait` seconds.

        Raises:
            LookupError: some of them are no longer kept.
        """
        with self.more:
            self.more.wait_for(lambda: self.count > number, wait)
            dropped = self.count - len(self.entries)
            if number < dropped:
                raise LookupError(f"the first {dropped} entries are no longer kept")
            new = min(self.count - number, len(self.entries))
            return [self.entries[at] for at in range(len(self.entries) - new, len(self.entries))]


def readable(data: bytes) -> str:
    """Return the first bytes as text, with escapes where they are none."""
    return data[:KEPT].decode(errors="backslashreplace")
