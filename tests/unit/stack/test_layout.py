"""Folders and secrets are laid out in one go: the folders first, and no secret where one of them cannot be had."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

import layout

ME = {"owner": os.getuid(), "group": os.getgid()}


def ask(stack: Path, check: bool = False) -> dict[str, Any]:
    folders = [{"path": f"{stack}/keys", "mode": "0700", **ME}]
    secrets = [{"path": f"{stack}/keys/{name}", "mode": "0400", "prefix": "", **ME} for name in ("one", "two")]
    return layout.main({"folders": folders, "secrets": secrets, "check": check})


def test_what_a_dry_run_tells_of_is_what_a_run_makes(tmp_path: Path) -> None:
    stack = tmp_path / "stack"
    secrets = [f"{stack}/keys/one", f"{stack}/keys/two"]
    everything = {"changed": True, "folders": [f"{stack}/keys"], "secrets": secrets, "new": secrets, "error": ""}
    assert ask(stack, check=True) == everything
    assert not stack.exists()
    assert ask(stack) == everything
    assert sorted(str(path) for path in stack.glob("*/*")) == secrets
    assert ask(stack) == {"changed": False, "folders": [], "secrets": [], "new": [], "error": ""}


def test_a_secret_of_somebody_else_is_given_and_is_not_new(tmp_path: Path) -> None:
    ask(tmp_path)
    (tmp_path / "keys/two").chmod(0o440)
    assert ask(tmp_path) == {"changed": True, "folders": [], "secrets": [f"{tmp_path}/keys/two"], "new": [], "error": ""}


def test_where_a_folder_cannot_be_had_no_secret_is_made(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "keys").symlink_to(tmp_path / "elsewhere")
    answer = ask(tmp_path)
    assert (answer["changed"], answer["error"]) == (False, f"{tmp_path}/keys is there and is no folder. Move it out of the way")
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("failing", ["mkdir", "fsync"])
def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/srv/stack")

    with monkeypatch.context() as patched:
        patched.setattr(os, failing, full)
        answer = ask(tmp_path)
    path = f"{tmp_path}/keys" if failing == "mkdir" else "/srv/stack"
    assert answer["error"] == f"{path} on the host: No space left on device. Look after that, and run again."
    assert answer["folders"] == ([] if failing == "mkdir" else [f"{tmp_path}/keys"])


def test_a_file_on_the_way_to_a_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "stack").touch()
    assert ask(tmp_path / "stack")["error"] == f"{tmp_path}/stack/keys on the host: Not a directory. Look after that, and run again."
