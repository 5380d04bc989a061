"""The stack's folder is known by one name, with what lies in it and whose it is."""

import os
import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

import mounts
import rotation
import stack_folder
from folder import Stack


def test_what_lies_in_the_services_folders_is_described_and_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "llm-proxy/secrets/too-deep").mkdir(parents=True)
    (tmp_path / "llm-proxy/a-file").touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "backend").symlink_to("elsewhere")
    described = {one["path"].removeprefix(f"{tmp_path}/"): (one["owner"], one["folder"]) for one in stack_folder.paths(str(tmp_path))}
    mine = os.geteuid()
    assert described == {
        "backend": (mine, False),
        "elsewhere": (mine, True),
        "llm-proxy": (mine, True),
        "llm-proxy/a-file": (mine, False),
        "llm-proxy/secrets": (mine, True),
    }


def test_what_is_written_is_told_as_sha256sum_would_where_its_mode_is_right(tmp_path: Path) -> None:
    for name in ("compose.yml", "gateway/config/Caddyfile", "gateway/config/exposed", "gateway/secrets/users.json"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name, encoding="utf-8")
        path.chmod(0o644)
    (tmp_path / "gateway/config/exposed").chmod(0o666)
    (tmp_path / "gateway/config/link").symlink_to("Caddyfile")
    names = ("compose.yml", "gateway/config/Caddyfile")
    assert stack_folder.written(str(tmp_path)) == [f"{sha256(name.encode()).hexdigest()} {tmp_path / name}" for name in names]


def test_keys_that_were_revoked_are_known_by_their_fingerprints(tmp_path: Path) -> None:
    records = tmp_path / "keys.json"
    assert stack_folder.revoked_keys(str(records)) == {}
    records.write_text("{", encoding="utf-8")
    assert stack_folder.revoked_keys(str(records)) == {}
    records.write_text('{"revoked": {"0123456789ab": {"at": "then", "by": "me"}}}', encoding="utf-8")
    assert stack_folder.revoked_keys(str(records)) == {"0123456789ab": {"at": "then", "by": "me"}}


def test_keys_whose_revocation_has_not_ended_are_known_too(tmp_path: Path) -> None:
    for name in ("revoked.0123456789ab.openai", "revoked.c0ffee012345.house.main"):
        (tmp_path / name).touch()
    records = tmp_path / "keys.json"
    found = stack_folder.revoked_keys(str(records))
    assert sorted(found) == ["0123456789ab", "c0ffee012345"]
    assert found["c0ffee012345"]["at"].startswith("20") and found["c0ffee012345"]["by"] == "a run that had not ended"
    records.write_text('{"revoked": {"0123456789ab": {"at": "then", "by": "me"}}}', encoding="utf-8")
    assert stack_folder.revoked_keys(str(records)) == {**found, "0123456789ab": {"at": "then", "by": "me"}}


def test_what_is_not_of_a_stack_is_told_where_none_is(tmp_path: Path) -> None:
    assert stack_folder.foreign(str(tmp_path / "none"), "ocweb") == []
    for name in ("backend", "llm-proxy", "photos", ".ssh", ".compose.yml.new", ".ansible_tmpx1compose.yml"):
        (tmp_path / name).mkdir()
    assert stack_folder.foreign(str(tmp_path), "ocweb") == [".ssh", "photos"]
    (tmp_path / "compose.yml").write_text("services: {}\nname: other\n", encoding="utf-8")
    assert stack_folder.foreign(str(tmp_path), "ocweb") == [".ssh", "compose.yml", "photos"]
    assert stack_folder.other_project(str(tmp_path), "ocweb") == "other"
    (tmp_path / "compose.yml").write_text("# Ours.\nname: ocweb\n", encoding="utf-8")
    assert stack_folder.foreign(str(tmp_path), "ocweb") == []
    assert stack_folder.other_project(str(tmp_path), "ocweb") == ""


def test_a_deploy_is_the_last_good_one_as_long_as_nothing_else_is_described(tmp_path: Path) -> None:
    assert stack_folder.last_deploy(str(tmp_path)) == ({}, False)
    (tmp_path / "deployed").mkdir()
    (tmp_path / "deployed/deploy.json").write_text('{"images": {"backend": "one"}}', encoding="utf-8")
    for path in (tmp_path / "deployed/compose.yml", tmp_path / "compose.yml"):
        path.write_text("one", encoding="utf-8")
    assert stack_folder.last_deploy(str(tmp_path)) == ({"backend": "one"}, True)
    (tmp_path / "compose.yml").write_text("two", encoding="utf-8")
    assert stack_folder.last_deploy(str(tmp_path)) == ({"backend": "one"}, False)


@pytest.mark.parametrize("spelt", ["{}/x", "{}/x/", "{}//x", "{}/./x//", "{}/y/../x"])
def test_a_stacks_folder_is_called_the_same_however_it_is_spelt(tmp_path: Path, spelt: str) -> None:
    """By the survey, by the programs, and in the paths that roles make of it."""
    (tmp_path / "x/llm-proxy/keys").mkdir(parents=True)
    (tmp_path / "x/compose.yml").touch(mode=0o644)
    (tmp_path / "x/compose.yml").chmod(0o644)
    given = spelt.format(tmp_path)
    called = stack_folder.stack_folder(given, "/home/you")
    keys = rotation.Keys({"do": "place", "stack_dir": given, "keys": {}, "chosen": ["all"]})
    assert called == str(Stack(given, "ocweb").path) == str(keys.stack_dir) == f"{tmp_path}/x"
    assert {one["path"] for one in stack_folder.paths(called) if one["folder"]} == {f"{called}/llm-proxy", f"{called}/llm-proxy/keys"}
    assert stack_folder.written(called) == [f"{sha256(b'').hexdigest()} {called}/compose.yml"]


def test_the_usual_folder_is_that_of_who_deploys(monkeypatch: pytest.MonkeyPatch) -> None:
    for user, folder in ((0, "/opt/ocweb"), (1000, "/home/you/.local/share/ocweb")):
        monkeypatch.setattr(os, "geteuid", lambda user=user: user)
        assert stack_folder.stack_folder("auto", "/home//you/") == folder


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """A folder in which we may not make anything, not even as root."""
    tmp_path.chmod(0o500)
    before = os.geteuid()
    os.seteuid(before or mounts.NOBODY)
    yield tmp_path
    os.seteuid(before)
    tmp_path.chmod(0o700)


def test_a_folder_that_cannot_be_made_is_told(closed: Path) -> None:
    # Nobody does not even see what lies in a folder of root's.
    told = re.fullmatch(r"you may not write to (/.*)", stack_folder.unwritable(f"{closed}/not/yet", "you"))
    assert told and closed.is_relative_to(told[1])


def test_a_folder_that_is_none_or_another_users_stack_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "gone").symlink_to("nowhere")
    assert stack_folder.unwritable(str(tmp_path), "you") == stack_folder.unwritable(f"{tmp_path}/not/yet", "you") == ""
    assert stack_folder.unwritable(f"{tmp_path}/file/stack", "you") == f"{tmp_path}/file is no folder"
    assert stack_folder.unwritable(f"{tmp_path}/gone", "you") == f"{tmp_path}/gone is no folder"
    (tmp_path / "compose.yml").touch()
    assert stack_folder.unwritable(str(tmp_path), "you") == ""
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1000)
    assert stack_folder.unwritable(str(tmp_path), "you") == f"the stack there was deployed by user id {os.getuid()}"
