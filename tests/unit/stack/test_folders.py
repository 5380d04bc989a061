"""Folders become what they are to be, and nothing else is touched."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import folders

ME = {"owner": os.getuid(), "group": os.getgid()}


@pytest.fixture(autouse=True)
def strict_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


def ask(path: Path, mode: str = "0750", check: bool = False) -> dict[str, Any]:
    return folders.main({"folders": [{"path": str(path), "mode": mode, **ME}], "check": check})


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_folder_is_made_with_those_above_it(tmp_path: Path) -> None:
    wanted = tmp_path / "stack/llm-proxy/keys"
    assert ask(wanted) == {"changed": [str(wanted)], "error": ""}
    assert [mode(path) for path in (wanted, wanted.parent, wanted.parent.parent)] == [0o750, 0o755, 0o755]
    assert ask(wanted)["changed"] == []


def test_a_wrong_mode_is_mended_and_what_lies_in_it_stays(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys").chmod(0o755)
    (tmp_path / "keys/openai").write_text("k", encoding="utf-8")
    assert ask(tmp_path / "keys", "0700")["changed"] == [f"{tmp_path}/keys"]
    assert mode(tmp_path / "keys") == 0o700
    assert (tmp_path / "keys/openai").read_text(encoding="utf-8") == "k"


def test_a_dry_run_says_so_and_makes_nothing(tmp_path: Path) -> None:
    assert ask(tmp_path / "stack/keys", check=True)["changed"] == [f"{tmp_path}/stack/keys"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["link", "dangling link", "file"])
def test_what_is_no_folder_is_left_alone(tmp_path: Path, kind: str) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    if kind == "file":
        (tmp_path / "keys").touch()
    else:
        (tmp_path / "keys").symlink_to(tmp_path / ("elsewhere" if kind == "link" else "nowhere"))
    answer = ask(tmp_path / "keys", "0755")
    assert answer["changed"] == []
    assert f"{tmp_path}/keys is there and is no folder" in answer["error"]
    assert mode(tmp_path / "elsewhere") == 0o700


def test_a_link_on_the_way_that_anyone_may_have_put_there_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere/modules").mkdir(parents=True)
    (tmp_path / "elsewhere/modules").chmod(0o700)
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o777)
    (tmp_path / "shared/source").symlink_to(tmp_path / "elsewhere")
    answer = ask(tmp_path / "shared/source/modules", "0755")
    assert "source is a link that someone other than root may have put there" in answer["error"]
    assert mode(tmp_path / "elsewhere/modules") == 0o700
    (tmp_path / "mine").symlink_to(tmp_path / "elsewhere")
    assert ask(tmp_path / "mine/modules", "0755")["error"] == ""
    assert mode(tmp_path / "elsewhere/modules") == 0o755


def test_folders_on_the_way_need_not_be_ones_that_we_may_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As /home often is, for whoever deploys without root."""
    (tmp_path / "closed/home").mkdir(parents=True)
    real = os.open

    def opened(path: str, flags: int, *words: int, dir_fd: int | None = None) -> int:
        if path == "closed" and not flags & os.O_PATH:
            raise PermissionError(13, "Permission denied", path)
        return real(path, flags, *words, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", opened)
    assert ask(tmp_path / "closed/home/stack")["error"] == ""
    assert mode(tmp_path / "closed/home/stack") == 0o750
