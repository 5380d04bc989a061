"""Free space."""

from __future__ import annotations

import os
import shutil
from typing import Any


def seen(host: dict[str, Any]) -> dict[str, Any]:
    """Return how much is free on a ``host`` whose engine and stack's folder are known."""
    return {"free": {"stack_dir": free(host["stack_dir"]), "engine": free(host["engine"]["root"] or "/var/lib/docker")}}


def free(path: str) -> int:
    """Return the free bytes of the file system that will hold the path."""
    while path and not os.path.exists(path):
        path = os.path.dirname(path)
    return shutil.disk_usage(path or "/").free
