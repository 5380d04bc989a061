"""Secrets that the stack makes for itself and nobody else knows: made on the host, never seen by the controller.

``main`` takes ``secrets`` (each ``path``, ``owner``, ``group``, ``mode`` and ``prefix``) and ``check`` (change nothing), and tells
by their paths which are ``new`` and which are ``given`` to another owner. Standard library only.
"""

from __future__ import annotations

import os
import secrets
import string
from pathlib import Path
from typing import Any

import secret_file

LENGTH = 48
ALPHABET = string.ascii_letters + string.digits


def made(prefix: str) -> str:
    """Return a new secret."""
    return prefix + "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))


def main(question: dict[str, Any]) -> dict[str, list[str]]:
    """Make those that are missing, and leave the others as they are but for whom they are for."""
    new: list[str] = []
    given: list[str] = []
    for one in question["secrets"]:
        path, belongs = Path(one["path"]), (one["owner"], one["group"], int(one["mode"], 8))
        handle = secret_file.opened(path)
        if handle is None:
            new.append(str(path))
            if not question["check"]:
                secret_file.write(path, made(one["prefix"]), *belongs)
            continue
        with os.fdopen(handle, "rb"):
            if secret_file.belongs(handle) != belongs:
                given.append(str(path))
                if not question["check"]:
                    secret_file.give(handle, *belongs)
    return {"new": new, "given": given}
