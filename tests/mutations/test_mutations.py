"""With a protection taken away, the attack on it succeeds: no test of ours passes because it is blind.

Each mutation is put onto the stack in the test bed in place of the one before; at the end the stack is as it was deployed.
"""

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from stack import SERVICES, Stack
from suite import plain, secured

from mutations import MUTATIONS, RESET, Mutation, Tagged

PARAMETERS = [pytest.param(one, marks=secured if one.secured else plain) for one in MUTATIONS]

ATTACKS = Path(__file__).resolve().parents[1] / "attacks"
OVERRIDE = "mutation.yml"


def as_yaml(value: Any) -> str:
    """Write a value as YAML in one line: JSON, but for the tags that Compose has of its own."""
    if isinstance(value, Tagged):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)}: {as_yaml(one)}" for name, one in value.items()) + "}"
    return json.dumps(value)


class Bench:
    """The stack that is mutated."""

    def __init__(self, stack: Stack, canary: str) -> None:
        self.stack = stack
        self.canary = canary
        self.networks_differ = False
        self.undo: list[str] = []

    def on_server(self, script: str) -> None:
        """Run a shell script in the stack's folder."""
        done = self.stack.server.run(shlex.join(["bash", "-euc", f"cd {self.stack.folder}; {script}"]))
        assert done.rc == 0, f"{script}\n{done.stdout}{done.stderr}"

    def write(self, path: str, text: str) -> None:
        """Write a file in the stack's folder."""
        self.on_server(f"mkdir -p $(dirname {path}); printf %s {shlex.quote(text)} >{path}")

    def changed(self, text: str, edits: list[tuple[str, str]]) -> str:
        """Return a text with its edits, each of which has to apply."""
        for old, new in edits:
            assert old in text, f"{old!r} is not there to be taken away"
            text = text.replace(old, new)
        return text

    def put(self, mutation: Mutation | None) -> None:
        """Take back the last mutation, and put this one in its place; None is none."""
        for script in reversed(self.undo):
            self.on_server(script)
        self.undo = []
        down = self.networks_differ
        # With its order of starting, Compose would make anew what depends on what is changed, and start it all in a row.
        services: dict[str, Any] = {name: {"depends_on": RESET} for name in SERVICES}
        override: dict[str, Any] = {"services": services}
        if mutation:
            override |= mutation.stack
            service: dict[str, Any] = {**mutation.override}
            files = {path for path, _, _ in mutation.edits}
            for path in files:
                original = self.stack.secret(path)
                self.undo.append(f"printf '%s\\n' {shlex.quote(original)} >{path}")
                self.write(path, self.changed(original, [(old, new) for name, old, new in mutation.edits if name == path]) + "\n")
            for name, old, new in mutation.patches:
                original = self.stack.output(mutation.service, f"cat /app/lib/ocweb/{name}")
                self.write(f"mutation/{name}", self.changed(original, [(old, new)]) + "\n")
                service.setdefault("volumes", []).append(f"./mutation/{name}:/app/lib/ocweb/{name}:ro")
            if mutation.server[0]:
                self.on_server(mutation.server[0])
                self.undo.append(mutation.server[1])
            if mutation.service:
                # Anew even where only a mounted file has changed.
                service["labels"] = {"ocweb.mutation": f"{mutation.control}: {mutation.what}"}
                services[mutation.service] |= service
            down = down or bool(mutation.stack)
        self.networks_differ = bool(mutation and mutation.stack)
        self.write(OVERRIDE, as_yaml(override).replace('"CANARY"', json.dumps(self.canary)))
        compose = f"docker compose --file compose.yml --file {OVERRIDE}"
        # Compose keeps a network as it is.
        self.on_server(f"{f'{compose} down --timeout 2;' if down else ''} {compose} up --detach --wait --wait-timeout 90 --timeout 2 2>&1")
        self.stack.refresh()

    def clear(self) -> None:
        """Bring the stack back to what was deployed."""
        self.put(None)
        self.on_server(f"rm -rf {OVERRIDE} mutation; docker compose up --detach --wait")


@pytest.fixture(scope="module")
def bench(stack: Stack, request: pytest.FixtureRequest) -> Iterator[Bench]:
    """The stack, which is as it was at the end. Only the world of molecule/isolation has canaries."""
    canary = "" if request.config.getoption("--secured") else request.getfixturevalue("canaries")["openai"]
    bench = Bench(stack, canary)
    yield bench
    bench.clear()


def outcomes(config: pytest.Config, folder: Path, *arguments: str) -> dict[str, str]:
    """Run attacks, and return what became of each: passed, failed, error or skipped."""
    inventory = Path(config.getoption("--ansible-inventory")).resolve()
    same = [f"--hosts={config.getoption('--hosts')}", f"--ansible-inventory={inventory}"]
    junit = folder / "junit.xml"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--quiet", f"--junitxml={junit}", *same, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ATTACKS)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    cases = ElementTree.parse(junit).iter("testcase")
    return {
        case.attrib["name"]: next(
            (child.tag.replace("failure", "failed") for child in case if child.tag in ("failure", "error", "skipped")), "passed"
        )
        for case in cases
    }


@pytest.mark.parametrize("mutation", PARAMETERS, ids=lambda mutation: f"{mutation.control}: {mutation.what}")
def test_the_attack_succeeds_when_the_protection_is_gone(
    bench: Bench, pytestconfig: pytest.Config, tmp_path: Path, mutation: Mutation
) -> None:
    """Takes a protection away, and runs the attack that is named for it."""
    bench.put(mutation)
    found = outcomes(pytestconfig, tmp_path, "--bed", *(["--secured"] if mutation.secured else []), mutation.attack, "-k", mutation.only)
    assert "failed" in found.values(), f"nothing noticed that {mutation.what}: {found}"
    assert "error" not in found.values(), found


def test_with_every_protection_back_the_attacks_fail_again(bench: Bench, pytestconfig: pytest.Config, tmp_path: Path) -> None:
    """Brings the stack back to what was deployed, and runs the quick audit."""
    bench.clear()
    found = outcomes(pytestconfig, tmp_path, "--quick", ".")
    assert {name: outcome for name, outcome in found.items() if outcome not in ("passed", "skipped")} == {}
