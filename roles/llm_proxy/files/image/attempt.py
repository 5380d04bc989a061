"""Which key the request under way got, between the gate, which may ask once more, and the hook in LiteLLM. Standard library only."""

from contextvars import ContextVar

from key_ring import Key, KeyRing

# Statuses by which a provider turns down the key rather than the request: unknown, not paid for, blocked, used too much.
TURNED_DOWN = frozenset({401, 402, 403, 429})


class Attempt:
    """The keys that one request was tried with; `file` binds it to one of them."""

    def __init__(self, ring: KeyRing, file: str | None = None) -> None:
        self.ring = ring
        self.file = file
        self.key: Key | None = None
        self._tried: set[str] = set()

    def key_for(self, provider: str) -> Key:
        """The key for this time, the same one however often it is asked for.

        Raises:
            NoKeyError: there is none that was not tried.
        """
        if self.key is None:
            self.key = self.ring.choose(provider, self._tried, self.file)
            self._tried.add(self.key.fingerprint)
        return self.key

    def answered(self, status: int, seconds: float | None = None) -> bool:
        """Keep in mind how the provider answered, and tell whether to ask once more, with another key.

        `seconds` is for how long the provider wants to be left alone, if it says so. A key may have been replaced since it was
        read, so that the one key of a provider can have another, too.
        """
        if self.key is None:
            return False
        if status in TURNED_DOWN:
            self.ring.refused(self.key, status, seconds)
            if self.file is None and self.ring.others(self.key.provider, self._tried):
                self.key = None
                return True
        elif status < 400:
            self.ring.accepted(self.key)
        return False


CURRENT: ContextVar[Attempt | None] = ContextVar("attempt", default=None)
