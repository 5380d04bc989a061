"""A key that works nowhere and lies where a thief would look: who presents it has been where nobody should be. Standard library only."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from events import EventLog


class Decoy:
    """Looks for the decoy, which `secret` tells, in what is asked of the proxy; "" is none."""

    def __init__(self, secret: Callable[[], str], events: EventLog) -> None:
        self._secret = secret
        self._events = events

    def look(self, scope: Mapping[str, Any], body: bytes = b"") -> None:
        """Raise an event for each place of a request that the decoy stands in."""
        decoy = self._secret().encode()
        if not decoy:
            return
        found = [f"header {name.decode('latin-1')}" for name, value in scope["headers"] if decoy in value]
        found += ["query"] if decoy in scope.get("query_string", b"") else []
        found += ["body"] if decoy in body else []
        for place in found:
            self._events.add("canary", "llm-proxy", place=place, path=scope["path"], client=(scope.get("client") or [""])[0])


def seen_by_egress(line: str, events: EventLog) -> None:
    """Raise an event for a line of the egress guard's own log of decoys."""
    try:
        seen = json.loads(line)
    except ValueError:
        return
    if not isinstance(seen, dict):
        return
    events.add("canary", "egress", **{name: str(seen.get(name, "")) for name in ("who", "method", "host", "port")})
