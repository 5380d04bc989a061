"""Where a backup may lie, what has to be known for one, and what is left of one that comes to nothing."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import backup
import sealed
from folder import Refusal, Stack
from sessions import Sessions

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


def test_where_there_is_no_room_nothing_is_written(stack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (stack / "stack/backend/home/big").write_bytes(bytes(1000))
    monkeypatch.setattr(backup, "free", lambda _: 999)
    where = f"{stack}/backups"
    with pytest.raises(
        Refusal, match=rf"^{where} \(stack_backup_dir\) has 999 bytes free, and the backup takes about \d{{4,}}\. Nothing was"
    ):
        backup.answer(question(stack, where, check=False))
    assert not Path(where).exists()


class Packed(Sessions):
    """Sessions that are packed by a script of the shell, which finds in standard input what goes into the archive first."""

    def __init__(self, script: str) -> None:
        self.command = ["sh", "-c", script]


PASSWORD = "a password of tests"
MANIFEST: dict[str, Any] = {"version": sealed.VERSION}
WHOLE = """cat >manifest.json && tar --create manifest.json && echo '["left out"]' >&2"""


@pytest.fixture
def backups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for backups, beside which there is a place to pack them."""
    (tmp_path / "backups").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "backups"


def write(backups: Path, script: str = WHOLE) -> list[str]:
    """Write a backup that is its manifest alone to a folder; return what was left out."""
    return backup.written(Packed(script), MANIFEST, backups / "a.tar.gpg", PASSWORD)


def test_one_that_reads_back_gets_its_name(backups: Path) -> None:
    assert write(backups) == ["left out"]
    assert [path.name for path in backups.iterdir()] == ["a.tar.gpg"]
    assert sealed.read_back(backups / "a.tar.gpg", PASSWORD)[0] == MANIFEST


def truncated(target: Path) -> None:
    """Take the end of a file away."""
    target.write_bytes(target.read_bytes()[:-100])


def exchanged(target: Path) -> None:
    """Put another archive in a file's place, which is as whole as the one that was written."""
    with sealed.opened(target, PASSWORD) as content:
        archive = content.read()
    target.unlink()
    sealed.seal(io.BytesIO(archive + bytes(10240)), target, PASSWORD)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (truncated, "is damaged, truncated or no backup of ours"),
        (exchanged, r"reads back as something else\. The backup was removed: look after that disk"),
    ],
    ids=["truncated", "exchanged"],
)
def test_one_that_does_not_read_back_as_it_was_written_is_none(
    backups: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Path], None], words: str
) -> None:
    pack = backup.packed

    def spoilt(sessions: Sessions, first: dict[str, str], target: Path, password: str) -> tuple[str, list[str]]:
        done = pack(sessions, first, target, password)
        spoil(target)
        return done

    monkeypatch.setattr(backup, "packed", spoilt)
    with pytest.raises(Refusal, match=words):
        write(backups)
    assert list(backups.iterdir()) == []


FULL = "head --bytes=10; cat >/dev/null; echo 'gpg: filter_flush failed on close: No space left on device' >&2; exit 2"


def test_a_disk_that_fills_up_on_the_way_keeps_nothing_of_it(backups: Path, stub_command: Callable[..., None]) -> None:
    stub_command(FULL, "gpg")
    with pytest.raises(Refusal, match=r"The backup could not be written: .*No space left on device") as refused:
        write(backups)
    assert refused.value.changed
    assert list(backups.iterdir()) == []


def test_sessions_that_cannot_be_read_are_no_backup(backups: Path) -> None:
    with pytest.raises(Refusal, match=r"The sessions could not be read: it is locked\. No backup was made"):
        write(backups, f"{WHOLE}; echo 'it is locked' >&2; exit 1")
    assert list(backups.iterdir()) == []
