"""tests/molecule runs scenarios two at a time, and none that would begin too late."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

RUNNER = Path(__file__).parents[2] / "molecule"


@pytest.fixture
def runner(tmp_path: Path, stub_command: Callable[..., None]) -> Path:
    """The runner in a folder of its own, and a Molecule in which scenario `dev` fails."""
    stub_command("exit 0")
    stub_command('case "$*" in *dev) echo "FAILED it"; exit 1 ;; *) echo "1 passed" ;; esac', "molecule")
    copy = tmp_path / "tests/molecule"
    (copy.parent / "browser").mkdir(parents=True)
    shutil.copy(RUNNER, copy)
    (copy.parent / "browser/image").write_text("#!/bin/sh\n", encoding="utf-8")
    (copy.parent / "browser/image").chmod(0o755)
    return copy


def run(runner: Path, *scenarios: str, until: float | None = None) -> tuple[int, str]:
    """Run scenarios; return the exit code and what was said."""
    environment = {**os.environ, "OCWEB_BASE_IMAGE": "a", "OCWEB_BUNDLE": "b"}
    if until is not None:
        environment["OCWEB_BEGIN_UNTIL"] = str(int(until))
    done = subprocess.run([runner, *scenarios], env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_all_run_and_one_that_fails_is_told_of(runner: Path) -> None:
    code, said = run(runner, "faults", "dev", "offline")
    assert code == 1
    assert said.count("1 passed") == 2
    assert "== dev failed:\nFAILED it" in said


def test_all_begin_in_time(runner: Path) -> None:
    code, said = run(runner, "faults", "rotation", "offline", until=time.time() + 600)
    assert code == 0
    assert said.count("1 passed") == 3
    assert "not run" not in said


def named(said: str) -> set[str]:
    """Return the scenarios that were not run."""
    [line] = [line for line in said.splitlines() if line.startswith("== not run, for want of time: ")]
    return set(line.split(": ")[1].split())


def test_what_would_begin_too_late_is_named(runner: Path) -> None:
    code, said = run(runner, "faults", "dev", until=time.time() - 1)
    assert code == 0
    assert "passed" not in said
    assert named(said) == {"faults", "dev"}


def test_what_waits_for_others_may_come_to_be_too_late(runner: Path, stub_command: Callable[..., None]) -> None:
    """Two begin, and take longer than there is time; the other two are named, and what the first two say counts."""
    stub_command('until [ "$(date +%s)" -ge "$OCWEB_BEGIN_UNTIL" ]; do sleep 0.1; done; echo 1 passed', "molecule")
    code, said = run(runner, "faults", "rotation", "offline", "remote", until=time.time() + 5)
    assert code == 0
    assert said.count("1 passed") == 2
    assert len(named(said)) == 2


def test_an_unknown_scenario_is_refused(runner: Path) -> None:
    code, said = run(runner, "default", "other")
    assert code == 2
    assert "there is no scenario other" in said
