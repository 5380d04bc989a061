"""What is mounted into the agent's container: what it is, whose, and whether it is more than work."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import stat
from typing import Any

# Whoever can write to one of these is root on the host.
RUNTIME_SOCKET = re.compile(r"(docker|containerd|podman|crio|buildkitd|libvirt-sock|libpod|incus|lxd|kubelet)[^/]*$")
SYSTEM_FOLDERS = ("/bin", "/boot", "/dev", "/etc", "/lib", "/proc", "/run", "/sbin", "/sys", "/usr")
ENGINE_FOLDERS = ("/var/lib/containerd", "/var/lib/docker")
# What lies in these may be work; they themselves are not.
PARENT_FOLDERS = ("/root", "/var/lib")
NOBODY = 65534


def seen(question: dict[str, Any], host: dict[str, Any]) -> dict[str, Any]:
    """Return what the survey says of the mounts on a ``host`` whose stack's folder is known."""
    work = workspace(question["workspace"], host["home"], question["workspace_owner"])
    gitconfig = existing(question["gitconfig"], work["home"], ".gitconfig")
    ssh_dir = existing(question["ssh_dir"], work["home"], ".ssh")
    mounted = {"backend_workspace": work, "backend_gitconfig": gitconfig, "backend_ssh_dir": ssh_dir}
    return {
        "workspace": work,
        "gitconfig": gitconfig,
        "ssh_dir": ssh_dir,
        "overlapping": [variable for variable, found in mounted.items() if overlap(found["path"], host["stack_dir"])],
        "exposed": {variable: exposure(found["path"]) for variable, found in mounted.items()},
    }


def workspace(path: str, home: str, new_owner: str) -> dict[str, Any]:
    """Describe the workspace, and whose it is: the owner's id, home and account decide what else may be mounted.

    A missing one is described as it will be made: for user id ``new_owner``, or "auto": 1000 by root, else us.
    """
    chosen = path == "auto"
    path = os.path.join(home, "workspace") if chosen else path
    found: dict[str, Any] = {"path": path, "auto": chosen, "kind": "missing", "home": "", "strays": False}
    try:
        status = os.stat(path)
    except OSError:
        root = os.geteuid() == 0
        if os.path.islink(path):  # to nothing
            found["kind"] = "file"
        found["uid"] = (1000 if root else os.geteuid()) if new_owner == "auto" else int(new_owner)
        found["gid"] = found["uid"] if root else os.getegid()
    else:
        found["kind"] = "folder" if stat.S_ISDIR(status.st_mode) else "file"
        found["path"] = os.path.realpath(path)
        found["strays"] = chosen and not inside(path, home)
        found["uid"], found["gid"] = status.st_uid, status.st_gid
    with contextlib.suppress(KeyError):
        account = pwd.getpwuid(found["uid"])
        found["home"] = account.pw_dir
        if found["kind"] == "missing":
            found["gid"] = account.pw_gid
    return found


def existing(choice: str, home: str, name: str) -> dict[str, Any]:
    """Resolve a path that may be "auto": ``name`` in ``home``; an automatic path that does not exist is "".

    Links are followed, so that what was looked at is what is mounted; ``strays`` tells of an automatic one that leads out of the home.
    """
    path = choice if choice != "auto" else os.path.join(home, name) if home else ""
    there = bool(path) and os.path.exists(path)
    if not there:
        return {"path": path if choice != "auto" else "", "exists": False, "strays": False}
    return {"path": os.path.realpath(path), "exists": True, "strays": choice == "auto" and not inside(path, home)}


def inside(path: str, folder: str) -> bool:
    """Tell whether a path, links followed, lies in a folder or is it."""
    folder = os.path.realpath(folder)
    return os.path.commonpath([os.path.realpath(path), folder]) == folder


def same(one: str, other: str) -> bool:
    """Tell whether two paths lead to the same thing, be it by a bind mount."""
    with contextlib.suppress(OSError):
        return os.path.samefile(one, other)
    return False


def overlap(path: str, folder: str) -> bool:
    """Tell whether one of two paths lies in the other; no path lies nowhere."""
    resolved = [os.path.realpath(path), os.path.realpath(folder)]
    return bool(path) and os.path.commonpath(resolved) in resolved


def exposure(path: str) -> str:
    """Say what a mount of this path would hand over that is more than work; "" if nothing does."""
    if not path or not os.path.exists(path):
        return ""
    resolved = os.path.realpath(path)
    reasons = [
        *("is the whole host" for _ in [0] if same(resolved, "/")),
        *(f"holds the system's {one}" for one in PARENT_FOLDERS if inside(one, resolved)),
        *(f"is of the system's {one}" for one in SYSTEM_FOLDERS + ENGINE_FOLDERS if inside(one, resolved) or inside(resolved, one)),
        *(f"holds the home of {name}, with all that is in it" for name, home in homes() if inside(home, resolved) or same(home, resolved)),
        *(f"holds {one}, and with it the engine" for one in sockets() if inside(one, resolved)),
    ]
    return next(iter(reasons), "")


def homes() -> list[tuple[str, str]]:
    """Return the people who have an account here, each with their home."""
    accounts = pwd.getpwall()
    people = [one for one in accounts if one.pw_uid == 0 or (one.pw_uid >= 1000 and one.pw_uid != NOBODY)]
    return [(one.pw_name, one.pw_dir) for one in people if one.pw_dir not in ("", "/")]


def sockets() -> list[str]:
    """Return the paths of the sockets by which something that runs containers or machines is commanded."""
    with open("/proc/net/unix", encoding="utf-8", errors="replace") as lines:
        named = {fields[7] for fields in (line.split(maxsplit=7) for line in lines) if len(fields) == 8}
    return sorted(path for path in (name.strip() for name in named) if path.startswith("/") and RUNTIME_SOCKET.search(path))
