"""Makes folders whose owner and mode are given, all in one go. Standard library only."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from secret_file import belongs, give


def main(question: dict[str, Any]) -> dict[str, Any]:
    """Have the ``folders`` ({path, owner, group, mode} each; mode as text, such as "0700"), unless this is a dry run (``check``).

    Returns {"changed": paths of those that were, or would be, made or given away, "error": ""}. A link in the place of one is an error.
    """
    changed: list[str] = []
    for folder in question["folders"]:
        path, owner, group, mode = Path(folder["path"]), folder["owner"], folder["group"], int(folder["mode"], 8)
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            return {"changed": changed, "error": f"{path} is there and is no folder. Move it out of the way"}
        if path.is_dir() and belongs(path) == (owner, group, mode):
            continue
        changed.append(str(path))
        if not question["check"]:
            make(path, owner, group, mode)
    return {"changed": changed, "error": ""}


def make(path: Path, owner: int, group: int, mode: int) -> None:
    """Make a folder, or give away the one that is there; folders above it that are missing are anyone's to enter."""
    for parent in reversed([one for one in path.parents if not one.exists()]):
        parent.mkdir()
        parent.chmod(0o755)  # whatever the umask is
    path.mkdir(mode=0o700, exist_ok=True)
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        give(handle, owner, group, mode)
    finally:
        os.close(handle)
