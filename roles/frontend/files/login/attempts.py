"""Who has failed how often lately: what limits guessing."""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

MAX_KEYS = 10_000


class Attempts:
    """Counts failures by a key, such as an address; after `limit` of them within `window` seconds, the key has to wait."""

    def __init__(self, limit: int, window: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self.window = window
        self._clock = clock
        self._failures: OrderedDict[str, list[float]] = OrderedDict()

    def wait(self, key: str) -> float:
        """Return how many seconds the key has to wait before it may try again, 0 if it may now."""
        recent = self._recent(key)
        return recent[-self.limit] + self.window - self._clock() if len(recent) >= self.limit else 0

    def failed(self, key: str) -> None:
        """Count a failure."""
        self._failures[key] = [*self._recent(key), self._clock()][-self.limit :]
        self._failures.move_to_end(key)
        # Whoever has many addresses is limited by the name that is tried, not by what is remembered here.
        while len(self._failures) > MAX_KEYS:
            self._failures.popitem(last=False)

    def forget(self, key: str) -> None:
        """Let a key begin anew, after a success."""
        self._failures.pop(key, None)

    def _recent(self, key: str) -> list[float]:
        since = self._clock() - self.window
        return [moment for moment in self._failures.get(key, []) if moment > since]


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
            address = ipaddress.ip_address(entry.strip())
        except ValueError:
            break
        found = str(address)
        if not any(address in network for network in networks):
            break
    return found
