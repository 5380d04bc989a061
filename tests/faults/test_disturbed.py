"""What happens to a running stack: services that die, files and networks changed by hand, a disk that is full, an engine that restarts."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from faulty import BACKUPS, DIR, SERVER, SERVICES, Run, Stack, changes, deploy, disturbed, healthy, play, play_while, serves

# All that is free, to the last page, where it is a file system of its own.
FILL = f"mountpoint --quiet {DIR} || exit 1; for size in 1M 4k; do dd if=/dev/zero of={DIR}/filler.$size bs=$size 2>/dev/null; done; true"
EMPTY = f"find {DIR} -path '*/home' -prune -o -path '*/state' -prune -o -type f -size 0 ! -name 'filler*' -print | sort"


def test_services_that_die_come_back(stack: Stack, session: str) -> None:
    """Each alone, as long as the ones before are still on their way."""
    for service in SERVICES:
        SERVER.output(f"kill -KILL {stack.container(service)['State']['Pid']}")
        SERVER.output(f"until [ $(docker inspect -f '{{{{.RestartCount}}}}' ocweb-{service}-1) -gt 0 ]; do sleep 0.1; done", timeout=60)
    for service in SERVICES:
        healthy(service)
    assert serves(stack)


# What is changed, what is so once it is as before, and how a dry run's plan names it.
BY_HAND = {
    "a file": (
        f"echo '# mine' >>{DIR}/gateway/config/Caddyfile",
        f"! grep -q mine {DIR}/gateway/config/Caddyfile",
        "file gateway/config/Caddyfile",
    ),
    "a mode": (f"chmod 755 {DIR}/llm-proxy/keys", f"[ $(stat -c %a {DIR}/llm-proxy/keys) = 700 ]", "folder llm-proxy/keys"),
    "a description": (
        f"sed -i 's/cap_drop: .*/cap_drop: []/' {DIR}/compose.yml",
        f"grep -q 'cap_drop: .ALL' {DIR}/compose.yml",
        "file compose.yml",
    ),
    "a container that was removed": ("docker rm --force ocweb-frontend-1", "docker inspect ocweb-frontend-1", "container frontend"),
    "a container's limit": (
        "docker update --memory 2g --memory-swap 2g ocweb-backend-1",
        "docker inspect -f '{{.HostConfig.Memory}}' ocweb-backend-1 | grep -v '^2147483648$'",
        "container backend [(][^)]*changed by hand",
    ),
    "a container's network": (
        "docker network connect ocweb_edge ocweb-llm-proxy-1",
        "! docker inspect -f '{{.NetworkSettings.Networks}}' ocweb-llm-proxy-1 | grep ocweb_edge",
        "container llm-proxy [(][^)]*changed by hand",
    ),
    "a container that was stopped": (
        "docker stop ocweb-gateway-1",
        "docker inspect -f '{{.State.Running}}' ocweb-gateway-1 | grep true",
        "container gateway",
    ),
}


def test_what_was_changed_by_hand_is_in_the_plan_and_as_before_after_a_deploy(stack: Stack) -> None:
    assert deploy({}).returncode == 0
    for change, again, _ in BY_HAND.values():
        SERVER.output(change, timeout=120)
        assert SERVER.run(again).returncode
    planned = " ".join(deploy({}, "--check").stdout.split())
    mended = deploy({})
    assert mended.returncode == 0, mended.stdout
    for what, (_, again, named) in BY_HAND.items():
        assert re.search(f"would (write|change|start|restart) {named}", planned), (what, planned)
        assert SERVER.run(again).returncode == 0, what
    assert "changed=0 " in deploy({}).stdout
    assert serves(stack)


def test_a_network_that_was_made_otherwise_by_hand_is_as_before_after_a_deploy(stack: Stack) -> None:
    SERVER.output(
        f"cd {DIR} && docker compose down --timeout 1 && docker network create --label com.docker.compose.project=ocweb "
        "--label com.docker.compose.network=app ocweb_app && docker compose up --no-start",
        timeout=120,
    )
    mended = deploy({})
    assert mended.returncode == 0, mended.stdout
    assert SERVER.output("docker network inspect -f '{{.Internal}}' ocweb_app").strip() == "true"
    assert serves(stack)


def test_a_full_disk_is_one_clear_error_before_anything_changes(stack: Stack) -> None:
    files = f"cd {DIR} && find . -path ./backend/home -prune -o -path '*/state' -prune -o -type f -print0 | sort -z | xargs -0 sha256sum"
    SERVER.output(FILL)
    before = SERVER.output(files)
    failed = deploy(changes())
    assert failed.returncode == 2
    assert f"stack_dir: {DIR} is full" in failed.stdout
    assert SERVER.output(files) == before
    assert serves(stack)
    SERVER.output(f"rm {DIR}/filler*")


def test_a_disk_that_becomes_full_at_any_step_loses_nothing(stack: Stack, whole: Run, session: str, tmp_path: Path) -> None:
    """Full at each task that changes something, and with room again before the next deploy; no file is ever left half written."""
    before = SERVER.output(EMPTY)
    for number in whole.changed:
        run = disturbed(tmp_path, number, f"docker exec {SERVER.name} sh -c '{FILL}'", changes())
        after = SERVER.output(EMPTY)
        SERVER.output(f"rm {DIR}/filler*")
        assert run.code == 0 or "No space left on device" in run.said, run.said
        assert after == before
    for service in SERVICES:
        healthy(service)
    last = changes()
    done = deploy(last)
    assert done.returncode == 0, done.stdout
    assert "changed=0 " in deploy(last).stdout
    assert serves(stack)
    assert session in {one["id"] for one in stack.backend("/session")}


@pytest.fixture
def small() -> Iterator[None]:
    """A small file system for backups, and sessions that take a while to be written to it."""
    SERVER.output(f"mkdir --parents {BACKUPS} && mount -t tmpfs -o size=1m tmpfs {BACKUPS}")
    SERVER.output(f"head --bytes=64M /dev/urandom >{DIR}/backend/home/large && chmod 644 {DIR}/backend/home/large")
    yield
    SERVER.output(f"umount --lazy {BACKUPS}; rm {DIR}/backend/home/large")


def test_a_backup_without_room_or_whose_disk_becomes_full_is_none_and_the_stack_serves_on(stack: Stack, small: None) -> None:
    refused = play("backup")
    assert refused.returncode == 2
    why = rf"{BACKUPS} \(stack_backup_dir\) has \d+ bytes free, and the backup takes about (\d+)\. Nothing was written\."
    wanted = re.search(why, refused.stdout)
    assert wanted, refused.stdout
    assert SERVER.output(f"ls -A {BACKUPS}") == ""

    # The agent's home may have become larger meanwhile.
    SERVER.output(f"mount -o remount,size={int(wanted[1]) + 64 * 2**20} {BACKUPS}")
    fill = f"for size in 1M 4k; do dd if=/dev/zero of={BACKUPS}/filler.$size bs=$size 2>/dev/null; done; true"
    failed = play_while(fill, f"ls {BACKUPS}/.*.part >/dev/null 2>&1", "backup")
    assert failed.returncode == 2
    assert re.search("The backup could not be written: .*No space left on device", failed.stdout), failed.stdout
    assert [name for name in SERVER.output(f"ls -A {BACKUPS}").split() if not name.startswith("filler")] == []
    assert serves(stack)


def test_an_engine_that_restarts_brings_the_stack_back(stack: Stack) -> None:
    SERVER.output("systemctl restart docker", timeout=300)
    for service in SERVICES:
        healthy(service)
    assert serves(stack)
