"""No key is in what a run says, or leaves on the controller or the host: however talkative Ansible is made, and when it fails."""

from pathlib import Path

import pytest
from fleet import FIRST, KEYED, SECOND, STACKS, Fleet, Run
from talkative import TALKATIVE

SETTINGS: dict[str, dict[str, str]] = {
    "json": {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"},
    "no pipelining": {"ANSIBLE_PIPELINING": "false", "ANSIBLE_STDOUT_CALLBACK": "community.general.yaml"},
}


def check(fleet: Fleet, said: str, folder: Path) -> None:
    """See that no key is in what was said, in what is in a folder, or where Ansible works on the host."""
    assert fleet.leaks(said) == []
    for path in folder.rglob("*"):
        if path.is_file():
            assert fleet.leaks(path.read_text(encoding="utf-8", errors="replace")) == [], path
    kept = fleet.server.run("find /root/.ansible /tmp /var/tmp /dev/shm -type f -exec cat {} +").stdout
    assert fleet.leaks(kept) == []


def test_a_deploy_tells_no_key(deployed: tuple[Fleet, Run], talkative: Path) -> None:
    fleet, run = deployed
    check(fleet, run.said, talkative)
    assert {path.name for path in talkative.iterdir()} >= {"log", "junit", "plays"}


@pytest.mark.parametrize("settings", SETTINGS)
def test_a_rotation_tells_no_key(fleet: Fleet, tmp_path: Path, settings: str) -> None:
    fleet.renew(SECOND, *KEYED)
    used = {**{name: value.format(tmp_path) for name, value in TALKATIVE.items()}, **SETTINGS[settings]}
    run = fleet.play("rotate_keys", "-vvv", "--diff", hosts=(SECOND,), settings=used)
    check(fleet, run.said, tmp_path)
    assert run.code == 0, run.said[-3000:]
    assert {name: key for name, (key, _) in fleet.placed(SECOND).items()} == fleet.keys[SECOND]


def test_a_rotation_that_fails_tells_no_key(fleet: Fleet, tmp_path: Path) -> None:
    old = fleet.keys[SECOND]["openai"]
    fleet.internet.change(openai={"refuse": {fleet.renew(SECOND, "openai")["openai"]: 401}})
    used = {name: value.format(tmp_path) for name, value in TALKATIVE.items()}
    run = fleet.play("rotate_keys", "-vvv", "--diff", hosts=(SECOND,), settings=used)
    check(fleet, run.said, tmp_path)
    assert run.code == 2
    # Something that nobody has thought of: the program does not even start.
    broken = fleet.play("rotate_keys", "-vvv", hosts=(SECOND,), settings=used, __stack_host_runner="raise SystemExit(open(0).read())")
    check(fleet, broken.said, tmp_path)
    assert broken.code == 2
    fleet.put(SECOND, {"openai": old})


def test_no_log_of_a_service_holds_a_key(fleet: Fleet) -> None:
    for project, _ in {STACKS[FIRST], STACKS[SECOND]}:
        ids = f"$(docker ps --all --quiet --filter label=com.docker.compose.project={project})"
        assert fleet.leaks(fleet.server.output(f"for id in {ids}; do docker logs $id 2>&1; done")) == []
