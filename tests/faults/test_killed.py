"""A deploy that is killed at any of its tasks leaves the old stack serving, and the next one comes through."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from faulty import SCENARIO, Stack, deploy

CALLBACKS = Path(__file__).with_name("callbacks")
START = "stack : Start what is new or has changed"
MEMORY = 1200


def killed_at(number: int, folder: Path) -> list[str]:
    """Kill a deploy that has something to change at its task of this number; 0 is never. Return the names of the tasks that began."""
    tasks = folder / f"tasks-{number}"
    variables = {"backend_memory_limit": f"{MEMORY + number}m", "stack_verify": False}
    command: list[str | Path] = [Path(sys.executable).with_name("ansible-playbook"), "--inventory", SCENARIO / "inventory"]
    environment = {
        **os.environ,
        "ANSIBLE_CALLBACK_PLUGINS": str(CALLBACKS),
        "ANSIBLE_CALLBACKS_ENABLED": "killed_at",
        "OCWEB_KILLED_AT": str(number),
        "OCWEB_TASKS": str(tasks),
    }
    full = [*command, "--extra-vars", json.dumps(variables), SCENARIO / "converge.yml"]
    done = subprocess.run(full, env=environment, capture_output=True, text=True, check=False, start_new_session=True)
    assert (done.returncode == 0) == (number == 0), done.stdout[-3000:]
    return tasks.read_text(encoding="utf-8").splitlines()


def serves(stack: Stack) -> bool:
    return stack.from_server("http://localhost:3000/") == "200"


# At every task of a deploy; some thirty.
@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return killed_at(0, tmp_path_factory.mktemp("whole"))


def test_a_deploy_that_is_killed_anywhere_is_made_good_by_the_next_one(stack: Stack, tasks: list[str], tmp_path: Path) -> None:
    """One after the other, as an unlucky person would: each begins with what the one before has left."""
    assert len(tasks) > 25
    start = next(number for number, name in enumerate(tasks, 1) if name.startswith(START))
    down = []
    for number in range(1, len(tasks) + 1):
        began = killed_at(number, tmp_path)
        assert len(began) == number
        if number < start and not serves(stack):
            down.append(began[-1])
    assert down == [], "Killed at these, the old stack did not serve on"
    whole = deploy({"backend_memory_limit": f"{MEMORY}m"})
    assert whole.returncode == 0, whole.stdout
    assert "changed=0 " in deploy({"backend_memory_limit": f"{MEMORY}m"}).stdout
    assert serves(stack)
    assert stack.container("backend")["HostConfig"]["Memory"] == MEMORY * 2**20


def test_a_build_that_is_killed_is_made_good_by_the_next_deploy(stack: Stack, tmp_path: Path) -> None:
    image = stack.container("gateway")["Config"]["Image"]
    names = [name.partition(" : ")[2] for name in killed_at(0, tmp_path)]
    build = next(number for number, name in enumerate(names, 1) if name.startswith("Build the images"))
    stack.server.check_output("docker tag %s kept && docker rmi %s", image, image)
    killed_at(build, tmp_path)
    assert serves(stack)
    whole = deploy({"backend_memory_limit": f"{MEMORY}m"})
    assert whole.returncode == 0, whole.stdout
    assert stack.described("image", image)["Id"]
    stack.server.check_output("docker rmi kept")
