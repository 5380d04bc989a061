"""A deploy that is killed at any of its tasks leaves the old stack serving, and the next one comes through."""

from pathlib import Path

import pytest
from faulty import DIR, SERVER, SERVICES, START, Run, Stack, changes, deploy, disturbed, healthy, serves


def test_a_deploy_that_is_killed_anywhere_is_made_good_by_the_next_one(stack: Stack, whole: Run, session: str, tmp_path: Path) -> None:
    """Killed at each task that changes something, one after the other: each deploy begins with what the one before has left.

    The other tasks look and compute: killed at one of them, a deploy leaves what the task before it left.
    """
    start = next(number for number in whole.changed if whole.tasks[number - 1] == START)
    down = []
    for number in whole.changed:
        run = disturbed(tmp_path, number, "kill", changes())
        assert (run.code, len(run.tasks)) == (-9, number), run.said
        if number < start and not serves(stack):
            down.append(run.tasks[-1])
    assert down == [], "Killed at these, the old stack did not serve on"
    last = changes()
    done = deploy(last)
    assert done.returncode == 0, done.stdout
    assert "changed=0 " in deploy(last).stdout
    assert serves(stack)
    assert f"{stack.container('backend')['HostConfig']['Memory'] // 2**20}m" == last["backend_memory_limit"]
    assert session in {one["id"] for one in stack.backend("/session")}


def test_a_connection_that_dies_while_services_start_leaves_one_of_both(stack: Stack, whole: Run, tmp_path: Path) -> None:
    """What was begun on the server goes on there; what the play does about it waits for its end."""
    start = next(number for number in whole.changed if whole.tasks[number - 1] == START)
    run = disturbed(tmp_path, start, "connection", changes())
    assert run.shaken, run.said
    for service in SERVICES:
        healthy(service)
    assert serves(stack)
    again = deploy(changes())
    assert again.returncode == 0, again.stdout


@pytest.mark.parametrize("task", ["Write what the images", "Build the images"])
def test_a_build_that_is_killed_is_made_good_by_the_next_deploy(stack: Stack, tmp_path: Path, task: str) -> None:
    image = stack.container("gateway")["Config"]["Image"]
    stack.server.check_output("docker tag %s kept && docker rmi %s", image, image)
    run = disturbed(tmp_path, f"stack : {task}", "kill", {})
    assert run.code == -9
    assert serves(stack)
    done = deploy({})
    assert done.returncode == 0, done.stdout
    assert stack.described("image", image)["Id"]
    assert SERVER.output(f"find {DIR}/gateway/image -type f")
    stack.server.check_output("docker rmi kept")
