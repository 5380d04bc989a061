"""The server whose deploys are disturbed, and how it is deployed to."""

import hashlib
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import bed
from scenario import DIR
from stack import SERVICES, Stack

__all__ = [
    "BACKUPS",
    "DIR",
    "SERVER",
    "SERVICES",
    "Run",
    "Stack",
    "changes",
    "deploy",
    "disturbed",
    "healthy",
    "play",
    "play_while",
    "serves",
]

SCENARIO = Path(__file__).resolve().parents[2] / "molecule/faults"
CALLBACKS = Path(__file__).with_name("callbacks")
# The task in which containers are stopped and started.
START = "stack : Start what is new or has changed"
SERVER = bed.Companion("ocweb-faults")
BACKUPS = "/var/backups/ocweb"
PASSWORD = {"stack_backup_password": "a password for tests alone"}
# Others than those of a run before: what is as it was, is no change.
ONCE = iter(range(int(time.time()) % 800, 1000))

deploy = partial(bed.deploy, SCENARIO)


@dataclass
class Run:
    """A deploy that was disturbed: its exit code, what it said in one line, the tasks that began, and which of them changed something."""

    code: int
    said: str
    tasks: list[str]
    changed: list[int]

    @property
    def shaken(self) -> bool:
        """Whether the start of the services was disturbed: it is tried again, and may come through."""
        return self.code != 0 or "FAILED - RETRYING" in self.said


def changes() -> dict[str, object]:
    """Return variables, others each time, that give every kind of step something to do: configurations, a key, a description, restarts."""
    number = next(ONCE)
    return {
        "backend_memory_limit": f"{1200 + number}m",
        "frontend_hosts": [f"name{number}.example"],
        "llm_proxy_models": [{"name": "demo", "provider": "demo", "title": f"Demo {number}"}, {"name": "gpt", "provider": "openai"}],
        "llm_proxy_keys": {"openai": f"sk-proj-{hashlib.sha256(str(number).encode()).hexdigest()}"},
    }


def disturbed(folder: Path, at: int | str, deed: str, variables: dict[str, object]) -> Run:
    """Deploy, and disturb the task of this number, or the first whose name begins with one of these lines; 0 is none.

    See callbacks/disturbed_at.py.
    """
    written = folder / "tasks"
    command: list[str | Path] = [Path(sys.executable).with_name("ansible-playbook"), "--inventory", SCENARIO / "inventory"]
    environment = {
        **os.environ,
        "ANSIBLE_CALLBACK_PLUGINS": str(CALLBACKS),
        "ANSIBLE_CALLBACKS_ENABLED": "disturbed_at",
        "ANSIBLE_NOCOLOR": "1",
        "OCWEB_AT": str(at),
        "OCWEB_DEED": deed,
        "OCWEB_TASKS": str(written),
    }
    full = [*command, "--extra-vars", json.dumps({"stack_verify": False, **variables}), SCENARIO / "converge.yml"]
    done = subprocess.run(
        full, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, start_new_session=True
    )
    tasks = [json.loads(line) for line in written.read_text(encoding="utf-8").splitlines()]
    changed = [at for at, task in enumerate(tasks, 1) if task["changed"]]
    return Run(done.returncode, " ".join(done.stdout.split()), [task["name"] for task in tasks], changed)


def play(name: str, **variables: object) -> "subprocess.CompletedProcess[str]":
    """Run a playbook of the collection's, which may fail."""
    return deploy({**PASSWORD, **variables}, play=f"../../playbooks/{name}.yml")


def play_while(deed: str, when: str, name: str, **variables: object) -> "subprocess.CompletedProcess[str]":
    """Run a playbook, and do something on the server as soon as something is so there."""
    with ThreadPoolExecutor() as pool:
        done = pool.submit(play, name, **variables)
        # Ansible begins meanwhile. It gives up by itself, or what it does would be done to a later run.
        disturbed = SERVER.run("timeout", "280", "sh", "-c", f"until {when}; do sleep 0.01; done; {deed}", timeout=300)
    assert disturbed.returncode == 0, f"{disturbed.stderr}\n{done.result().stdout}"
    return done.result()


def serves(stack: Stack) -> bool:
    """Tell whether the page is there."""
    return stack.from_server("http://localhost:3000/") == "200"


def healthy(service: str) -> None:
    """Wait until a service is healthy."""
    # By its label: of a start that was cut off, a container may have kept another name.
    ids = f"docker ps --all --quiet --filter label=com.docker.compose.project=ocweb --filter label=com.docker.compose.service={service}"
    state = f"docker inspect -f '{{{{.State.Health.Status}}}}' $({ids})"
    SERVER.output(f'until [ "$({state})" = healthy ]; do sleep 0.2; done', timeout=240)
