"""The providers' keys as they lie in files, which of them a request gets, and what is known of each. Standard library only."""

import hashlib
import json
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from usage import Usage
from watched import WatchedFolder

# In the folder of the proxy's configuration: {name of a key's file: how often it is chosen beside the provider's other keys}.
WEIGHTS_FILE = "keys.json"
# Seconds for which a refused key is used only when no other is left, where the provider does not say for how long.
REST_SECONDS = 60.0
LIMITED_SECONDS = 10.0
MOST_SECONDS = 600.0


class NoKeyError(Exception):
    """The provider has no usable key."""


@dataclass(frozen=True)
class Key:
    """A key: its file's name, `<provider>` or `<provider>.<name>`, and how often it is chosen beside the provider's others."""

    file: str
    secret: str = field(repr=False)
    weight: int

    @property
    def provider(self) -> str:
        """The name of the provider that it is for."""
        return self.file.partition(".")[0]

    @property
    def fingerprint(self) -> str:
        """What it is called where it must not be told. roles/llm_proxy/files/host/provider_keys.py makes the same."""
        return hashlib.sha256(b"ocweb key " + self.secret.encode()).hexdigest()[:12]


class KeyRing:
    """Chooses keys, and puts those aside that a provider turns down.

    `clock` counts seconds; `draw` is random.choices or stands in for it.
    """

    def __init__(
        self,
        keys: WatchedFolder,
        config: WatchedFolder,
        usage: Usage,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[Sequence[Key], Sequence[int]], Sequence[Key]] = random.choices,
    ) -> None:
        self.usage = usage
        self._keys = keys
        self._config = config
        self._clock = clock
        self._draw = draw
        # Until when a key rests, by its fingerprint.
        self._resting: dict[str, float] = {}

    def present(self) -> list[Key]:
        """All keys that there are at this moment. A name that begins with a dot is no key's: it is coming, or has just been replaced."""
        weights = self._weights()
        texts = self._keys.texts()
        return [Key(file, text, weights.get(file, 1)) for file, text in sorted(texts.items()) if _usable(text) and not file.startswith(".")]

    def choose(self, provider: str, without: Collection[str] = (), file: str | None = None) -> Key:
        """A key of `provider`'s, but none whose fingerprint is in `without`; of `file` alone where that is given.

        Raises:
            NoKeyError: naming the provider, never what was read.
        """
        found = [key for key in self.present() if key.provider == provider and file in (None, key.file)]
        left = [key for key in found if key.fingerprint not in without]
        if not left:
            raise NoKeyError(f"No {'other ' if found else ''}key for the provider {provider} is installed in the proxy")
        now = self._clock()
        awake = [key for key in left if self._resting.get(key.fingerprint, 0) <= now]
        # Those that rest are better than none: the one that rests the least longer.
        among = awake or sorted(left, key=lambda key: self._resting[key.fingerprint])[:1]
        preferred = [key for key in among if key.weight > 0] or among
        return self._draw(preferred, [max(key.weight, 1) for key in preferred])[0]

    def others(self, provider: str, without: Collection[str]) -> bool:
        """Whether the provider has a key whose fingerprint is not in `without`."""
        return any(key.provider == provider and key.fingerprint not in without for key in self.present())

    def accepted(self, key: Key) -> None:
        """The provider has answered a request with the key."""
        self._resting.pop(key.fingerprint, None)
        self.usage.accepted(key.file, key.fingerprint)

    def refused(self, key: Key, status: int, seconds: float | None = None) -> None:
        """The provider has turned the key down with an HTTP status, for so many seconds if it said so."""
        usual = LIMITED_SECONDS if status == 429 else REST_SECONDS
        rest = usual if seconds is None else min(max(seconds, 1.0), MOST_SECONDS)
        self._resting[key.fingerprint] = self._clock() + rest
        self.usage.refused(key.file, key.fingerprint, status)

    def _weights(self) -> Mapping[str, int]:
        text = self._config.texts().get(WEIGHTS_FILE)
        try:
            return json.loads(text) if text else {}
        except ValueError:
            return {}


def _usable(text: str) -> bool:
    return text.isascii() and text != ""
