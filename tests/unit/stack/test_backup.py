"""Where a backup may lie, and what has to be known for one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import backup
from folder import Refusal, Stack

ENGINE = """
case "$*" in
  version*) echo 26.1.5 ;;
  *config*) echo '{"services": {"llm-proxy": {"image": "i"}, "backend": {"volumes": [%s]}}}' ;;
  image*) ;;
esac
"""


@pytest.fixture
def stack(tmp_path: Path, stub_command: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "stack/backend/home").mkdir(parents=True)
    (tmp_path / "stack/compose.yml").write_text("\nname: ocweb\n", encoding="utf-8")
    (tmp_path / "work").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "work")
    stub_command(ENGINE % f'{{"source": "{tmp_path}/work", "target": "/workspace"}}')
    monkeypatch.setattr(backup, "need_gpg", lambda dry: [])
    return tmp_path


def question(stack: Path, folder: str, **more: object) -> dict[str, Any]:
    return {
        "stack_dir": str(stack / "stack"),
        "project": "ocweb",
        "password": "a password of tests",
        "folder": folder,
        "workspace": False,
        "check": True,
        **more,
    }


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("stack/backups", "what is there goes with the stack"),
        ("stack", "what is there goes with the stack"),
        ("work/backups", "what is there is the agent's to change"),
        ("link/backups", "what is there is the agent's to change"),
    ],
)
def test_backups_do_not_lie_where_they_would_go_with_what_they_are_of(stack: Path, folder: str, words: str) -> None:
    with pytest.raises(Refusal, match=f"stack_backup_dir: .*{folder} lies in .*{words}. Name a folder elsewhere"):
        backup.answer(question(stack, str(stack / folder)))
    assert backup.answer(question(stack, str(stack / "elsewhere")))["changed"]


def test_a_workspace_that_nobody_knows_is_not_left_out(stack: Path, stub_command: Callable[..., None]) -> None:
    stub_command(ENGINE % "")
    with pytest.raises(Refusal, match=r"Compose does not say from .*/compose.yml where the workspace is"):
        backup.mounted_workspace(Stack(str(stack / "stack"), "ocweb"))
