"""A deploy that fails leaves what was there as it was."""

import subprocess
import sys
from pathlib import Path

from conftest import DIR, Stack

SCENARIO = Path(__file__).resolve().parents[1]


def deploy(variables: str) -> "subprocess.CompletedProcess[str]":
    """Deploy to the scenario's server with other variables."""
    playbook = Path(sys.executable).with_name("ansible-playbook")
    command = [playbook, "--inventory", SCENARIO / "inventory", "--extra-vars", variables, SCENARIO / "converge.yml"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_an_image_that_cannot_be_built_is_named_and_the_old_stack_runs_on(stack: Stack) -> None:
    state = f"docker ps --no-trunc --format '{{{{.ID}}}} {{{{.Image}}}} {{{{.Status}}}}' | sed 's/Up [^(]*/Up /'; cat {DIR}/compose.yml"
    before = stack.server.check_output(state)
    failed = deploy('{"backend_packages": ["no-such-package"]}')
    assert failed.returncode == 2
    assert "An image could not be built; the stack is as it was before." in failed.stdout + failed.stderr
    assert "Unable to locate package no-such-package" in failed.stdout + failed.stderr
    assert stack.server.check_output(state) == before
