"""Replaces secrets that the stack made for itself, and starts anew only what reads them when it starts. Standard library only.

``main`` takes ``check`` (change nothing), ``stack_dir`` (or "auto"), ``project``, ``chosen`` (names, or "all") and ``secrets``: for each
name its ``path`` in the stack's folder, ``prefix``, and the services that ``restart``. It tells what was ``renewed``, and ``error``
("" is none).
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import secret_file
from inner_secrets import made

SECONDS = 300


class StopError(Exception):
    """What keeps it from going on, in words for the person who started it."""


def main(question: dict[str, Any]) -> dict[str, Any]:
    """Renew what is chosen; where the services do not come back with it, what was there before comes back."""
    try:
        folder = Path(question["stack_dir"] if question["stack_dir"] != "auto" else _usual_folder())
        chosen = {name: one for name, one in question["secrets"].items() if {name, "all"} & set(question["chosen"])}
        if unknown := set(question["chosen"]) - {*question["secrets"], "all"}:
            raise StopError(f"There is no secret {', '.join(sorted(unknown))}. Use {', '.join(question['secrets'])}, or all.")
        if missing := [name for name, one in chosen.items() if not (folder / one["path"]).exists()]:
            raise StopError(f"There is no {', '.join(missing)} in {folder} on this host. Deploy it first.")
        if not question["check"]:
            renew(folder, question["project"], chosen)
    except (StopError, OSError) as stop:
        return {"changed": False, "renewed": [], "restarted": [], "error": str(stop)}
    return {"changed": bool(chosen), "renewed": sorted(chosen), "restarted": services(chosen), "error": ""}


def renew(folder: Path, project: str, chosen: dict[str, Any]) -> None:
    """Put new secrets in place and see that the stack is well with them.

    Raises:
        StopError: it is not; the old secrets are in place again.
    """
    before = {name: (folder / one["path"]).read_text(encoding="ascii") for name, one in chosen.items()}
    for one in chosen.values():
        put(folder / one["path"], made(one["prefix"]))
    if not started(folder, project, services(chosen)):
        for name, one in chosen.items():
            put(folder / one["path"], before[name])
        started(folder, project, services(chosen))
        raise StopError("The services did not become healthy with new secrets, and have the old ones again. See docker compose logs.")


def services(chosen: dict[str, Any]) -> list[str]:
    """Return the services that have to start anew."""
    return sorted({service for one in chosen.values() for service in one["restart"]})


def put(path: Path, secret: str) -> None:
    """Put a secret in place, for the same users as the one before."""
    secret_file.write(path, secret, *secret_file.belongs(path))


def started(folder: Path, project: str, names: list[str]) -> bool:
    """Start services anew, and tell whether all of them became healthy."""
    if not names:
        return True
    compose = ["docker", "compose", "--project-name", project]
    up = [*compose, "up", "--detach", "--no-deps", "--force-recreate", "--no-build", "--wait", "--wait-timeout", str(SECONDS // 2), *names]
    try:
        return subprocess.run(up, cwd=folder, capture_output=True, timeout=SECONDS, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _usual_folder() -> str:
    return "/opt/ocweb" if os.getuid() == 0 else str(Path.home() / ".local/share/ocweb")
