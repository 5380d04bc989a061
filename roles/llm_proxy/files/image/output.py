"""Masks secrets in everything that this process writes to its log. Standard library only."""

import io
import sys
from collections.abc import Callable
from typing import BinaryIO

from masking import MaskedStream, Masker


class MaskedWriter(io.RawIOBase):
    """A binary file in front of `target` that writes no secret; `masker` tells those of the moment."""

    def __init__(self, target: BinaryIO, masker: Callable[[], Masker]) -> None:
        super().__init__()
        self._target = target
        self._stream = MaskedStream(masker)

    def writable(self) -> bool:
        """It is there to be written to."""
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Write what cannot be the beginning of a secret; the rest follows with what comes next."""
        self._target.write(self._stream.feed(bytes(data)))
        self._target.flush()
        return len(data)

    def fileno(self) -> int:
        """The descriptor of what is behind: it passes by the mask, so libraries get it to ask what it is, not to write."""
        return self._target.fileno()

    def isatty(self) -> bool:
        """Never: colours would break a secret into pieces."""
        return False

    def close(self) -> None:
        """Write what was held back. What is behind stays open."""
        if not self.closed:
            self._target.write(self._stream.end())
            self._target.flush()
        super().close()


def masked(target: BinaryIO, masker: Callable[[], Masker]) -> io.TextIOWrapper:
    """A text file in front of `target` that writes each line at once."""
    buffered = io.BufferedWriter(MaskedWriter(target, masker))  # type: ignore[type-var]
    return io.TextIOWrapper(buffered, encoding="utf-8", errors="backslashreplace", line_buffering=True, write_through=True)


def mask_output(masker: Callable[[], Masker]) -> None:
    """Put sys.stdout and sys.stderr behind the mask; what is imported afterwards finds no other."""
    # Detached: were the old file only dropped, it would close what is behind it.
    sys.stdout = sys.__stdout__ = masked(sys.stdout.detach(), masker)  # type: ignore[misc, union-attr]
    sys.stderr = sys.__stderr__ = masked(sys.stderr.detach(), masker)  # type: ignore[misc, union-attr]
