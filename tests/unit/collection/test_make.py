"""What `make` hands to Ansible is what was said to it."""

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def played(target: str, *settings: str) -> list[str]:
    """Return the words of the play that `make` would run."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "MFLAGS"}
    done = subprocess.run(["make", "--dry-run", target, *settings], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    [line] = [line for line in done.stdout.splitlines() if line.startswith(".venv/bin/ansible-playbook")]
    return shlex.split(line)


@pytest.mark.parametrize("source", ["", "/home/you/opencode-web", "/home/you/open code/a+b"])
def test_development_runs_from_the_source_that_was_named(source: str) -> None:
    words = played("dev", *([f"SOURCE={source}"] if source else []), "ARGS=--check --diff")
    assert words[-2:] == ["--check", "--diff"]
    assert words[-5:-3] == ["site.yml", "--extra-vars"]
    assert json.loads(words[-3]) == {"stack_mode": "development", **({"frontend_source": {"folder": source}} if source else {})}


def test_a_removal_is_confirmed_by_the_projects_name() -> None:
    assert played("remove", "ARGS=--extra-vars=stack_remove=ocweb")[-2:] == ["playbooks/remove.yml", "--extra-vars=stack_remove=ocweb"]


def test_an_inventory_is_the_one_that_was_named() -> None:
    assert played("status", "INVENTORY=inventories/example")[1:3] == ["-i", "inventories/example"]
