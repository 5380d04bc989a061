"""The stack's folder: where it is, what a deploy left in it, and whether another one could be made."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import re
import stat
from datetime import datetime, timezone
from typing import Any

# What a deploy that was killed leaves in its folder, before that shows whose it is.
HALF_WRITTEN = re.compile(r"\.(ansible_tmp.*|.*\.new)$")
OURS = {"backend", "build.env", "bundle", "egress", "frontend", "gateway", "llm-proxy", "lost+found"}


def seen(question: dict[str, Any], host: dict[str, Any]) -> dict[str, Any]:
    """Return what the survey says of the stack's folder on a ``host`` whose user is known."""
    folder, project = stack_folder(question["stack_dir"], host["home"]), question["project"]
    description = text(os.path.join(folder, "compose.yml"))
    images, kept = last_deploy(folder)
    return {
        "stack_dir": folder,
        "description": description,
        "deployed": description != "",
        "deployed_images": images,
        "deploy_kept": kept,
        "paths": paths(folder),
        "written": written(folder),
        "revoked_keys": revoked_keys(os.path.join(folder, "llm-proxy/records/keys.json")),
        "canary": os.path.exists(os.path.join(folder, "llm-proxy/secrets/canary")),
        "other_project": other_project(folder, project),
        "foreign": foreign(folder, project),
        "unwritable": unwritable(folder, host["user"]),
    }


def stack_folder(choice: str, home: str) -> str:
    """Return the stack's folder, spelt as Compose does: what lies in it is known by its path, here and in the roles."""
    usual = "/opt/ocweb" if os.geteuid() == 0 else os.path.join(home, ".local/share/ocweb")
    return os.path.normpath(usual if choice == "auto" else choice)


def paths(root: str) -> list[dict[str, Any]]:
    """Describe what lies in the stack's folder and in those of its services: whose it is, and whether it is a ``folder``, and no link."""
    found = []
    for path in sorted(path for pattern in ("*", "*/*") for path in glob.glob(os.path.join(glob.escape(root), pattern))):
        with contextlib.suppress(OSError):
            status = os.lstat(path)
            found.append({"path": path, "owner": status.st_uid, "folder": stat.S_ISDIR(status.st_mode)})
    return found


def written(root: str) -> list[str]:
    """Return SHA-256 and path of each file of the configuration, so that only those that differ cost a task."""
    found = []
    for pattern in ("compose.yml", "*/config/*"):
        for path in sorted(glob.glob(os.path.join(glob.escape(root), pattern))):
            with contextlib.suppress(OSError):
                status = os.lstat(path)
                if stat.S_ISREG(status.st_mode) and stat.S_IMODE(status.st_mode) == 0o644:
                    with open(path, "rb") as file:
                        found.append(f"{hashlib.sha256(file.read()).hexdigest()} {path}")
    return found


def text(path: str) -> str:
    """Return what a file holds; "" where there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""


def last_deploy(folder: str) -> tuple[dict[str, str], bool]:
    """Return the images of the last deploy that was healthy, and whether what is described now is that one (see deploys.py)."""
    try:
        with open(os.path.join(folder, "deployed/deploy.json"), encoding="utf-8") as record:
            images = json.load(record)["images"]
        with (
            open(os.path.join(folder, "deployed/compose.yml"), encoding="utf-8") as kept,
            open(os.path.join(folder, "compose.yml"), encoding="utf-8") as now,
        ):
            return images, kept.read() == now.read()
    except (OSError, ValueError, KeyError):
        return {}, False


def revoked_keys(records: str) -> dict[str, dict[str, str]]:
    """Return who revoked which keys when, by fingerprints; llm_proxy writes it down, and what it has not yet is a file beside that."""
    found: dict[str, dict[str, str]] = {}
    for path in glob.glob(os.path.join(glob.escape(os.path.dirname(records)), "revoked.*.*")):
        with contextlib.suppress(OSError):
            at = datetime.fromtimestamp(os.lstat(path).st_ctime, timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
            found[os.path.basename(path).split(".")[1]] = {"at": at, "by": "a run that had not ended"}
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError), open(records, encoding="utf-8") as file:
        found.update(json.load(file)["revoked"])
    return found


def unwritable(stack_dir: str, user: str) -> str:
    """Say why we, who are called ``user``, could not write to the stack's folder, or make it; "" if we could."""
    there = stack_dir
    while there and not os.path.lexists(there):
        there = os.path.dirname(there)
    if not os.path.isdir(there):
        return f"{there} is no folder"
    if not os.access(there, os.W_OK | os.X_OK, effective_ids=True):
        return f"{user} may not write to {there}"
    for name in ("compose.yml", "build.yml"):
        with contextlib.suppress(OSError):
            owner = os.stat(os.path.join(stack_dir, name)).st_uid
            if os.geteuid() not in (0, owner):
                return f"the stack there was deployed by user id {owner}"
    return ""


def other_project(stack_dir: str, project: str) -> str:
    """Return the Compose project whose folder it is, "" if that is this one, or none."""
    named = re.search(r"^name: (\S+)$", text(os.path.join(stack_dir, "compose.yml")), re.MULTILINE)
    return named.group(1) if named and named.group(1) != project else ""


def foreign(stack_dir: str, project: str) -> list[str]:
    """Return what else lies in a folder that no stack of the project was deployed to; what is in a stack's folder goes with the stack."""
    try:
        found = set(os.listdir(stack_dir))
    except OSError:
        return []
    if any(f"\nname: {project}\n" in text(os.path.join(stack_dir, name)) for name in ("compose.yml", "build.yml")):
        return []
    return sorted(name for name in found - OURS if not HALF_WRITTEN.match(name))
