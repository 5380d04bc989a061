"""Secrets that lie as a file each, seen by whom they are for: written whole or not at all. Standard library only."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def opened(path: Path) -> int | None:
    """Return a descriptor of the secret at ``path``; None where there is none. A link is not followed, and a pipe not waited for."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP):
            return None
        raise
    if stat.S_ISREG(os.fstat(handle).st_mode):
        return handle
    os.close(handle)
    return None


def write(path: Path, secret: str | bytes, owner: int, group: int, mode: int) -> None:
    """Put ``secret`` in the place of whatever lies at ``path``, in one step."""
    new = path.with_name(f".{path.name.lstrip('.')}.new")
    new.unlink(missing_ok=True)
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        # On a full disk, less may be written than was asked for, and that is no error yet.
        with open(handle, "wb") as file:
            file.write(secret.encode() if isinstance(secret, str) else secret)
            give(handle, owner, group, mode)
            file.flush()
            os.fsync(handle)
        os.replace(new, path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def give(file: int | Path, owner: int, group: int, mode: int) -> None:
    """Set who may do what with a file."""
    if belongs(file)[:2] != (owner, group):
        os.chown(file, owner, group)
    os.chmod(file, mode)


def belongs(file: int | Path) -> tuple[int, int, int]:
    """Return a file's owner, group and mode."""
    state = os.stat(file)
    return state.st_uid, state.st_gid, stat.S_IMODE(state.st_mode)
