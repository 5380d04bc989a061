"""The folder of the page's source code. Its owner may change it while it is looked at."""

from __future__ import annotations

import base64
import contextlib
import fnmatch
import json
import os
import stat
from collections.abc import Iterator, Sequence
from typing import Any

from mounts import exposure, overlap

LARGEST_MANIFEST = 2**23


def seen(question: dict[str, Any], host: dict[str, Any]) -> dict[str, Any]:
    """Return what the survey says of the source code on a ``host`` whose stack's folder and workspace are known."""
    return {"source": source(question["source"], host["stack_dir"], host["workspace"]["path"])}


def source(path: str, stack_dir: str, workspace: str) -> dict[str, Any]:
    """Describe the folder of the page's source code: whose it is, and which files tell what packages it needs.

    ``manifests`` is a JSON object of their texts by path, in base64, so that nothing takes what stands in them for its own; "" if
    there is no package.json with a bun.lock.
    """
    found: dict[str, Any] = {"path": path, "kind": "missing", "uid": 0, "gid": 0, "modules": False, "manifests": ""}
    with contextlib.suppress(OSError):
        status = os.stat(path)
        found["path"] = path = os.path.realpath(path)
        found["kind"] = "folder" if stat.S_ISDIR(status.st_mode) else "file"
        found["uid"], found["gid"] = status.st_uid, status.st_gid
        found["modules"] = os.path.lexists(os.path.join(path, "node_modules"))
    found["exposed"] = exposure(path) if path else ""
    found["overlapping"] = next(
        (name for name, other in (("stack_dir", stack_dir), ("backend_workspace", workspace)) if overlap(path, other)), ""
    )
    if found["kind"] == "folder":
        texts = manifests(path)
        found["manifests"] = base64.b64encode(json.dumps(texts, sort_keys=True).encode()).decode() if texts else ""
    return found


def manifests(folder: str) -> dict[str, str]:
    """Return the texts of package.json and bun.lock, and of the package.json of each workspace; nothing where one of the two is missing."""
    with contextlib.suppress(OSError, ValueError, AttributeError, LookupError, TypeError), contextlib.ExitStack() as folders:
        # What is on the way may be for others to enter, and not to read.
        *way, last = os.path.realpath(folder).split("/")
        here = folders.enter_context(opened("/", None))
        for name in filter(None, way):
            here = folders.enter_context(opened(name, here, os.O_PATH | os.O_DIRECTORY))
        here = folders.enter_context(opened(last, here))
        texts = {**texts_below(here, ["package.json"]), **texts_below(here, ["bun.lock"])}
        patterns = json.loads(texts["package.json"]).get("workspaces") or []
        for pattern in patterns.get("packages", []) if isinstance(patterns, dict) else patterns:
            texts.update(texts_below(here, [*(part for part in pattern.split("/") if part not in ("", ".")), "package.json"]))
        return texts if "bun.lock" in texts else {}
    return {}


@contextlib.contextmanager
def opened(name: str, above: int | None, how: int = os.O_DIRECTORY) -> Iterator[int]:
    """Open what a folder that is open holds, but no link. Where others may change a path while it is looked at, it is not named twice.

    Raises:
        OSError: it is not there, a link, or no folder.
    """
    handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | how, dir_fd=above)
    try:
        yield handle
    finally:
        os.close(handle)


def texts_below(folder: int, parts: Sequence[str], place: str = "") -> dict[str, str]:
    """Return the texts of the files that the parts of a pattern lead to from a folder that is open, by path.

    Raises:
        ValueError: one is no text.
    """
    first, *rest = parts
    found = {}
    for name in fnmatch.filter(sorted(os.listdir(folder)), first):
        with contextlib.suppress(OSError), opened(name, folder, os.O_DIRECTORY if rest else os.O_NONBLOCK) as handle:
            if rest:
                found.update(texts_below(handle, rest, f"{place}{name}/"))
            elif stat.S_ISREG(os.fstat(handle).st_mode) and os.fstat(handle).st_size <= LARGEST_MANIFEST:
                with open(handle, encoding="utf-8", closefd=False) as file:
                    found[f"{place}{name}"] = file.read(LARGEST_MANIFEST)
    return found
