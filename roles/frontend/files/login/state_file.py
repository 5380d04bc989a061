"""The login's own files: each is replaced as a whole, and only this service's user reads it."""

import os
from pathlib import Path


def replace(path: Path, text: str) -> None:
    """Put `text` in the place of what is at `path`, in one step, so that a crash leaves the old file or the new one.

    Raises:
        OSError: it could not be written; what was there stays.
    """
    new = path.with_suffix(".new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
