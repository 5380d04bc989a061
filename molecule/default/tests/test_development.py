"""A deploy in development mode: an edit on the server is in the browser at once, and the audit names what is open.

The source is a small page of the tests' own (tests/development/source), with the tools that oc-web has: Vite, React, ESLint, TypeScript.
"""

import os
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest
from conftest import DIR, Stack, deploy
from report import look

ROOT = Path(__file__).parents[3]
SOURCE = "/srv/ocweb-development"
MODE = {"stack_mode": "development", "frontend_source": {"folder": SOURCE}, "stack_verify": True}
EDITS = 6


@pytest.fixture(scope="module")
def source(stack: Stack) -> Iterator[str]:
    """A folder of a person's on the server, with the page's source."""
    files = [path.relative_to(ROOT) for path in (ROOT / "tests/development/source").rglob("*") if path.is_file()]
    for path in files:
        name = f"{SOURCE}/{path.relative_to('tests/development/source')}"
        text = (ROOT / path).read_text(encoding="utf-8")
        stack.server.check_output(f"mkdir -p {os.path.dirname(name)} && printf %s {shlex.quote(text)} >{name}")
    stack.server.check_output(f"chown -R 1000:1000 {SOURCE}")
    yield SOURCE
    assert deploy({}).returncode == 0
    stack.refresh()
    stack.server.check_output(f"rm -r {SOURCE}")


@pytest.fixture(scope="module")
def said(stack: Stack, source: str) -> str:
    """What the deploy said that led to development mode."""
    done = deploy(MODE)
    assert done.returncode == 0, done.stdout
    stack.refresh()
    return done.stdout


def test_the_audit_holds_and_names_what_is_open(said: str) -> None:
    assert "Opened by stack_mode: The agent's server answers at 127.0.0.1:" in said
    assert f"the source code in {SOURCE} " in said
    assert "(DEBUG), though no key" in said


def test_a_second_one_changes_nothing(stack: Stack, said: str) -> None:
    assert "changed=0 " in deploy({**MODE, "stack_verify": False}).stdout


def test_an_audit_that_expects_production_sees_deviations(stack: Stack, said: str) -> None:
    found = {mode: look(Stack(stack.server, stack.project, mode)) for mode in ("development", "production")}
    assert found["development"] and found["production"]
    assert (found["development"].deviations, len(found["development"].opened)) == ([], 3)
    assert [line.split()[0] for line in found["production"].deviations] == ["gateway", "frontend", "gateway"]


@pytest.mark.parametrize("command", ["bun run lint", "bun run typecheck", "bun x tsc --noEmit"])
def test_the_sources_own_checks_work_in_the_container(stack: Stack, said: str, command: str) -> None:
    stack.server.check_output(f"cd {DIR} && docker compose exec -T frontend {command}")


def test_a_check_that_fails_says_so(stack: Stack, said: str) -> None:
    stack.server.check_output(f"echo 'export const wrong: number = \"text\";' >{SOURCE}/src/wrong.ts")
    checked = stack.server.run(f"cd {DIR} && docker compose exec -T frontend bun run typecheck")
    stack.server.check_output(f"rm {SOURCE}/src/wrong.ts")
    assert checked.rc != 0
    assert "src/wrong.ts(1,14): error TS2322" in checked.stdout


def test_an_edit_is_in_the_browser_within_two_seconds(stack: Stack, said: str) -> None:
    texts = [f"edit number {number}" for number in range(1, EDITS + 1)]
    watching = ["docker", "run", "--rm", f"--network=container:{stack.server.backend.host}"]
    [binding] = stack.containers["gateway"]["HostConfig"]["PortBindings"]["3000/tcp"]
    url = f"--env=OCWEB_URL=http://localhost:{binding['HostPort']}"
    image = subprocess.run([ROOT / "tests/browser/image"], capture_output=True, text=True, check=True).stdout.strip()
    tests = f"--volume={ROOT}/tests/browser:/tests:ro"
    command = [*watching, "--user=1000", "--shm-size=256m", "--env=HOME=/tmp", url, tests, image]
    command += ["/opt/tests/bin/python", "/tests/watch.py", "Agents: plan, build", *texts]
    seconds = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as browser:
        assert browser.stdout
        assert browser.stdout.readline() == "open\n"
        for text in texts:
            edited = time.time()
            stack.server.check_output(f"sed -i 's/edit number [0-9]*/{text}/' {SOURCE}/src/page.tsx")
            seconds.append(float(browser.stdout.readline()) - edited)
    assert median(seconds) < 2, seconds
