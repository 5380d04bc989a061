"""Replaces secrets that the stack made for itself, and starts anew only what reads them when it starts."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import secret_file
from folder import SECONDS_TO_RETURN, Refusal, Stack, answered
from inner_secrets import made


def renew(stack: Stack, chosen: dict[str, Any], seconds: int) -> None:
    """Put new secrets in place and see that the stack is well with them.

    Raises:
        Refusal: it is not, after ``seconds``; the old secrets are in place again.
    """
    before = {name: seen(stack, one)[0] for name, one in chosen.items()}
    if reason := replaced(stack, chosen, {name: made(one["prefix"]) for name, one in chosen.items()}, seconds):
        again = replaced(stack, chosen, before, max(seconds, SECONDS_TO_RETURN))
        end = f", and are not healthy either: {again}" if again else ""
        raise Refusal(f"Not healthy with new secrets: {reason}. The services have the old ones again{end}.", changed=bool(again))


def replaced(stack: Stack, chosen: dict[str, Any], secrets: dict[str, str], seconds: int) -> str:
    """Put secrets in place, for the same users as the ones before, and return which services are not healthy then.

    What reads one when it starts is stopped before, so that after a run that was killed a deploy starts it, with the new one.
    """
    names, unwell = services(chosen), ""
    stopped = stack.compose("stop", "--timeout", "5", *names, timeout=None) if names else None
    if stopped and stopped.returncode:
        stack.up(max(seconds, SECONDS_TO_RETURN))
        raise Refusal(f"{', '.join(names)} cannot be stopped, so that nothing was renewed: {stopped.stderr.strip()}")
    try:
        for name, secret in secrets.items():
            secret_file.write(stack.path / chosen[name]["path"], secret, *seen(stack, chosen[name])[1])
    finally:
        if names:
            unwell = stack.up(seconds)
    return unwell


def seen(stack: Stack, one: dict[str, Any]) -> tuple[str, tuple[int, int, int]]:
    """Return a secret that is in place, and its owner, group and mode.

    Raises:
        Refusal: there is none.
    """
    handle = secret_file.opened(stack.path / one["path"])
    if handle is None:
        raise Refusal(f"There is no {Path(one['path']).name} in {stack.path} on this host. Deploy it first.")
    with os.fdopen(handle, encoding="ascii") as file:
        return file.read(), secret_file.belongs(handle)


def services(chosen: dict[str, Any]) -> list[str]:
    """Return the services that have to start anew."""
    return sorted({service for one in chosen.values() for service in one["restart"]})


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """Renew, of the ``secrets`` of the stack in ``stack_dir`` of ``project``, those that are ``chosen`` (names, or "all").

    Of each secret is known: ``path`` in the stack's folder, ``prefix``, and the services to ``restart``. With ``check`` nothing changes.
    """
    stack = Stack(question["stack_dir"], question["project"])
    if unknown := set(question["chosen"]) - {*question["secrets"], "all"}:
        raise Refusal(f"There is no secret {', '.join(sorted(unknown))}. Use {', '.join(question['secrets'])}, or all.")
    stack.need()
    chosen = {name: one for name, one in question["secrets"].items() if {name, "all"} & set(question["chosen"])}
    with contextlib.nullcontext() if question["check"] else stack.alone():
        for one in chosen.values():
            seen(stack, one)
        if not question["check"]:
            renew(stack, chosen, int(question["seconds"]))
    done = "Would be renewed" if question["check"] else "Renewed"
    anew = ", ".join(services(chosen)) or "nothing"
    return {"changed": bool(chosen), "lines": [f"{done}: {', '.join(sorted(chosen))}; started anew: {anew}"]}


def main(question: dict[str, Any]) -> dict[str, Any]:
    """Return what came of it, and ``error``."""
    return answered(answer, question)
