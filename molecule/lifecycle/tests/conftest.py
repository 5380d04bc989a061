"""What the tests of a stack's life use: its playbooks, the stack on the server, and what lies on that server."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from testinfra.host import Host

ROOT = Path(__file__).resolve().parents[3]
# Any scenario's server that has a stack will do.
SCENARIO = Path(os.environ.get("MOLECULE_SCENARIO_DIRECTORY") or ROOT / "molecule/lifecycle")
SERVER = next(iter(yaml.safe_load((SCENARIO / "inventory/hosts.yml").read_text(encoding="utf-8"))["all"]["hosts"]))
PASSWORD = "a password for tests alone"
ARTIFACT = ROOT / "artifacts/lifecycle.md"
# Whether nothing else runs on this machine, as for `make bench-lifecycle`. Where other scenarios have the same processors, all takes
# three times as long, and a limit of a quiet machine would fail for nothing.
QUIET = os.environ.get("OCWEB_QUIET") == "1"
SLACK = 1 if QUIET else 3

sys.path[:0] = [str(ROOT / "tests/attacks"), str(ROOT / "tests")]

from scenario import DIR  # noqa: E402
from stack import SERVICES, Stack  # noqa: E402

__all__ = [
    "DIR",
    "ELSEWHERE",
    "PASSWORD",
    "QUIET",
    "ROOT",
    "SERVER",
    "SERVICES",
    "Elsewhere",
    "Played",
    "Stack",
    "in_time",
    "listing",
    "measured",
    "play",
    "ready_made",
    "rules",
    "state",
    "timeless",
]


class Played:
    """What came of a playbook: its exit code, what it said in one line, and how many seconds it took."""

    def __init__(self, code: int, said: str, seconds: float) -> None:
        self.code, self.said, self.seconds = code, said, seconds

    @property
    def changed(self) -> int:
        """How many tasks changed something."""
        return int(re.findall(r"changed=(\d+)", self.said)[-1])


def play(playbook: str, variables: dict[str, object] | None = None, *options: str) -> Played:
    """Run a playbook of the collection's on the scenario's server, without the audit at a deploy's end."""
    command = [
        str(Path(sys.executable).with_name("ansible-playbook")),
        f"--inventory={SCENARIO}/inventory",
        f"--extra-vars={json.dumps({'stack_verify': False, 'stack_backup_password': PASSWORD, **(variables or {})})}",
        *options,
        str(ROOT / ("site.yml" if playbook == "site" else f"playbooks/{playbook}.yml")),
    ]
    plain = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_CALLBACK_RESULT_FORMAT": "json", "ANSIBLE_PIPELINING": "True"}
    started = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, env=plain, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return Played(done.returncode, " ".join(done.stdout.split()), time.monotonic() - started)


def measured(what: str, figure: str) -> None:
    """Add a figure to the table that `make bench-lifecycle` shows; one of the same name goes."""
    head = ["| What | Measured |", "|---|---:|"]
    there = ARTIFACT.read_text(encoding="utf-8").splitlines()[len(head) :] if ARTIFACT.exists() else []
    rows = [*(row for row in there if not row.startswith(f"| {what} |")), f"| {what} | {figure} |"]
    ARTIFACT.parent.mkdir(exist_ok=True)
    ARTIFACT.write_text("".join(f"{line}\n" for line in [*head, *rows]), encoding="utf-8")


def in_time(what: str, done: Played, seconds: float) -> None:
    """Add what a playbook took to the table, and see that it was not longer than so many seconds, on a quiet machine."""
    measured(what, f"{done.seconds:.1f} s")
    assert done.seconds <= seconds * SLACK, f"{what}: {done.seconds:.1f} s, {seconds} on a quiet machine\n{done.said}"


def state(stack: Stack) -> str:
    """Return which containers there are and since when they run, which images, and all of the stack's files but OpenCode's own."""
    containers = "docker inspect --format '{{.Id}} {{.State.StartedAt}}' $(docker ps --all --quiet --no-trunc)"
    files = f"find {DIR} /opt/elsewhere -path '*/backend/home*/*' -prune -o -type f -print0 2>/dev/null | sort -z | xargs -0 sha256sum"
    folders = f"ls -d {DIR}/backend/*"
    return str(stack.server.check_output(f"{containers}; docker image ls --quiet | sort; {folders}; {files}"))


def listing(host: Host) -> list[str]:
    """Return a line for each file on the server, for what its engine has, and for its firewall's rules."""
    script = (ROOT / "molecule/shared/fingerprint").read_text(encoding="utf-8")
    return timeless(host.check_output("sh -c %s", script)) + rules(host)


def rules(host: Host) -> list[str]:
    """Return the rules of the server's firewall."""
    return list(host.check_output("iptables-save | grep -v '^[#:]' | sort").splitlines())


def timeless(fingerprint: str) -> list[str]:
    """Return the lines of a fingerprint; of folders without their time, which tells of what came and went in them."""
    return [re.sub(r"(^/.* d .*) \d+ [\d.]+ $", r"\1", line) for line in fingerprint.splitlines()]


def ready_made(stack: Stack, variables: dict[str, object]) -> None:
    """Have the images that a deploy would build, without a build: those that run, each with a label more.

    What becomes of deploys is looked at here, and what is in images elsewhere.
    """
    wanted = set(re.findall(r"would appear image localhost/([\w-]+)/([\w-]+):(\w+)", play("site", variables, "--check").said))
    for project, service, tag in wanted:
        running = stack.container(service)["Config"]["Image"]
        label = f"printf 'FROM %s\nLABEL made=%s\n' {running} {tag}"
        stack.server.check_output(f"{label} | docker build --quiet --tag localhost/{project}/{service}:{tag} -")


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Stack:
    """The stack on the server under test."""
    return Stack(Host.get_host(f"docker://{SERVER}"))


ELSEWHERE: dict[str, object] = {
    "stack_dir": "/opt/elsewhere",
    "stack_project": "elsewhere",
    "frontend_port": 3001,
    "backend_workspace": "/srv/elsewhere",
    # Nobody's folders: the server's person works on the first stack.
    "backend_gitconfig": "",
    "backend_ssh_dir": "",
}


class Elsewhere(Stack):
    """A second stack on the server, and what was there before it."""

    before: list[str]


@pytest.fixture(scope="session")
def elsewhere(stack: Stack) -> Elsewhere:
    """A second stack, for user 1234, from the first one's images by the names that it would build them under."""
    other = Elsewhere(stack.server, "elsewhere")
    other.before = listing(stack.server)
    stack.server.check_output("install --directory --owner=1234 --group=1234 /srv/elsewhere")
    ready_made(stack, ELSEWHERE)
    done = play("site", ELSEWHERE)
    assert done.code == 0, done.said
    return other


@pytest.fixture(scope="session")
def session(stack: Stack) -> str:
    """A session with one question and its answer."""
    created: str = stack.backend("/session", {"title": "kept"})["id"]
    assert "You wrote: “remember me”." in stack.ask(created, "remember me")
    return created
