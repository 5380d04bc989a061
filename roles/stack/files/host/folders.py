"""Makes folders whose owner and mode are given, all in one go. Standard library only."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from folder import Refusal, opened_folder, reason
from secret_file import belongs, give


def main(question: dict[str, Any]) -> dict[str, Any]:
    """Have the ``folders`` ({path, owner, group, mode} each; mode as text, such as "0700"), unless this is a dry run (``check``).

    Returns {"changed": paths of those that were, or would be, made or given away, "error": ""}. A link in the place of one is an error,
    and so is one on the way that someone other than root may have put there.
    """
    changed: list[str] = []
    try:
        for folder in question["folders"]:
            path, owner, group, mode = Path(folder["path"]), folder["owner"], folder["group"], int(folder["mode"], 8)
            if path.is_symlink() or (path.exists() and not path.is_dir()):
                raise Refusal(f"{path} is there and is no folder. Move it out of the way")
            if path.is_dir() and belongs(path) == (owner, group, mode):
                continue
            if not question["check"]:
                make(path, owner, group, mode)
            changed.append(str(path))
    except Refusal as refusal:
        return {"changed": changed, "error": str(refusal)}
    except OSError as error:
        return {"changed": changed, "error": reason(error, path)}
    return {"changed": changed, "error": ""}


def make(path: Path, owner: int, group: int, mode: int) -> None:
    """Make a folder, or give away the one that is there; folders above it that are missing are anyone's to enter."""
    missing = [one.name for one in path.parents if not one.exists()]
    handle = opened_folder(path.parents[len(missing)])
    try:
        for name in [*reversed(missing), path.name]:
            above = handle
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=above)
            handle = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=above)
            os.close(above)
            if name in missing:
                os.fchmod(handle, 0o755)  # whatever the umask is
        give(handle, owner, group, mode)
    finally:
        os.close(handle)
