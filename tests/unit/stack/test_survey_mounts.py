"""What would be mounted into the agent's container is known for what it is."""

import os
import pwd
import socket
from pathlib import Path

import pytest

import mounts


def test_a_workspace_is_its_real_path_and_its_owners(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    found = mounts.workspace(str(tmp_path / "link"), "/nowhere", "auto")
    assert (found["kind"], found["path"], found["uid"], found["auto"]) == ("folder", str(tmp_path), os.getuid(), False)


def test_a_workspace_may_be_missing_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert mounts.workspace(str(tmp_path / "file"), "/nowhere", "auto")["kind"] == "file"
    assert mounts.workspace("auto", str(tmp_path), "auto")["kind"] == "missing"
    assert mounts.workspace("auto", str(tmp_path), "auto")["path"] == str(tmp_path / "workspace")


def test_a_missing_workspace_is_described_as_it_will_be_once_made(tmp_path: Path) -> None:
    account = pwd.getpwnam("nobody")
    planned = mounts.workspace("auto", str(tmp_path), str(account.pw_uid))
    made = tmp_path / "workspace"
    made.mkdir()
    if os.geteuid() == 0:
        os.chown(made, planned["uid"], planned["gid"])
        found = mounts.workspace("auto", str(tmp_path), "auto")
        assert {**found, "kind": "missing"} == planned
    assert planned["home"] == account.pw_dir


def test_a_path_that_was_named_stays_and_an_automatic_one_has_to_exist(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    assert mounts.existing(missing, "", "x") == {"path": missing, "exists": False, "strays": False}
    assert mounts.existing("auto", "", "x") == {"path": "", "exists": False, "strays": False}
    assert mounts.existing("auto", str(tmp_path), "missing") == {"path": "", "exists": False, "strays": False}
    (tmp_path / "there").touch()
    assert mounts.existing("auto", str(tmp_path), "there") == {"path": str(tmp_path / "there"), "exists": True, "strays": False}


def test_a_link_is_followed_and_one_out_of_the_home_is_told(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (home / "workspace").symlink_to(tmp_path / "elsewhere")
    assert mounts.existing("auto", str(home), "workspace") == {"path": str(tmp_path / "elsewhere"), "exists": True, "strays": True}
    named = str(home / "workspace")
    assert mounts.existing(named, str(home), "x") == {"path": str(tmp_path / "elsewhere"), "exists": True, "strays": False}
    assert mounts.workspace("auto", str(home), "auto")["strays"] is True
    assert mounts.workspace(named, str(home), "auto")["strays"] is False


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("/", "the whole host"),
        ("/etc", "is of the system's /etc"),
        ("/etc/ssl", "is of the system's /etc"),
        ("/var", "the system's /var/lib"),
        ("/run", "is of the system's /run"),
        ("/no/such/folder", ""),
        ("", ""),
    ],
)
def test_a_mount_of_the_system_is_told(path: str, what: str) -> None:
    assert what in mounts.exposure(path)
    assert bool(what) == bool(mounts.exposure(path))


def test_a_mount_of_a_home_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    account = pwd.struct_passwd(("dev", "x", 1000, 1000, "", str(tmp_path / "homes/dev"), "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwall", lambda: [account])
    (tmp_path / "homes/dev/work").mkdir(parents=True)
    assert mounts.exposure(str(tmp_path / "homes")) == "holds the home of dev, with all that is in it"
    assert mounts.exposure(str(tmp_path / "homes/dev")) != ""
    assert mounts.exposure(str(tmp_path / "homes/dev/work")) == ""


@pytest.mark.parametrize(("uid", "is_a_person"), [(0, True), (33, False), (1000, True), (1700001, True), (65534, False)])
def test_whose_home_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uid: int, is_a_person: bool) -> None:
    account = pwd.struct_passwd(("someone", "x", uid, uid, "", str(tmp_path), "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwall", lambda: [account])
    assert bool(mounts.exposure(str(tmp_path))) is is_a_person


@pytest.mark.parametrize(("bound", "what"), [("/", "the whole host"), ("home", "the home of dev")])
def test_a_bind_mount_of_what_may_not_be_mounted_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, what: str) -> None:
    home = str(tmp_path / "home")
    account = pwd.struct_passwd(("dev", "x", 1000, 1000, "", home, "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwall", lambda: [account])
    (tmp_path / "elsewhere").mkdir()
    assert mounts.exposure(str(tmp_path / "elsewhere")) == ""
    monkeypatch.setattr(os.path, "samefile", lambda _, other: other == (bound if bound == "/" else str(tmp_path / "elsewhere")))
    assert what in mounts.exposure(str(tmp_path / "elsewhere"))


def test_a_mount_above_an_engines_socket_is_told(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(str(tmp_path / "below/docker.sock"))
        assert mounts.exposure(str(tmp_path)) == f"holds {tmp_path}/below/docker.sock, and with it the engine"
        assert mounts.exposure(str(tmp_path / "below/docker.sock")) != ""
    (tmp_path / "other").mkdir()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "other/editor.sock"))
        assert mounts.exposure(str(tmp_path / "other")) == ""


@pytest.mark.parametrize(
    ("path", "overlaps"),
    [
        ("", False),
        ("/home/dev/work", False),
        ("/home/developer", False),
        ("/home/dev", True),
        ("/", True),
        ("/home/dev/stack/backend", True),
    ],
)
def test_what_lies_in_the_stacks_folder_or_around_it_is_told(path: str, overlaps: bool) -> None:
    assert mounts.overlap(path, "/home/dev/stack") is overlaps
