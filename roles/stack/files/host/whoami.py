"""Says as whom Ansible works on this host, where what there is of the stack is that user's to work on."""

from __future__ import annotations

import os
from typing import Any

from folder import answered, stack_folder


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """Return the user's id, who may work on the stack in ``stack_dir``."""
    stack_folder(question["stack_dir"])
    return {"changed": False, "uid": str(os.geteuid())}


def main(question: dict[str, Any]) -> dict[str, Any]:
    """Return what came of it, and ``error``."""
    return answered(answer, question)
