"""What is removed is a stack of this project, and only by its name."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import folder
import removal
from folder import Refusal

StubCommand = Callable[..., None]
ENGINE = """case "$*" in
    version*) echo 26.1.5 ;;
    ps*) echo ocweb-backend-1 ;;
    "image ls"*localhost/ocweb/*) echo localhost/ocweb/base:1; echo localhost/ocweb/backend:2 ;;
    "image ls"*base) echo localhost/ocweb/base:1; $OTHER ;;
    "image ls"*) echo localhost/ocweb-bootstrap:trixie ;;
esac
echo "$@" >>{log}"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of a stack."""
    (tmp_path / "stack/backend").mkdir(parents=True)
    (tmp_path / "stack/compose.yml").write_text("\nname: ocweb\n", encoding="utf-8")
    return tmp_path / "stack"


def question(root: Path, **other: object) -> dict[str, object]:
    return {
        "stack_dir": str(root),
        "project": "ocweb",
        "confirmation": "ocweb",
        "workspace": False,
        "engine": False,
        "bases": [],
        "check": False,
        **other,
    }


@pytest.mark.parametrize("other", [False, True], ids=["the last stack", "one of two"])
def test_the_base_that_all_stacks_share_goes_with_the_last(
    root: Path, tmp_path: Path, stub_command: StubCommand, monkeypatch: pytest.MonkeyPatch, other: bool
) -> None:
    monkeypatch.setenv("OTHER", "echo localhost/elsewhere/base:1" if other else "true")
    stub_command(ENGINE.replace("{log}", str(tmp_path / "log")))
    done = removal.answer(question(root))
    assert done["changed"] and not root.exists()
    images = [line for line in (tmp_path / "log").read_text(encoding="utf-8").splitlines() if line.startswith("image rm")]
    assert images == [f"image rm localhost/ocweb/backend:2 localhost/ocweb/base:1{'' if other else ' localhost/ocweb-bootstrap:trixie'}"]


def test_the_engine_is_asked_once(root: Path, tmp_path: Path, stub_command: StubCommand) -> None:
    stub_command(ENGINE.replace("{log}", str(tmp_path / "log")).replace("$OTHER", "true"))
    removal.answer(question(root))
    asked = [line for line in (tmp_path / "log").read_text(encoding="utf-8").splitlines() if line.startswith(("version", "ps", "image ls"))]
    assert len(asked) == len(set(asked)) > 2


def test_a_dry_run_says_what_would_go_and_needs_no_confirmation(root: Path, tmp_path: Path, stub_command: StubCommand) -> None:
    stub_command(ENGINE.replace("{log}", str(tmp_path / "log")).replace("$OTHER", "true"))
    done = removal.answer(question(root, check=True, confirmation=""))
    assert done["lines"][0] == "container ocweb-backend-1"
    assert done["lines"][-1] == f"folder {root}"
    assert root.exists() and " rm" not in (tmp_path / "log").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"confirmation": "yes"}, "-e stack_remove=ocweb"),
        ({"project": "other", "confirmation": "other"}, "is not of the project other"),
    ],
)
def test_what_was_not_meant_stays(root: Path, tmp_path: Path, stub_command: StubCommand, given: dict[str, object], words: str) -> None:
    stub_command(ENGINE.replace("{log}", str(tmp_path / "log")).replace("$OTHER", "true"))
    with pytest.raises(Refusal, match=words):
        removal.answer(question(root, **given))
    assert root.exists()


def test_a_folder_of_something_else_stays(tmp_path: Path, stub_command: StubCommand) -> None:
    stub_command(ENGINE.replace("{log}", "/dev/null").replace("$OTHER", "true"))
    (tmp_path / "work").touch()
    with pytest.raises(Refusal, match="holds other things than a stack"):
        removal.answer(question(tmp_path))
    assert (tmp_path / "work").exists()


@pytest.mark.parametrize("silent", ["image ls", "ps", "network ls", "volume ls"])
def test_an_engine_that_does_not_say_what_it_has_is_not_one_that_has_nothing(root: Path, stub_command: StubCommand, silent: str) -> None:
    stub_command(f'case "$*" in version*) echo 26.1.5 ;; "{silent}"*) echo it is busy >&2; exit 1 ;; esac')
    with pytest.raises(Refusal, match=f"`docker {silent[:2]}.*it is busy. Nothing was removed"):
        removal.answer(question(root))
    assert root.exists()


@pytest.mark.parametrize("link", ["workspace", "people"])
def test_a_workspace_that_somebody_swapped_for_a_link_is_not_followed(tmp_path: Path, link: str) -> None:
    """As root, with a link of somebody else's: what it leads to is not the workspace."""
    (tmp_path / "precious/workspace").mkdir(parents=True)
    (tmp_path / "precious/workspace/kept").touch()
    (tmp_path / "people").mkdir()
    path = tmp_path / "people/workspace"
    if link == "people":
        (tmp_path / "people").rmdir()
    swapped = {"people": path.parent, "workspace": path}[link]
    swapped.symlink_to(tmp_path / "precious" if link == "people" else tmp_path / "precious/workspace")
    os.chown(swapped, 1234, 1234, follow_symlinks=False)
    with pytest.raises(Refusal, match=f"{link} is a link that someone other than root may have put there"):
        folder.clear(path)
    assert (tmp_path / "precious/workspace/kept").exists()


def test_a_link_of_roots_is_followed(tmp_path: Path) -> None:
    (tmp_path / "disk/workspace/src").mkdir(parents=True)
    (tmp_path / "disk/workspace/link").symlink_to("/etc")
    (tmp_path / "srv").symlink_to(tmp_path / "disk")
    folder.clear(tmp_path / "srv/workspace")
    assert not list((tmp_path / "disk/workspace").iterdir())


def test_a_link_of_roots_to_somebodys_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/kept").touch()
    (tmp_path / "theirs").symlink_to("precious")
    os.chown(tmp_path / "theirs", 1234, 1234, follow_symlinks=False)
    (tmp_path / "srv").symlink_to("theirs")
    with pytest.raises(Refusal, match="theirs is a link"):
        folder.clear(tmp_path / "srv")
    (tmp_path / "round").symlink_to("round")
    with pytest.raises(Refusal, match="round is a link"):
        folder.clear(tmp_path / "round")
    assert (tmp_path / "precious/kept").exists()


def test_a_stack_behind_somebodys_link_stays_whole(root: Path, tmp_path: Path, stub_command: StubCommand) -> None:
    """No container goes before the way is known to be ours."""
    stub_command(ENGINE.replace("{log}", str(tmp_path / "log")).replace("$OTHER", "true"))
    (tmp_path / "link").symlink_to(root)
    os.chown(tmp_path / "link", 1234, 1234, follow_symlinks=False)
    for check in (True, False):
        with pytest.raises(Refusal, match="link is a link"):
            removal.answer(question(tmp_path / "link", check=check))
    assert root.exists() and " --force" not in (tmp_path / "log").read_text(encoding="utf-8")


def test_a_stack_behind_roots_link_goes_with_it(root: Path, tmp_path: Path, stub_command: StubCommand) -> None:
    stub_command(ENGINE.replace("{log}", str(tmp_path / "log")).replace("$OTHER", "true"))
    (tmp_path / "link").symlink_to(root)
    assert removal.answer(question(tmp_path / "link"))["changed"]
    assert not root.exists() and not (tmp_path / "link").is_symlink()


def test_a_way_up_is_the_kernels(tmp_path: Path) -> None:
    for name in ("near/ocweb", "far/cur", "far/ocweb"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "kept").touch()
    (tmp_path / "near/cur").symlink_to(tmp_path / "far/cur")
    folder.clear(Path(f"{tmp_path}/near/cur/../ocweb"))
    assert (tmp_path / "near/ocweb/kept").exists() and not (tmp_path / "far/ocweb/kept").exists()


def test_a_link_where_others_may_write_is_not_followed(tmp_path: Path) -> None:
    """It may be root's own, and stand in the place of another folder."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/ws").symlink_to(tmp_path / "precious")
    (tmp_path / "shared").chmod(0o777)
    with pytest.raises(Refusal, match="ws is a link"):
        folder.clear(tmp_path / "shared/ws")


def test_a_removal_that_ends_early_can_be_run_again(root: Path, stub_command: StubCommand, monkeypatch: pytest.MonkeyPatch) -> None:
    stub_command('case "$*" in version*) echo 26.1.5 ;; esac')
    (root / "zzz").mkdir()
    whole = shutil.rmtree

    def killed(path: str) -> None:
        if str(path).endswith("zzz"):
            raise KeyboardInterrupt
        whole(path)

    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        removal.answer(question(root))
    monkeypatch.undo()
    stub_command('case "$*" in version*) echo 26.1.5 ;; esac')
    assert removal.answer(question(root))["changed"] and not root.exists()


def test_where_the_engine_does_not_answer_nobody_knows_what_it_has(root: Path, stub_command: StubCommand) -> None:
    stub_command("echo no socket >&2; exit 1")
    [line] = removal.answer(question(root / "none"))["lines"]
    assert line.startswith(
        f"There is no stack in {root}/none; what the engine has of one is not known. The engine does not answer: no socket."
    )
