"""What is removed is a stack of this project, and only by its name."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import removal
from folder import Refusal

FakeDocker = Callable[..., None]
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
    root: Path, tmp_path: Path, fake_docker: FakeDocker, monkeypatch: pytest.MonkeyPatch, other: bool
) -> None:
    monkeypatch.setenv("OTHER", "echo localhost/elsewhere/base:1" if other else "true")
    fake_docker(ENGINE.replace("{log}", str(tmp_path / "log")))
    done = removal.answer(question(root))
    assert done["changed"] and not root.exists()
    images = [line for line in (tmp_path / "log").read_text(encoding="utf-8").splitlines() if line.startswith("image rm")]
    assert images == [f"image rm localhost/ocweb/backend:2 localhost/ocweb/base:1{'' if other else ' localhost/ocweb-bootstrap:trixie'}"]


def test_a_dry_run_says_what_would_go_and_needs_no_confirmation(root: Path, tmp_path: Path, fake_docker: FakeDocker) -> None:
    fake_docker(ENGINE.replace("{log}", str(tmp_path / "log")).replace("$OTHER", "true"))
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
def test_what_was_not_meant_stays(root: Path, tmp_path: Path, fake_docker: FakeDocker, given: dict[str, object], words: str) -> None:
    fake_docker(ENGINE.replace("{log}", str(tmp_path / "log")).replace("$OTHER", "true"))
    with pytest.raises(Refusal, match=words):
        removal.answer(question(root, **given))
    assert root.exists()


def test_a_folder_of_something_else_stays(tmp_path: Path, fake_docker: FakeDocker) -> None:
    fake_docker(ENGINE.replace("{log}", "/dev/null").replace("$OTHER", "true"))
    (tmp_path / "work").touch()
    with pytest.raises(Refusal, match="holds other things than a stack"):
        removal.answer(question(tmp_path))
    assert (tmp_path / "work").exists()


def test_a_removal_that_ends_early_can_be_run_again(root: Path, fake_docker: FakeDocker, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_docker('case "$*" in version*) echo 26.1.5 ;; esac')
    (root / "zzz").mkdir()
    whole = shutil.rmtree

    def killed(path: str) -> None:
        if path.endswith("zzz"):
            raise KeyboardInterrupt
        whole(path)

    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        removal.answer(question(root))
    monkeypatch.undo()
    fake_docker('case "$*" in version*) echo 26.1.5 ;; esac')
    assert removal.answer(question(root))["changed"] and not root.exists()
