"""The plugin, on a suite of its own that needs no stack."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ATTACKS = Path(__file__).parents[2] / "attacks"
SECRET = "sk-ant-api03-Zm9vYmFyYmF6cXV4MTIz"
SUITE = f'''
import pytest
from suite import bed, control, thorough

@control("one-port")
@pytest.mark.parametrize("port", [1, 2])
def test_port(port):
    """Looks for a port.

    And more."""
    print("{SECRET}")
    assert port == 1, "{SECRET} answers"

@control("gate")
def test_error(no_such_fixture): ...

@control("logs")
@bed
def test_in_the_bed(): ...

@control("logs")
@thorough
def test_thorough(): ...

@control("fields")
def test_that_bed_fixtures_are_only_there(server): ...
'''


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, dict[str, Any]]:
    """What is on the terminal, in the JUnit XML and in the JSON."""
    folder = tmp_path_factory.mktemp("suite")
    for name, text in {
        "conftest.py": (ATTACKS / "conftest.py").read_text(encoding="utf-8"),
        "test_it.py": SUITE,
        "test_broken.py": "import no_such",
    }.items():
        (folder / name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "pytest",
                "-c",
                "/dev/null",
                f"--rootdir={folder}",
                "-p",
                "no:cacheprovider",
                "--continue-on-collection-errors",
            ),
            *("--quick", "--report-name=web1", "--report-json=out.json", "--report-html=sub/out.html", "--junitxml=out.xml", folder),
        ],
        cwd=folder,
        env={"PYTHONPATH": str(ATTACKS), "PYTHONDONTWRITEBYTECODE": "1", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (folder / "sub/out.html").exists(), done.stdout + done.stderr
    assert SECRET not in (folder / "sub/out.html").read_text(encoding="utf-8") + (folder / "out.json").read_text(encoding="utf-8")
    return done.stdout, (folder / "out.xml").read_text(encoding="utf-8"), json.loads((folder / "out.json").read_text(encoding="utf-8"))


def test_each_protection_gets_its_verdict(run: tuple[str, str, dict[str, Any]]) -> None:
    verdicts = {one["id"]: one["verdict"] for one in run[2]["controls"]}
    assert [verdicts[name] for name in ("one-port", "gate", "logs", "fields")] == ["FELL", "FELL", "not tried here", "not tried here"]
    assert run[2]["fell"] == ["one-port", "gate", "test_broken.py"]


def test_an_attack_is_told_by_the_first_line_of_its_docstring(run: tuple[str, str, dict[str, Any]]) -> None:
    [tried] = {one["tried"] for control in run[2]["controls"] if control["id"] == "one-port" for one in control["attacks"]}
    assert tried == "Looks for a port."


def test_secrets_are_left_out_of_pytests_own_output(run: tuple[str, str, dict[str, Any]]) -> None:
    for text in run[:2]:
        assert SECRET not in text
        assert f"[{len(SECRET)} characters left out] answers" in text


def test_machines_find_the_protections_in_the_xml(run: tuple[str, str, dict[str, Any]]) -> None:
    assert '<property name="control" value="one-port"' in run[1]
