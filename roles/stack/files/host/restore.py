"""Brings the sessions of a backup back, on the host that made it or another.

Nothing is changed before all of it was read and found whole.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from backup import free, mounted_workspace, sessions_of
from deploys import Deploys, today
from folder import SECONDS_TO_RETURN, Refusal, Stack, answered, clear, read, remove
from sealed import check_password, need_gpg, opened, read_back
from sessions import Sessions


def check(stack: Stack, manifest: dict[str, Any], source: Path, workspace: str) -> None:
    """See that a backup fits this stack.

    Raises:
        Refusal: it does not, or has no room.
    """
    home = stack.path / "backend/home"
    known = set(today(sessions_of(stack, home)) or []) | set(read(Deploys(stack).deployed / "deploy.json").get("format", []))
    if newer := sorted(set(manifest["format"]) - known):
        raise Refusal(
            f"{source} was made by a newer OpenCode, and the one here cannot read its sessions ({', '.join(newer)}). Nothing was changed: "
            f"deploy the release that made it ({manifest['images'].get('backend', '?')}) or a newer one first."
        )
    if manifest["size"] > free(home):
        raise Refusal(f"{home} has {free(home)} bytes free, and the backup takes about {manifest['size']}. Nothing was changed.")
    if workspace and not manifest["workspace"]:
        raise Refusal(f"{source} holds no workspace (stack_restore_workspace). Nothing was changed.")
    if workspace:
        need_empty(workspace)


def need_empty(workspace: str) -> None:
    """See that nothing is in a workspace.

    Raises:
        Refusal: something is.
    """
    if any(os.scandir(workspace)):
        raise Refusal(
            f"{workspace} is not empty, and a workspace is restored into an empty one (stack_restore_workspace). Nothing was changed."
        )


@contextlib.contextmanager
def emptied_on_failure(stack: Stack, workspace: str, seconds: int) -> Iterator[None]:
    """Work in an empty workspace that the agent cannot write to meanwhile; empty it, and let the agent back in, where that fails."""
    stack.compose("stop", "--timeout", "5", "backend", timeout=None)
    try:
        need_empty(workspace)
        try:
            yield
        except BaseException:
            clear(Path(workspace))
            raise
    except BaseException:
        stack.up(max(seconds, SECONDS_TO_RETURN))
        raise


def unpack(sessions: Sessions, source: Path, password: str, digest: str) -> None:
    """Unpack a backup that was read before, and see that it is still that one.

    Raises:
        Refusal: it is not, or cannot be unpacked.
    """
    process = sessions.start("unpack", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert process.stdin is not None and process.stderr is not None
    with opened(source, password) as content:
        with contextlib.suppress(BrokenPipeError):
            while block := content.read():
                process.stdin.write(block)
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        complaint = process.stderr.read().decode(errors="replace").strip().splitlines()
        code = process.wait()
    if code:
        raise Refusal(f"{source} cannot be unpacked: {(complaint or ['no reason given'])[-1]}. The sessions are as they were.")
    if content.digest != digest:
        raise Refusal(f"{source} was changed while it was read. The sessions are as they were.")


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """Restore ``file``, sealed with ``password``, to the stack in ``stack_dir`` of ``project``; with ``workspace`` that too.

    With ``unsent``, the file is yet to be sent here: only what can be seen without it is looked at.
    """
    stack = Stack(question["stack_dir"], question["project"])
    password, source, dry = str(question["password"]), Path(str(question["file"])), bool(question["check"])
    check_password(password)
    if question["unsent"]:
        stack.need()
        need_gpg(True)
        return {"changed": False, "lines": []}
    if not source.is_file():
        beside = sorted(path.name for path in source.parent.glob("*.tar.gpg"))
        there = f" Beside it are {', '.join(beside[-3:])}." if beside else ""
        raise Refusal(f"stack_restore_file: {source} is not a file on this host. Name a backup by its absolute path.{there}")
    stack.need()
    lines = need_gpg(dry)
    if dry and lines:
        return {"changed": True, "lines": [*lines, f"the sessions of {source}, which cannot be looked at without gpg"]}
    manifest, digest = read_back(source, password)
    workspace = mounted_workspace(stack) if question["workspace"] else ""
    check(stack, manifest, source, workspace)
    home = stack.path / "backend/home"
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside, fresh = home.with_name(f"home.before-{stamp}"), home.with_name(f"home.{stamp}")
    lines += [f"sessions of {manifest['at']} ({manifest['project']}); those of now are kept in {aside}"]
    if dry:
        return {"changed": True, "lines": lines}

    with stack.alone():
        owner = home.stat()
        # Of one that was killed on its way.
        for left in home.parent.glob("home.[0-9]*Z"):
            remove(left)
        fresh.mkdir(mode=0o700)
        try:
            os.chown(fresh, owner.st_uid, owner.st_gid)
            with emptied_on_failure(stack, workspace, int(question["seconds"])) if workspace else contextlib.nullcontext():
                unpack(sessions_of(stack, fresh, *([f"{workspace}:/workspace"] if workspace else [])), source, password, digest)
            stack.compose("stop", "--timeout", "5", "backend", timeout=None)
            home.rename(aside)
            fresh.rename(home)
        finally:
            if fresh.exists():
                remove(fresh)
        if unwell := stack.up(int(question["seconds"])):
            again = bring_back(stack, aside, fresh, workspace, int(question["seconds"]))
            end = f", and not healthy either: {again}" if again else ""
            raise Refusal(f"Not healthy with the restored sessions: {unwell}. Those of before are back{end}.", changed=True)
        return {"changed": True, "lines": lines}


def bring_back(stack: Stack, aside: Path, fresh: Path, workspace: str, seconds: int) -> str:
    """Put the sessions of before, which are ``aside``, in place again, and let go of the restored ones; return what is unwell then."""
    home = stack.path / "backend/home"
    stack.compose("stop", "--timeout", "5", "backend", timeout=None)
    home.rename(fresh)
    aside.rename(home)
    try:
        remove(fresh)
        if workspace:
            clear(Path(workspace))
    finally:
        unwell = stack.up(max(seconds, SECONDS_TO_RETURN))
    return unwell


def main(question: dict[str, Any]) -> dict[str, Any]:
    """Return what came of it, and ``error``."""
    return answered(answer, question)
