"""Which secrets there are: the keys that lie as files in folders now or did within the last hour. Standard library only."""

import time
from collections.abc import Callable, Sequence

from masking import Masker
from watched import WatchedFolder

REMEMBERED_SECONDS = 3600.0


class SecretFiles:
    """Keeps a Masker current with folders of keys that rotate.

    `clock` counts seconds.
    """

    def __init__(self, folders: Sequence[WatchedFolder], clock: Callable[[], float] = time.monotonic) -> None:
        self._folders = folders
        self._clock = clock
        self._current: frozenset[str] = frozenset()
        # Each secret that is gone, and when it may be forgotten.
        self._former: dict[str, float] = {}
        self._masker = Masker(())

    def masker(self) -> Masker:
        """The Masker of the secrets as they are at this moment."""
        current = frozenset(text for folder in self._folders for text in folder.texts().values())
        now = self._clock()
        forgotten = [secret for secret, until in self._former.items() if until <= now]
        if current != self._current or forgotten:
            for secret in forgotten:
                del self._former[secret]
            self._former |= dict.fromkeys(self._current - current, now + REMEMBERED_SECONDS)
            self._current = current
            self._masker = Masker({*current, *self._former})
        return self._masker
