"""Takes a stack away: what the engine has of its project, its images, and its folder. Workspace and engine go only if that is asked for."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import engine
from folder import LABEL, Refusal, Stack, Unanswered, answered, opened_folder, run, said

# Made by base-image, and used by every stack on the host.
SHARED_IMAGE = "localhost/ocweb-bootstrap"


def listed(*command: str) -> list[str]:
    """Return what the engine lists, each once."""
    return said("docker", *command)


def found(stack: Stack) -> dict[str, list[str]]:
    """Return what the engine has of the project, by kind, in the order in which it can go."""
    mine = f"label={LABEL}.project={stack.project}"
    images = listed("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", f"localhost/{stack.project}/*")
    others = [one for one in listed("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "localhost/*/base") if one not in images]
    shared = [] if others else listed("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", SHARED_IMAGE)
    return {
        "container": listed("ps", "--all", "--format", "{{.Names}}", "--filter", mine),
        "network": listed("network", "ls", "--format", "{{.Name}}", "--filter", mine),
        "volume": listed("volume", "ls", "--format", "{{.Name}}", "--filter", mine),
        # The base last: the engine keeps layers that something is made from.
        "image": sorted([*images, *shared], key=lambda one: (one in shared, "/base:" in one, one)),
    }


def workspace(stack: Stack) -> Path | None:
    """Return the folder on the host that the agent works in, as far as it is there."""
    found = stack.workspace()
    path = Path(found)
    return path if found and path.is_dir() and not path.is_symlink() else None


def check(stack: Stack, confirmation: str, dry: bool) -> None:
    """See that this may go.

    Raises:
        Refusal: it was not confirmed, or what lies in the folder is not a stack of this project.
    """
    if stack.path.is_dir() and any(stack.path.iterdir()) and not (stack.path / "build.yml").exists() and not stack.description.exists():
        raise Refusal(f"{stack.path} (stack_dir) holds other things than a stack. Nothing was removed: name the stack's folder.")
    for file in (stack.description, stack.path / "build.yml"):
        if file.exists() and f"\nname: {stack.project}\n" not in file.read_text(encoding="utf-8"):
            raise Refusal(
                f"The stack in {stack.path} (stack_dir) is not of the project {stack.project} (stack_project). Nothing was removed: "
                "name both as it was deployed."
            )
    if not dry and confirmation != stack.project:
        raise Refusal(
            f"stack_remove: nothing was removed. The project's name confirms it: -e stack_remove={stack.project}. "
            "--check shows what would go: sessions and keys on this host too."
        )


def remove(stack: Stack, there: dict[str, list[str]], problem: str, with_workspace: bool, dry: bool) -> list[str]:
    """Remove the folder and what is ``there`` of the stack, or with ``dry`` nothing, and say what; ``problem`` is the engine's."""
    if problem and shutil.which("docker") and (stack.description.exists() or (stack.path / "build.yml").exists()):
        raise Refusal(f"{problem} Nothing was removed, since its containers would stay.")
    folder = workspace(stack)
    going = [path for path in (stack.path, folder if with_workspace else None) if path and path.exists()]
    # Before anything goes: the ways there may not be ours.
    for path in going:
        os.close(opened_folder(path))
    lines = [f"{kind} {name}" for kind, names in there.items() for name in names]
    lines += [f"folder {path}" for path in going]
    if lines and folder and not with_workspace:
        lines.append(f"(the workspace {folder} stays)")
    if dry:
        return lines
    failures = []
    for kind, names in there.items():
        command = ["rm", "--force", "--volumes"] if kind == "container" else [kind, "rm"]
        done = run("docker", *command, *names, timeout=None) if names else None
        if done is not None and done.returncode:
            failures += done.stderr.strip().splitlines()
    if with_workspace and folder and not failures:
        engine.empty(folder)
    if stack.path.exists() and not failures:
        # What tells whose it is goes last, so that a removal that was killed can be run again.
        engine.empty(stack.path, last=(stack.description.name, "build.yml"))
    if failures:
        raise Refusal(f"Not all could be removed, and {stack.path} was kept: {'; '.join(failures)}", changed=True)
    return lines


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """Remove the stack in ``stack_dir`` of ``project``, which ``confirmation`` names again; with ``check`` say what would go.

    With ``engine``, an engine of ours that nobody else uses goes too; its base may have been made from one of ``bases``.
    """
    stack = Stack(question["stack_dir"], question["project"])
    dry = bool(question["check"])
    problem = stack.engine_problem()
    try:
        there = {} if problem else found(stack)
        record = engine.to_remove(stack, there, question["bases"]) if question["engine"] else {}
    except Unanswered as unanswered:
        raise Refusal(f"{unanswered} Nothing was removed.") from unanswered
    none = not stack.path.exists() and not any(there.values())
    if none and not record:
        unknown = f"; what the engine has of one is not known. {problem}" if problem and shutil.which("docker") else ""
        return {"changed": False, "lines": [f"There is no stack in {stack.path}{unknown}"]}
    check(stack, str(question["confirmation"]), dry)
    lines = remove(stack, there, problem, bool(question["workspace"]), dry)
    if record:
        lines += engine.lines(record)
        if not dry:
            engine.remove(record)
    return {"changed": bool(lines), "lines": lines or ["There is nothing to remove"]}


def main(question: dict[str, Any]) -> dict[str, Any]:
    """Return what came of it, and ``error``."""
    return answered(answer, question)
