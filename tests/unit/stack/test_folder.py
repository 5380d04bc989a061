"""A stack is worked on by whoever deployed it, and by root. Others are told whose it is, whatever they wanted to do."""

import importlib
import json
import os
import pwd
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import folder
import rotation
import whoami
from folder import Refusal, Stack

ROLES = Path(__file__).parents[3] / "roles"
HOST = ROLES / "stack/files/host"
PROGRAMS: dict[str, list[str]] = yaml.safe_load((ROLES / "stack/vars/main.yml").read_text(encoding="utf-8"))["__stack_programs"]
# The others are for a deploy, whose checks see whose the folder is, or about the engine.
ON_A_STACK = sorted(set(PROGRAMS) - {"survey", "layout", "plan", "engine"})
PASSWORD = "a password for tests alone"
ME = pwd.getpwuid(os.getuid()).pw_name
OTHER = os.getuid() + 54321
BECOME = "--become" if os.getuid() == 0 else f"--become --become-user={ME}"


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a stack of whoever runs these tests, who is somebody else from now on."""
    (tmp_path / "compose.yml").write_text("\nname: ocweb\n", encoding="utf-8")
    with monkeypatch.context() as patched:
        patched.setattr(os, "geteuid", lambda: OTHER)
        yield tmp_path


def question(folder: Path) -> dict[str, object]:
    """Return what all programs want to be told."""
    told = {"do": "keep", "seconds": 1, "restore_sessions": False, "check": False, "password": PASSWORD, "unsent": True, "file": "/none"}
    renewed = {"chosen": [], "secrets": {}, "engine": False, "workspace": False, "confirmation": "ocweb", "key_max_age": 90}
    return {"stack_dir": str(folder), "project": "ocweb", "folder": "auto", "bases": [], **told, **renewed}


@pytest.mark.parametrize("name", ON_A_STACK)
def test_every_program_says_whose_the_stack_is(theirs: Path, name: str) -> None:
    answer = importlib.import_module(name).main(question(theirs))
    assert answer == {
        "error": f"stack_dir: what is in {theirs} is not for {OTHER} to change, as whom Ansible works on this host: "
        f"{theirs}/compose.yml belongs to {ME}. Become {ME} ({BECOME}), or log in as that user.",
        "changed": False,
    }


@pytest.mark.parametrize("deed", ["place", "rotate", "revoke", "search"])
def test_so_does_what_changes_keys(theirs: Path, deed: str) -> None:
    answer = rotation.main({**question(theirs), "do": deed, "keys": {}, "providers": {}, "chosen": ["all"]})
    assert f"{theirs}/compose.yml belongs to {ME}. Become {ME} ({BECOME})" in answer["error"]
    assert not answer["changed"]


def test_a_deploy_that_was_killed_early_is_somebodys_too(theirs: Path) -> None:
    (theirs / "compose.yml").rename(theirs / "build.yml")
    with pytest.raises(Refusal, match=f"{theirs}/build.yml belongs to {ME}"):
        Stack(str(theirs), "ocweb")


def test_nobody_is_told_to_become_a_user_without_an_account(theirs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pwd, "getpwuid", lambda number: {}[number])
    with pytest.raises(Refusal, match=rf"belongs to {os.getuid()}\. Become root \(--become\), or log in"):
        Stack(str(theirs), "ocweb")


def test_the_audit_works_as_whoever_ansible_is(tmp_path: Path) -> None:
    assert whoami.main({"stack_dir": str(tmp_path)}) == {"error": "", "changed": False, "uid": str(os.geteuid())}


@pytest.mark.parametrize("there", [True, False])
def test_whoever_has_no_stack_is_told_of_roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    (tmp_path / "opt").mkdir()
    if there:
        (tmp_path / "opt/compose.yml").touch()
    monkeypatch.setattr(folder, "ROOTS", tmp_path / "opt")
    monkeypatch.setattr(os, "geteuid", lambda: OTHER)
    told = f" The one in {tmp_path}/opt is root's: become root (--become) for it." if there else ""
    for name in ("backup", "restore"):
        said = importlib.import_module(name).main(question(tmp_path / "none"))["error"]
        assert said == f"There is no stack in {tmp_path}/none (stack_dir). Deploy one with site.yml, or name its folder.{told}"
    assert rotation.main({**question(tmp_path / "none"), "do": "rotate", "keys": {}, "providers": {}, "chosen": ["all"]})["error"].endswith(
        f"puts the keys in place, too.{told}"
    )


def test_ones_own_is_ones_own_and_where_none_is_nobody_is_refused(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "not/yet"):
        assert Stack(str(place), "ocweb").path == place
    (tmp_path / "compose.yml").touch()
    assert Stack(str(tmp_path), "ocweb").description.exists()


@pytest.mark.parametrize(
    ("place", "keeper"),
    [("/root/stack", "/root"), ("/etc", "/etc")],
    ids=["not to be entered", "not to be written to"],
)
def test_root_keeps_others_out(place: str, keeper: str) -> None:
    """As a user of the system, who is not told otherwise by a test."""
    modules = {name: (HOST / f"{name}.py").read_text(encoding="utf-8") for name in (*PROGRAMS["status"], "status")}
    done = subprocess.run(
        ["python3", "-c", (HOST / "run.py").read_text(encoding="utf-8")],
        input=json.dumps({"modules": modules, "question": question(Path(place))}),
        capture_output=True,
        text=True,
        check=False,
        user=65534 if os.geteuid() == 0 else None,
        cwd="/",
    )
    said = json.loads(done.stdout)["error"]
    assert said.startswith(f"stack_dir: what is in {place} is not for ")
    assert said.endswith(f": {keeper} belongs to root. Become root (--become), or log in as that user.")
