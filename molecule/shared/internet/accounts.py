"""What the providers know of their keys: which they accept, and how each was used."""

import hashlib
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

NAMES = ("anthropic", "openai", "gemini", "house")


@dataclass(frozen=True)
class Refusal:
    """How a key is turned down: 401 it is not accepted, 403 it may not, 429 it was used too often, and so on."""

    status: int
    retry_after: int | None = None


@dataclass
class Use:
    """How a key was used for answers (`requests`, `first`, `last`, seconds since the epoch), and for free calls (`checks`)."""

    requests: int = 0
    checks: int = 0
    first: float | None = None
    last: float | None = None
    statuses: dict[int, int] = field(default_factory=dict)

    def told(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return {**vars(self), "statuses": {str(status): count for status, count in self.statuses.items()}}


class Account:
    """A provider's keys. As long as nothing is said of them, every key is accepted."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        """Start anew: every key is accepted, the provider is there, and no use is known."""
        self.accepted: set[str] | None = None
        self.refusals: dict[str, Refusal] = {}
        self.down: str | int | None = None
        self.uses: dict[str, Use] = {}

    def change(self, wish: dict[str, Any]) -> None:
        """Do what is wished for.

        accept   the keys that are accepted, and no others; null is every key
        refuse   {key: status} or {key: [status, retry_after]}; a status of 200 takes it back
        down     "close" (connections end without an answer), a status of 500 or more, or null
        forget   true: start anew
        """
        with self.lock:
            if wish.get("forget"):
                self.forget()
            if "accept" in wish:
                self.accepted = None if wish["accept"] is None else set(wish["accept"])
            for key, said in wish.get("refuse", {}).items():
                status, after = said if isinstance(said, list) else (said, None)
                self.refusals.pop(key, None)
                if status != 200:
                    self.refusals[key] = Refusal(status, after)
            self.down = wish.get("down", self.down)

    def refusal(self, key: str) -> Refusal | None:
        """Return how a key is turned down now; None is accepted."""
        with self.lock:
            if key in self.refusals:
                return self.refusals[key]
            return None if key and (self.accepted is None or key in self.accepted) else Refusal(401)

    def used(self, key: str, status: int, free: bool) -> None:
        """Keep in mind that a key was used."""
        with self.lock:
            use = self.uses.setdefault(fingerprint(key), Use())
            if free:
                use.checks += 1
                return
            use.last = time.time()
            use.first = use.first or use.last
            use.requests += 1
            use.statuses[status] = use.statuses.get(status, 0) + 1

    def told(self) -> dict[str, Any]:
        """Return what is known, keys by their fingerprints."""
        with self.lock:
            return {"keys": {name: use.told() for name, use in self.uses.items()}, "down": self.down}


class Streams:
    """How many streams are open at all providers, and the fewest that there were since somebody asked to watch."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.open = 0
        self.fewest = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Count a stream as open."""
        with self.lock:
            self.open += 1
        try:
            yield
        finally:
            with self.lock:
                self.open -= 1
                self.fewest = min(self.fewest, self.open)

    def watch(self) -> dict[str, int]:
        """Return both numbers, and count the fewest anew."""
        with self.lock:
            told = {"open": self.open, "fewest": self.fewest}
            self.fewest = self.open
        return told


def fingerprint(key: str) -> str:
    """Return what the stack calls a key where it must not say it."""
    return hashlib.sha256(b"ocweb key " + key.encode()).hexdigest()[:12]


def fresh(provider: str) -> str:
    """Return a new key that looks as the provider's do; those of `house` look like nothing known."""
    match provider:
        case "anthropic":
            return f"sk-ant-api03-{secrets.token_urlsafe(69)}-{secrets.token_urlsafe(6)}AA"
        case "openai":
            return f"sk-proj-{secrets.token_urlsafe(90)}"
        case "gemini":
            return f"AIza{secrets.token_urlsafe(27)[:35]}"
        case _:
            return f"q$HOME'{secrets.token_hex(6)}\"\\#{{%}}=&+/~{secrets.token_hex(6)}"
