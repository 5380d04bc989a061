"""A server that goes down while it is deployed to brings a stack back, and the next deploy comes through."""

import subprocess
import time
from pathlib import Path

import pytest
from faulty import DIR, SERVER, SERVICES, START, Run, Stack, changes, deploy, disturbed, healthy, serves


@pytest.fixture(scope="module")
def on_disk(whole: Run) -> None:
    """The stack's small file system is in memory, and would not be there after a reboot: the stack moves out of it."""
    SERVER.output(
        f"systemctl stop docker.socket docker && cp --archive {DIR} /opt/moved && umount {DIR} && rmdir {DIR} && mv /opt/moved {DIR} && "
        "systemctl start docker",
        timeout=300,
    )
    for service in SERVICES:
        healthy(service)


def back() -> None:
    """Wait until the server is up again. It may still be down, when nothing can be run in it."""
    end = time.monotonic() + 240
    while SERVER.run("systemctl is-system-running --wait", timeout=240).returncode:
        assert time.monotonic() < end, "the server does not come up again"
        time.sleep(0.1)


def test_a_reboot_while_services_start_is_made_good_by_the_next_deploy(
    stack: Stack, whole: Run, on_disk: None, session: str, tmp_path: Path
) -> None:
    start = next(number for number in whole.changed if whole.tasks[number - 1] == START)
    reboot = f"(sleep 2; docker restart --time 1 {SERVER.name}) >/dev/null 2>&1 &"
    run = disturbed(tmp_path, start, reboot, changes())
    assert run.shaken, run.said
    back()
    last = changes()
    done = deploy(last)
    assert done.returncode == 0, done.stdout
    assert serves(stack)
    assert session in {one["id"] for one in stack.backend("/session")}


def test_a_reboot_brings_the_stack_back_with_its_protections(stack: Stack, on_disk: None) -> None:
    subprocess.run(["docker", "restart", SERVER.name], check=True, capture_output=True, timeout=240)
    back()
    for service in SERVICES:
        healthy(service)
    assert serves(stack)
    audited = deploy({"__stack_verify_quick": True}, play="../../playbooks/verify.yml")
    assert audited.returncode == 0, audited.stdout
