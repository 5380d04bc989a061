"""Several hosts in one run: what is wrong with one is said, and the others are not in the dark about it."""

import os
import re
import socket
from pathlib import Path
from typing import Any

import pytest

import plays

# Of Debian's own packages, so that it would be completed on a system that is known.
WITHOUT_COMPOSE = """#!/bin/sh
case "$*" in
  info*) echo "26.1.5 /var/lib/docker" ;;
  *) exit 1 ;;
esac
"""


DRY = ("--check", "--tags=engine")
CHECKS = ("--tags=check",)


def deploy(folder: Path, hosts: dict[str, dict[str, Any]], *options: str, way: tuple[str, ...] = DRY) -> tuple[int, str]:
    """Run the checks alone on hosts that are this machine unless they say otherwise; return the exit code and what was said."""
    for name, script in (("docker", WITHOUT_COMPOSE), ("dpkg-query", "#!/bin/sh\necho docker.io installed\n")):
        (folder / name).write_text(script, encoding="utf-8")
        (folder / name).chmod(0o755)
    common = {"stack_dir": f"{folder}/{{{{ inventory_hostname }}}}", "frontend_port": 29972}
    done = plays.run(folder, hosts, common, "site.yml", *way, *options, path=f"{folder}:{os.environ['PATH']}", settings={})
    assert "changed=1" not in done.stdout
    return done.returncode, " ".join(done.stdout.split())


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def test_each_host_is_told_what_is_wrong_with_it(tmp_path: Path, closed_port: int) -> None:
    away = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": closed_port}
    same = {"stack_dir": f"{tmp_path}/same"}
    code, said = deploy(tmp_path, {"away": away, "one": same, "again": same})
    assert code != 0
    assert re.search(r"away : ok=\d+ changed=0 unreachable=1", said)
    for name, other in (("one", "again"), ("again", "one")):
        assert f"fatal: [{name}]: FAILED!" in said
        assert f"stack_dir: {other} is the same server, with the same folder {tmp_path}/same" in said


def test_a_system_that_is_not_supported_is_told_which_are(tmp_path: Path) -> None:
    code, said = deploy(tmp_path, {"rocky": {}}, "-e", "__docker_host=rocky-9")
    assert code != 0
    known = "debian-12, debian-13, ubuntu-22.04, ubuntu-24.04"
    assert f"docker: rocky-9 is not a system that an engine can be installed on ({known} are)" in said


@pytest.mark.parametrize(("batch", "goes_on"), [([], True), (["-e", "stack_batch=1"], False)])
def test_all_are_checked_before_one_is_changed(tmp_path: Path, batch: list[str], goes_on: bool) -> None:
    """With batches, what is wrong with the last one holds up the first."""
    code, said = deploy(tmp_path, {"right": {}, "wrong": {"stack_minimum_memory_mib": 10**8}}, *batch, way=CHECKS)
    assert code != 0
    assert "fatal: [wrong]: FAILED!" in said and "fatal: [right]" not in said
    assert ("PLAY [Deploy the workbench]" in said) == goes_on


DEPLOYED = "\nname: ocweb\nservices: {}\n"


@pytest.mark.parametrize(
    ("running", "options", "batches"),
    [((), (), 1), (("one",), (), 2), (("one",), ("-e", "stack_batch=100%"), 1), ((), ("-e", "stack_batch=1"), 2)],
    ids=["new", "one runs", "all of them", "one by one"],
)
def test_where_one_runs_they_come_one_after_the_other(
    tmp_path: Path, running: tuple[str, ...], options: tuple[str, ...], batches: int
) -> None:
    """Not a dry run, which changes nothing and need not wait; of the play that changes, no task is run."""
    for name in running:
        (tmp_path / name).mkdir()
        (tmp_path / name / "compose.yml").write_text(DEPLOYED, encoding="utf-8")
    _, said = deploy(tmp_path, {"one": {}, "two": {}}, *options, way=CHECKS)
    assert said.count("PLAY [Deploy the workbench]") == batches, said
