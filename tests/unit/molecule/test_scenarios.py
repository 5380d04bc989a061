"""Each scenario has the plays that Molecule runs there, and those by which its tests deploy."""

import ast
import inspect
from pathlib import Path
from typing import Any

import bed
import pytest
import yaml

ROOT = Path(__file__).parents[3]
SCENARIOS = sorted(path.parent for path in ROOT.glob("molecule/*/molecule.yml"))
# Those whose tests lie elsewhere.
TESTS = {"faults": "tests/faults", "isolation": "tests/attacks"}


def described(path: Path) -> dict[str, Any]:
    """Return what a file in YAML says."""
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_each_play_that_molecule_runs_is_there(scenario: Path) -> None:
    common, own = described(ROOT / ".config/molecule/config.yml"), described(scenario / "molecule.yml")
    plays = {**common["ansible"]["playbooks"], **own.get("ansible", {}).get("playbooks", {})}
    sequence = own["scenario"].get("test_sequence", common["scenario"]["test_sequence"])
    steps = [step.partition(" ") for step in sequence if step not in ("syntax", "idempotence")]
    assert [play for step, _, named in steps if not (scenario / (play := named or plays.get(step, f"{step}.yml"))).is_file()] == []


def deployed_by(module: Path) -> set[str]:
    """Return the plays of its scenario by which a module of its tests deploys: `SCENARIO / "X"`, `play="X"`, or what `bed.deploy` takes."""
    found = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        match node:
            case ast.BinOp(left=ast.Name(id="SCENARIO"), right=ast.Constant(value=str(name))) if name.endswith(".yml"):
                found.add(name)
            case ast.keyword(arg="play", value=ast.Constant(value=str(name))):
                found.add(name)
            case ast.Attribute(attr="deploy") | ast.ImportFrom(module="scenario"):
                found.add(str(inspect.signature(bed.deploy).parameters["play"].default))
    return found


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_each_play_by_which_its_tests_deploy_is_there(scenario: Path) -> None:
    folder = ROOT / TESTS.get(scenario.name, f"molecule/{scenario.name}/tests")
    plays = {play for module in folder.glob("*.py") for play in deployed_by(module)}
    assert plays or scenario.name == "rotation"
    assert [play for play in sorted(plays) if not (scenario / play).is_file()] == []
