"""Several hosts in one run: what is wrong with one is said, and the others are not in the dark about it."""

import os
import re
import socket
import sys
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
# A way to this machine that is lost when it is looked at a second time, which is when it has an engine.
LOST = """#!/bin/sh
given={folder}/given.$$
[ -t 0 ] && touch "$given" || cat >"$given"
if grep -q "Looks at a host in one round trip" "$given"; then
  [ ! -e {folder}/seen ] || exit 255
  touch {folder}/seen
fi
for command; do :; done
exec sh -c "$command" <"$given"
"""


def deploy(folder: Path, hosts: dict[str, dict[str, Any]], *options: str, way: tuple[str, ...] = DRY) -> tuple[int, str]:
    """Run the checks alone on hosts that are this machine unless they say otherwise; return the exit code and what was said."""
    code, said = run(folder, hosts, *way, *options)
    assert "changed=1" not in said
    return code, said


def run(folder: Path, hosts: dict[str, dict[str, Any]], *options: str) -> tuple[int, str]:
    """Run as much of a deploy as the options say, on hosts without Compose; return the exit code and what was said."""
    for name, script in (("docker", WITHOUT_COMPOSE), ("dpkg-query", "#!/bin/sh\necho docker.io installed\n")):
        (folder / name).write_text(script, encoding="utf-8")
        (folder / name).chmod(0o755)
    common = {"stack_dir": f"{folder}/{{{{ inventory_hostname }}}}", "frontend_port": 29972}
    done = plays.run(folder, hosts, common, "site.yml", *options, path=f"{folder}:{os.environ['PATH']}", settings={})
    return done.returncode, " ".join(done.stdout.split())


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def away(closed_port: int) -> dict[str, Any]:
    """Return the variables of a host that is not reached."""
    return {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": closed_port}


def test_each_host_is_told_what_is_wrong_with_it(tmp_path: Path, closed_port: int) -> None:
    same = {"stack_dir": f"{tmp_path}/same"}
    code, said = deploy(tmp_path, {"away": away(closed_port), "one": same, "again": same})
    assert code != 0
    assert re.search(r"away : ok=\d+ changed=0 unreachable=1", said)
    for name, other in (("one", "again"), ("again", "one")):
        assert f"fatal: [{name}]: FAILED!" in said
        assert f"stack_dir: {other} is the same server, with the same folder {tmp_path}/same" in said


# The survey, told of another system than this machine's: the one that its host is named after.
OTHER_SYSTEM = """#!/bin/sh
given=$(cat)
for name in rocky ubuntu; do
  case $given in *"{folder}/$name"*) given=$(printf %s "$given" | sed "s#/etc/os-release#{folder}/os-release-$name#") ;; esac
done
printf %s "$given" | {python} "$@"
"""
RELEASES = {
    "rocky": 'NAME="Rocky Linux"\nVERSION="9.4 (Blue Onyx)"\nID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\n',
    "ubuntu": 'NAME="Ubuntu"\nVERSION_ID="24.04"\nVERSION_CODENAME=noble\nID=ubuntu\nID_LIKE=debian\n',
}


def test_a_system_that_is_not_supported_is_told_which_are(tmp_path: Path) -> None:
    (tmp_path / "python3").write_text(OTHER_SYSTEM.format(folder=tmp_path, python=sys.executable), encoding="utf-8")
    (tmp_path / "python3").chmod(0o755)
    for name, release in RELEASES.items():
        (tmp_path / f"os-release-{name}").write_text(release, encoding="utf-8")
    code, said = deploy(tmp_path, {name: {} for name in RELEASES}, way=CHECKS)
    assert code != 0
    known = "debian-12, debian-13, ubuntu-22.04, ubuntu-24.04"
    assert f"docker: rocky-9.4 is not a system that an engine can be installed on ({known} are)" in said, said
    assert "fatal: [ubuntu]" not in said, said


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


@pytest.mark.parametrize(
    ("hosts", "options", "goes_on"),
    [
        (("away", "running", "wrong"), (), False),
        (("away", "new"), ("-e", "stack_batch=1"), False),
        (("new", "wrong"), ("-e", "stack_batch=1"), False),
        (("new", "wrong"), ("-e", "stack_batch=1", "--limit=new,wrong"), False),
        (("away", "new", "wrong"), (), True),
        (("away", "running", "wrong"), ("-e", "stack_batch=100%"), True),
        (("away", "running", "wrong"), ("--check",), True),
    ],
    ids=["one runs", "away", "wrong", "limited", "new", "all of them", "dry run"],
)
def test_where_one_runs_none_is_changed_unless_all_can_be(
    tmp_path: Path, closed_port: int, hosts: tuple[str, ...], options: tuple[str, ...], goes_on: bool
) -> None:
    """The same where they come in batches: what is wrong with the last one holds up the first."""
    if "running" in hosts:
        (tmp_path / "running").mkdir()
        (tmp_path / "running/compose.yml").write_text(DEPLOYED, encoding="utf-8")
    kinds: dict[str, dict[str, Any]] = {"away": away(closed_port), "wrong": {"stack_minimum_memory_mib": 10**8}}
    code, said = deploy(tmp_path, {name: kinds.get(name, {}) for name in hosts}, *options, way=CHECKS)
    assert code != 0
    assert ("fatal: [away]: UNREACHABLE!" in said, "fatal: [wrong]: FAILED!" in said) == ("away" in hosts, "wrong" in hosts), said
    assert ("PLAY [Deploy the workbench]" in said) == goes_on, said
    others = [name for name in hosts if name in kinds]
    limit = next((option.removeprefix("--limit=") for option in options if option.startswith("--limit=")), "all")
    refused = (f"since {', '.join(others)} cannot be deployed to", f"--limit=''{limit}{''.join(f',!{name}' for name in others)}''")
    assert [words in said for words in refused] == [not goes_on] * 2, said


def test_a_host_that_is_lost_ends_the_run_behind_its_batch(tmp_path: Path) -> None:
    (tmp_path / "ssh").write_text(LOST.replace("{folder}", str(tmp_path)), encoding="utf-8")
    (tmp_path / "ssh").chmod(0o755)
    lost = {"ansible_connection": "ssh", "ansible_ssh_executable": f"{tmp_path}/ssh"}
    code, said = run(tmp_path, {"one": {}, "lost": lost, "three": {}}, *DRY, "-e", "stack_batch=2")
    assert code != 0
    assert re.search(r"lost : ok=\d+ changed=\d+ unreachable=1", said), said
    assert "changed: [one]" in said and "changed: [three]" not in said, said
    assert "No more is changed, since lost cannot be deployed to." in said, said
