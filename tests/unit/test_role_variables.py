"""Every variable that a user may set stands in defaults/main.yml with a comment and in argument_specs.yml with the same default."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from task_files import read, tasks

ROLES = sorted(path.parent.parent for path in Path(__file__).parents[2].glob("roles/*/defaults/main.yml"))


def defaults(role: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((role / "defaults/main.yml").read_text(encoding="utf-8"))
    return found


def options(role: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((role / "meta/argument_specs.yml").read_text(encoding="utf-8"))
    named: dict[str, Any] = found["argument_specs"]["main"]["options"]
    return named


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_defaults_and_specs_name_the_same_variables(role: Path) -> None:
    assert list(defaults(role)) == list(options(role))


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_defaults_and_specs_have_the_same_values(role: Path) -> None:
    assert defaults(role) == {name: option["default"] for name, option in options(role).items()}


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_variable_has_a_type_a_description_and_a_comment(role: Path) -> None:
    text = (role / "defaults/main.yml").read_text(encoding="utf-8")
    paragraphs = re.split(r"\n\s*\n", text.removeprefix("---\n"))
    commented = {name for part in paragraphs if part.startswith("#") for name in re.findall(r"^(\w+):", part, re.M)}
    assert commented == set(defaults(role))
    assert [name for name, option in options(role).items() if not option.get("type") or not option.get("description")] == []


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_every_variable_carries_its_roles_name(role: Path) -> None:
    internal = yaml.safe_load((role / "vars/main.yml").read_text(encoding="utf-8"))
    assert [name for name in defaults(role) if not name.startswith(f"{role.name}_")] == []
    assert [name for name in internal if not name.startswith(f"__{role.name}_")] == []


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_what_tasks_name_carries_a_roles_name(role: Path) -> None:
    """The role's own, or that of a role whose tasks it includes; connection variables are Ansible's."""
    wrong = []
    for file in sorted(role.glob("tasks/*.yml")):
        for task in tasks(read(file)):
            included = [task[name]["name"] for name in ("ansible.builtin.include_role", "ansible.builtin.import_role") if name in task]
            owners = tuple(f"__{name}_" for name in [role.name, *included])
            named = {*task.get("vars", {}), *task.get("ansible.builtin.set_fact", {}), *filter(None, [task.get("register")])}
            wrong += [f"{file.name}: {name}" for name in sorted(named) if not name.startswith((*owners, "ansible_"))]
    assert wrong == []
