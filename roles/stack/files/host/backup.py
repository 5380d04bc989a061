"""Backs a stack up while it runs: its sessions and its configuration, and the workspace if that is asked for. No key and no secret.

The archive is a tar, encrypted (see sealed.py), that is read back before it counts.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from deploys import configuration
from folder import Refusal, Stack, answered, now, run, source, write
from sealed import MANIFEST, VERSION, check_password, need_gpg, read_back, seal
from sessions import Sessions


def backup_folder(choice: str) -> Path:
    """Return where backups lie on this host."""
    home = "/var/backups/ocweb" if os.geteuid() == 0 else os.path.expanduser("~/.local/share/ocweb-backups")
    return Path(home if choice == "auto" else choice)


def mounted_workspace(stack: Stack) -> str:
    """Return the folder on the host that the agent works in.

    Raises:
        Refusal: Compose does not say which that is.
    """
    if workspace := stack.workspace():
        return workspace
    raise Refusal(
        f"Compose does not say from {stack.description} where the workspace is. Nothing was changed: deploy with site.yml, and try again."
    )


def sessions_of(stack: Stack, home: Path, *extra: str) -> Sessions:
    """Return a home of the agent's, worked on with the proxy's image.

    Raises:
        Refusal: the image is gone.
    """
    image = str(stack.model().get("services", {}).get("llm-proxy", {}).get("image", ""))
    if not image or stack.missing([image]):
        raise Refusal(f"The image {image or 'of llm-proxy'} is not on this host. Deploy with site.yml, which builds it.")
    return Sessions(home, image, source("sessions"), extra)


def size(*paths: str) -> int:
    """Return the bytes that folders hold."""
    done = run("du", "--summarize", "--total", "--apparent-size", "--block-size=1", "--", *paths, timeout=None)
    return int(done.stdout.splitlines()[-1].split()[0])


def free(folder: Path) -> int:
    """Return the free bytes of the file system that a folder is on, or will be."""
    return shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.exists())).free


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """Back up the stack in ``stack_dir`` of ``project`` to ``folder``, sealed with ``password``; ``workspace`` adds the workspace."""
    stack = Stack(question["stack_dir"], question["project"])
    check_password(str(question["password"]))
    stack.need()
    dry = bool(question["check"])
    lines = need_gpg(dry)
    mounted = mounted_workspace(stack)
    workspace = mounted if question["workspace"] else ""
    home = stack.path / "backend/home"
    sessions = sessions_of(stack, home, *([f"{workspace}:/workspace:ro"] if workspace else []))
    folder = backup_folder(str(question["folder"]))
    for place, why in ((stack.path, "goes with the stack"), (mounted, "is the agent's to change")):
        if Path(place).resolve() in (folder.resolve(), *folder.resolve().parents):
            raise Refusal(f"stack_backup_dir: {folder} lies in {place}, and what is there {why}. Name a folder elsewhere.")
    total = size(str(home), *([workspace] if workspace else []))
    if total > free(folder):
        raise Refusal(
            f"{folder} (stack_backup_dir) has {free(folder)} bytes free, and the backup takes about {total}. Nothing was written."
        )
    target = folder / f"{stack.project}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.tar.gpg"
    if dry:
        return {"changed": True, "lines": [*lines, f"a backup in {folder}, of about {total} bytes"], "file": ""}

    started = time.monotonic()
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    manifest = described(stack, sessions, total, bool(workspace))
    texts = {name: content.decode() for name, (content, _) in configuration(stack.path).items()}
    first = {MANIFEST: json.dumps(manifest), **{f"configuration/{name}": text for name, text in texts.items()}}
    for left in folder.glob(f".{stack.project}-*.part"):
        # Of a backup that was killed.
        if not Path("/proc", left.suffixes[-2][1:]).exists():
            left.unlink()
    unreadable = written(sessions, first, target, str(question["password"]))
    seconds = round(time.monotonic() - started, 1)
    record = {"at": manifest["at"], "file": str(target), "size": target.stat().st_size, "seconds": seconds, "workspace": bool(workspace)}
    write(stack.path / "backup.json", json.dumps(record).encode(), 0o600)
    lines.append(f"{target}: {record['size']} bytes in {seconds} s, read back. Keys and secrets are not in it.")
    if unreadable:
        lines.append(f"Left out, since the agent itself may not read them: {', '.join(unreadable)}.")
    return {"changed": True, "lines": lines, "file": str(target), "seconds": seconds}


def described(stack: Stack, sessions: Sessions, total: int, workspace: bool) -> dict[str, Any]:
    """Return the manifest of a backup that is made now; ``total`` is about how many bytes it takes.

    Raises:
        Refusal: the sessions cannot be read.
    """
    images = {name: str(service["image"]) for name, service in stack.model().get("services", {}).items()}
    try:
        known = sessions.format()
    except RuntimeError as error:
        raise Refusal(f"The sessions cannot be read: {error}. No backup was made.") from error
    return {
        "version": VERSION,
        "at": now(),
        "project": stack.project,
        "images": images,
        "format": known,
        "size": total,
        "workspace": workspace,
    }


def written(sessions: Sessions, first: dict[str, str], target: Path, password: str) -> list[str]:
    """Write the archive, which gets its name once it was read back; return what was left out.

    Raises:
        Refusal: something could not be read or written, or reads back as something else.
    """
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        digest, unreadable = packed(sessions, first, part, password)
        if read_back(part, password)[1] != digest:
            raise Refusal(
                f"What was written to {target.parent} reads back as something else. The backup was removed: look after that disk.",
                changed=True,
            )
        # Whoever logs in to fetch it may read it: it is encrypted.
        os.chown(part, int(os.environ.get("SUDO_UID", os.getuid())), -1)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return unreadable


def packed(sessions: Sessions, first: dict[str, str], target: Path, password: str) -> tuple[str, list[str]]:
    """Pack the sessions into a new encrypted file; return the archive's digest before that, and what was left out.

    Raises:
        Refusal: something could not be read or written.
    """
    process = sessions.start("pack", stdin=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    process.stdin.write(json.dumps(first).encode())
    process.stdin.close()
    try:
        digest = seal(process.stdout, target, password)
    except (OSError, RuntimeError) as error:
        process.kill()
        raise Refusal(f"The backup could not be written: {error}", changed=True) from error
    complaint = process.stderr.read().decode(errors="replace").strip().splitlines()
    if process.wait():
        raise Refusal(f"The sessions could not be read: {(complaint or ['no reason given'])[-1]}. No backup was made.", changed=True)
    return digest, json.loads(complaint[-1])


def main(question: dict[str, Any]) -> dict[str, Any]:
    """Return what came of it, and ``error``."""
    return answered(answer, question)
