"""Follows the egress guard's own list of decoys that it saw, for it can tell nobody itself. Standard library only."""

import threading
from pathlib import Path

from decoy import seen_by_egress
from events import EventLog

SECONDS = 1.0


class EgressWatch:
    """Raises an event for each new line of `log`; `place` is the file that keeps in mind how far it was read."""

    def __init__(self, log: Path, place: Path, events: EventLog) -> None:
        self._log = log
        self._place = place
        self._events = events

    def start(self) -> None:
        """Look every second, for as long as the process lives."""
        threading.Thread(target=self._follow, daemon=True).start()

    def look(self) -> None:
        """Tell of what has come since the last look."""
        try:
            size = self._log.stat().st_size
        except OSError:
            return
        at = self._read_place()
        # The guard begins its list anew when it starts, or when it has become long.
        at = at if at <= size else 0
        if at == size:
            return
        with self._log.open("rb") as file:
            file.seek(at)
            new = file.read()
        whole = new[: new.rfind(b"\n") + 1]
        for line in whole.decode(errors="replace").splitlines():
            seen_by_egress(line, self._events)
        self._place.write_text(str(at + len(whole)), encoding="ascii")

    def _read_place(self) -> int:
        try:
            return int(self._place.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return 0

    def _follow(self) -> None:
        wait, complained = threading.Event(), False
        while not wait.wait(SECONDS):
            try:
                self.look()
                complained = False
            except OSError as error:
                if not complained:
                    print(f"llm-proxy: what the egress guard saw cannot be read: {error}", flush=True)
                complained = True
