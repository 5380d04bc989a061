"""No protection is without an attack on it, nor without a mutation that shows the attack to see."""

import ast
from pathlib import Path

import pytest
from controls import CONTROLS

from mutations import MUTATIONS

ATTACKS = Path(__file__).parents[2] / "attacks"


def attacked() -> dict[str, set[str]]:
    """The attacks by file and name, each with the controls that it tries."""
    found: dict[str, set[str]] = {}
    for path in ATTACKS.glob("test_*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                calls = [one for one in node.decorator_list if isinstance(one, ast.Call) and ast.unparse(one.func) == "control"]
                found[f"{path.name}::{node.name}"] = {ast.literal_eval(word) for call in calls for word in call.args}
    return found


@pytest.mark.parametrize("control", [control.id for control in CONTROLS])
def test_a_control_has_an_attack_and_a_mutation(control: str) -> None:
    assert [name for name, tried in attacked().items() if control in tried]
    assert [mutation for mutation in MUTATIONS if mutation.control == control]


def test_a_mutation_names_an_attack_on_its_control() -> None:
    for mutation in MUTATIONS:
        assert mutation.control in attacked()[mutation.attack], mutation.what


def test_every_attack_says_in_a_line_what_it_tries() -> None:
    for path in ATTACKS.glob("test_*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and path.name != "test_bed.py":
                assert ast.get_docstring(node), f"{path.name}::{node.name}"
