"""Which secrets there are: the provider keys that lie as files in a folder now or did within the last hour, and fixed ones.

Standard library only.
"""

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from masking import Masker

REMEMBERED_SECONDS = 3600.0

Signature = tuple[int, int, int]


class SecretFiles:
    """Keeps a Masker current with a folder of keys that rotate; reads a file only when it has changed.

    `clock` counts seconds.
    """

    def __init__(self, folder: Path, fixed: Iterable[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._fixed = tuple(fixed)
        self._clock = clock
        self._files: dict[str, Signature] = {}
        self._contents: dict[str, str] = {}
        # Each secret that is gone, and when it may be forgotten.
        self._former: dict[str, float] = {}
        self._masker = Masker(self._fixed)

    def masker(self) -> Masker:
        """The Masker of the secrets as they are at this moment; a look at each file's state is all that it costs."""
        files = self._signatures()
        now = self._clock()
        forgotten = [secret for secret, until in self._former.items() if until <= now]
        if files != self._files or forgotten:
            for secret in forgotten:
                del self._former[secret]
            self._read(files, now)
        return self._masker

    def _signatures(self) -> dict[str, Signature]:
        found = {}
        try:
            with os.scandir(self._folder) as entries:
                names = [entry.path for entry in entries]
        except OSError:
            names = []
        for name in names:
            try:
                state = os.stat(name)
            except OSError:
                continue
            found[name] = (state.st_mtime_ns, state.st_size, state.st_ino)
        return found

    def _read(self, files: dict[str, Signature], now: float) -> None:
        contents = {}
        for name, signature in files.items():
            if self._files.get(name) == signature:
                contents[name] = self._contents.get(name, "")
                continue
            try:
                contents[name] = Path(name).read_text(encoding="utf-8", errors="replace").strip()
            except OSError:
                contents[name] = ""
        for secret in set(self._contents.values()) - set(contents.values()):
            self._former[secret] = now + REMEMBERED_SECONDS
        self._files, self._contents = files, contents
        self._masker = Masker({*self._fixed, *contents.values(), *self._former})
