"""tests/molecule runs scenarios two at a time, of those that share a world one, and none that would end too late."""

import fcntl
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


def run(runner: Path, *scenarios: str, minutes: float | None = None, pace: int = 100, bundle: str = "b") -> tuple[int, str]:
    """Run scenarios that have so many minutes to end; return the exit code and what was said."""
    environment = {**os.environ, "OCWEB_BASE_IMAGE": "a", "OCWEB_BUNDLE": bundle, "OCWEB_PACE": str(pace)}
    if minutes is not None:
        environment["OCWEB_END_BY"] = str(int(time.time() + minutes * 60))
    done = subprocess.run([runner, *scenarios], env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_all_run_and_one_that_fails_is_told_of(runner: Path) -> None:
    code, said = run(runner, "faults", "dev", "offline")
    assert code == 1
    assert said.count("1 passed") == 2
    assert "== dev failed:\nFAILED it" in said


def test_those_of_one_world_run_one_after_the_other_and_keep_nobody_waiting(runner: Path, stub_command: Callable[..., None]) -> None:
    """The first ends only once one has begun that was named after another of its world."""
    begun, world = runner.parent / "begun", runner.parent / "world"
    stub_command(
        f"""case "$*" in *isolation | *rotation) mkdir {world} || exit 1 ;; *) echo >{begun} ;; esac
            timeout 60 sh -c 'until [ -e {begun} ]; do sleep 0.1; done' || exit 1
            case "$*" in *isolation | *rotation) sleep 0.5; rmdir {world} ;; esac; echo 1 passed""",
        "molecule",
    )
    code, said = run(runner, "rotation", "mutations", "isolation", "offline")
    assert code == 0, said
    assert said.count("1 passed") == 4


def test_all_begin_in_time(runner: Path) -> None:
    code, said = run(runner, "faults", "rotation", "offline", minutes=60)
    assert code == 0, said
    assert said.count("1 passed") == 3
    assert "not run" not in said


def named(said: str) -> set[str]:
    """Return the scenarios that were not run."""
    [line] = [line for line in said.splitlines() if line.startswith("== not run, for want of time: ")]
    return set(line.split(": ")[1].split())


def test_when_there_is_no_time_for_any_they_are_named(runner: Path) -> None:
    code, said = run(runner, "faults", "dev", minutes=-1)
    assert code == 0, said
    assert "passed" not in said
    assert named(said) == {"faults", "dev"}


@pytest.mark.parametrize(("pace", "late"), [(100, {"faults"}), (200, {"faults", "lifecycle"}), (50, set())])
def test_what_would_end_too_late_at_this_machines_pace_is_named(runner: Path, pace: int, late: set[str]) -> None:
    code, said = run(runner, "faults", "lifecycle", "offline", minutes=30, pace=pace)
    assert code == 0, said
    assert said.count("1 passed") == 3 - len(late)
    assert (named(said) if late else set()) == late


def test_what_waits_for_others_may_come_to_be_too_late(runner: Path, stub_command: Callable[..., None]) -> None:
    """Two begin, and take longer than there is time; the other two are named, and what the first two say counts."""
    begun, now = runner.parent / "begun", runner.parent / "now"
    now.write_text(str(int(time.time())), encoding="ascii")
    stub_command(f'case "$1" in +%s) cat {now} ;; *) echo 001 ;; esac', "date")
    both = f"until [ $(wc -l <{begun}) = 2 ]; do sleep 0.1; done"
    later = f"echo $OCWEB_END_BY >{now}.$$ && mv {now}.$$ {now}"
    stub_command(f"echo >>{begun}; timeout 60 sh -c '{both}' || exit 1; {later}; echo 1 passed", "molecule")
    code, said = run(runner, "faults", "rotation", "offline", "remote", minutes=60)
    assert code == 0, said
    assert said.count("1 passed") == 2
    assert len(named(said)) == 2


def test_a_bundle_is_not_taken_from_another_run(runner: Path) -> None:
    lock = runner.parents[1] / ".cache/bundle.lock"
    lock.parent.mkdir()
    with lock.open("w", encoding="ascii") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        code, said = run(runner, "dev", "offline", bundle="")
    assert code == 1
    assert "another run deploys from .cache/bundle" in said
    assert "passed" not in said


def test_an_unknown_scenario_is_refused(runner: Path) -> None:
    code, said = run(runner, "default", "other")
    assert code == 2
    assert "there is no scenario other" in said
