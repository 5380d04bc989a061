"""Who has failed how often lately: what limits guessing."""

import contextlib
import ipaddress
import os
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

import state_file

MAX_KEYS = 10_000
# Some proxies say the port too.
PORT = re.compile(r"^(?:([\d.]+)|\[([\da-fA-F:.]+)\])(?::\d+)?$")


class Attempts:
    """Counts failures by a key without spaces, such as an address; after `limit` of them within `window` seconds, the key has to wait.

    Each is a line in the file `path` too, so that whoever makes the service end does not begin anew.
    """

    def __init__(self, limit: int, window: float, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.limit = limit
        self.window = window
        self._path = path
        self._clock = clock
        self._failures: OrderedDict[str, list[float]] = OrderedDict()
        self._lines = self._lines_at_most = 0
        with contextlib.suppress(FileNotFoundError):
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                # One that was cut off counts for nobody.
                with contextlib.suppress(ValueError):
                    key, moment = line.split()
                    self._count(key, float(moment))
        self._write_anew()

    def wait(self, key: str) -> float:
        """Return how many seconds the key has to wait before it may try again, 0 if it may now."""
        recent = self._recent(key)
        return recent[-self.limit] + self.window - self._clock() if len(recent) >= self.limit else 0

    def failed(self, key: str) -> None:
        """Count a failure."""
        now = self._clock()
        self._count(key, now)
        if self._lines >= self._lines_at_most:
            self._write_anew()
        else:
            # On a full disk, what is remembered here limits all the same.
            with contextlib.suppress(OSError):
                self._append(f"{key} {now}\n")
            self._lines += 1

    def forget(self, key: str) -> None:
        """Let a key begin anew, after a success."""
        if self._failures.pop(key, None):
            self._write_anew()

    def _count(self, key: str, moment: float) -> None:
        self._failures[key] = [*self._recent(key), moment][-self.limit :]
        self._failures.move_to_end(key)
        # Whoever has many addresses is limited by the name that is tried, not by what is remembered here.
        while len(self._failures) > MAX_KEYS:
            self._failures.popitem(last=False)

    def _write_anew(self) -> None:
        """Write down what counts now, and nothing else."""
        lines = [f"{key} {moment}\n" for key in self._failures for moment in self._recent(key)]
        with contextlib.suppress(OSError):
            state_file.replace(self._path, "".join(lines))
        self._lines, self._lines_at_most = len(lines), 2 * len(lines) + 1000

    def _append(self, line: str) -> None:
        with os.fdopen(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w", encoding="utf-8") as file:
            file.write(line)

    def _recent(self, key: str) -> list[float]:
        now = self._clock()
        # What a clock that was wrong has written would count until that time has come.
        return [moment for moment in self._failures.get(key, []) if now - self.window < moment <= now]


def neighbourhood(address: str) -> str:
    """Return what counts as one caller: an IPv4 address, or the 64 bits of an IPv6 one that a network gives to one customer."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "unknown"
    return str(found) if found.version == 4 else str(ipaddress.ip_network((found, 64), strict=False))


def caller(forwarded: str, trusted: Sequence[str] = ()) -> str:
    """Return the address that a request comes from, of an X-Forwarded-For whose last entry is the gateway's own word.

    Each trusted proxy vouches for the entry before its own; what stands before anyone else's may be made up.
    """
    networks = [ipaddress.ip_network(one, strict=False) for one in trusted]
    found = ""
    for entry in reversed(forwarded.split(",")):
        try:
            address = ipaddress.ip_address(PORT.sub(r"\1\2", entry.strip()))
        except ValueError:
            break
        address = getattr(address, "ipv4_mapped", None) or address
        found = str(address)
        if not any(address in network for network in networks):
            break
    return found
