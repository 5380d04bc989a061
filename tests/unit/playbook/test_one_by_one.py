"""What takes people's work away or back goes over several hosts one by one, and what takes it away for good is told which."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

import plays

HOSTS = ("one", "two", "three")


def run(folder: Path, play: str, given: Mapping[str, object], *options: str) -> tuple[int, str]:
    """Run a play on three hosts that are this machine, of which the second has another project; return its exit code and what it says."""
    (folder / "docker").write_text('#!/bin/sh\ncase "$*" in version*) echo 26.1.5 ;; esac\n', encoding="utf-8")
    (folder / "docker").chmod(0o755)
    for name in HOSTS:
        (folder / name).mkdir()
        (folder / name / "compose.yml").write_text(f"\nname: {'other' if name == 'two' else 'ocweb'}\n", encoding="utf-8")
    (folder / "backup.tar.gpg").touch()
    common = {
        "stack_dir": f"{folder}/{{{{ inventory_hostname }}}}",
        "stack_restore_file": f"{folder}/backup.tar.gpg",
        "stack_backup_password": "a password for tests alone",
        **given,
    }
    done = plays.run(
        folder, {name: {} for name in HOSTS}, common, f"playbooks/{play}.yml", *options, path=f"{folder}:{os.environ['PATH']}", settings={}
    )
    return done.returncode, " ".join(done.stdout.split())


@pytest.mark.parametrize("play", ["rollback", "restore"])
@pytest.mark.parametrize("dry", [False, True], ids=["", "dry"])
def test_the_first_failure_ends_it(tmp_path: Path, play: str, dry: bool) -> None:
    """None of them has what would be brought back. A dry run says so of each."""
    code, said = run(tmp_path, play, {}, *(["--check"] if dry else []))
    assert code != 0
    assert [f"fatal: [{name}]: FAILED!" in said for name in HOSTS] == [True, dry, dry], said


NAMED = {"stack_remove": "ocweb", "stack_remove_workspace": True, "stack_remove_hosts": "three, two,one"}


def test_a_removal_ends_at_the_first_failure(tmp_path: Path) -> None:
    code, said = run(tmp_path, "remove", NAMED)
    assert (code, "is not of the project ocweb" in said) == (2, True), said
    assert [(tmp_path / name).exists() for name in HOSTS] == [False, True, True]


@pytest.mark.parametrize("hosts", [[], "one,two", [*HOSTS, "four"]], ids=str)
def test_several_hosts_are_named_before_a_stack_goes_from_one(tmp_path: Path, hosts: list[str] | str) -> None:
    code, said = run(tmp_path, "remove", {**NAMED, "stack_remove_hosts": hosts})
    assert code == 2
    assert said.count("nothing was removed. This would take the stack with its sessions and keys, its workspace from 3 hosts.") == 2, said
    assert "--limit=one, or -e stack_remove=ocweb -e stack_remove_hosts=one,two,three." in said
    assert "fatal: [two]" not in said and all((tmp_path / name).exists() for name in HOSTS)


@pytest.mark.parametrize("options", [("--limit=one",), ("--check",)], ids=["limit", "dry"])
def test_one_alone_and_a_dry_run_want_no_names(tmp_path: Path, options: tuple[str, ...]) -> None:
    code, said = run(tmp_path, "remove", {"stack_remove": "ocweb"}, *options)
    assert [(tmp_path / name).exists() for name in HOSTS] == [options == ("--check",), True, True]
    assert f"folder {tmp_path}/one" in said and (f"folder {tmp_path}/three" in said) == (code != 0) == (options == ("--check",)), said


@pytest.mark.parametrize(
    ("backup", "meant", "dry"),
    [
        ("backup", "one, two, three", False),
        ("backup", "one, two, three", True),
        # The first one, by itself, would be right.
        ("{{ 'backup' if inventory_hostname == 'one' else 'other' }}", "two, three", False),
        ("{{ {'one': './backup', 'two': 'other', 'three': 'backup'}[inventory_hostname] }}", "one, three", False),
    ],
    ids=["all", "dry", "two", "spelt twice"],
)
def test_one_backup_is_not_sent_to_several_hosts(tmp_path: Path, backup: str, meant: str, dry: bool) -> None:
    (tmp_path / "other.tar.gpg").touch()
    sent = {"stack_restore_upload": f"{tmp_path}/{backup}.tar.gpg", "stack_restore_file": f"{tmp_path}/there/backup.tar.gpg"}
    code, said = run(tmp_path, "restore", sent, *(["--check"] if dry else []))
    assert code == 2
    assert f".tar.gpg would be sent to {meant}, and the sessions of one host would be on all of them. Nothing was sent" in said, said
    assert [f"fatal: [{name}]: FAILED!" in said for name in HOSTS] == [True, dry, dry], said
    assert not (tmp_path / "there").exists()


@pytest.mark.parametrize(("limit", "backup"), [("one", "backup"), ("one,three", "{{ inventory_hostname }}")], ids=["one", "each its own"])
def test_one_host_is_sent_a_backup_and_each_its_own(tmp_path: Path, limit: str, backup: str) -> None:
    for name in HOSTS:
        (tmp_path / f"{name}.tar.gpg").touch()
    sent = {"stack_restore_upload": f"{tmp_path}/{backup}.tar.gpg", "stack_restore_file": f"{tmp_path}/there/backup.tar.gpg"}
    code, said = run(tmp_path, "restore", sent, "--check", f"--limit={limit}")
    assert code == 0, said
    assert said.count(".tar.gpg would be sent to") == len(limit.split(",")), said
