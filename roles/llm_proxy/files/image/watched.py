"""A folder of small files that is read again only where it has changed. Standard library only."""

import os
from collections.abc import Mapping
from pathlib import Path

Signature = tuple[int, int, int]


class WatchedFolder:
    """The text of each file in `path`, by the file's name. A look at each file's state is all that it costs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files: dict[str, Signature] = {}
        self._texts: Mapping[str, str] = {}

    def texts(self) -> Mapping[str, str]:
        """The files' texts at this moment, without white space at their ends; the same object as long as nothing has changed.

        A file that cannot be read is empty, and so is a folder that cannot be.
        """
        files = self._signatures()
        if files != self._files:
            self._texts = {name: self._read(name, signature) for name, signature in files.items()}
            self._files = files
        return self._texts

    def _signatures(self) -> dict[str, Signature]:
        found = {}
        try:
            names = os.listdir(self._path)
        except OSError:
            return {}
        for name in names:
            try:
                state = os.stat(self._path / name)
            except OSError:
                continue
            found[name] = (state.st_mtime_ns, state.st_size, state.st_ino)
        return found

    def _read(self, name: str, signature: Signature) -> str:
        if self._files.get(name) == signature:
            return self._texts[name]
        try:
            return (self._path / name).read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            return ""
