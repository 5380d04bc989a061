"""What `make` hands to Ansible is what was said to it."""

import json
import re

import pytest

from documents import ROOT, made

# What each target stands on.
TARGETS = dict(re.findall(r"^([a-z-]+):(.*?)(?:##.*)?$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))


@pytest.mark.parametrize("source", ["", "/home/you/opencode-web", "/home/you/open code/a+b"])
def test_development_runs_from_the_source_that_was_named(source: str) -> None:
    words = made("dev", *([f"SOURCE={source}"] if source else []), "ARGS=--check --diff")
    assert words[-2:] == ["--check", "--diff"]
    assert words[-5:-3] == ["site.yml", "--extra-vars"]
    assert json.loads(words[-3]) == {"stack_mode": "development", **({"frontend_source": {"folder": source}} if source else {})}


def test_a_removal_is_confirmed_by_the_projects_name() -> None:
    assert made("remove", "ARGS=--extra-vars=stack_remove=ocweb")[-2:] == ["playbooks/remove.yml", "--extra-vars=stack_remove=ocweb"]


def test_an_inventory_is_the_one_that_was_named() -> None:
    assert made("status", "INVENTORY=inventories/example")[1:3] == ["-i", "inventories/example"]


def test_all_that_is_measured_is_measured_by_one_command() -> None:
    programs = {path.name for path in (ROOT / "tests").glob("bench-*")}
    assert programs <= set(TARGETS)
    assert set(TARGETS["bench"].split()) == {name for name in TARGETS if name.startswith("bench-")}


def test_no_python_environment_is_left_behind() -> None:
    kept = re.findall(r"^([.]venv[^/\n]*)", (ROOT / ".gitignore").read_text(encoding="utf-8"), re.M)
    assert kept and set(kept) <= set(made("clean"))
