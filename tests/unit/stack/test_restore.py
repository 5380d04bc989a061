"""What a restore refuses before it looks into a backup, and what it leaves where services do not get healthy with it."""

import contextlib
import io
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import folder
import restore
import sealed
from folder import Refusal, Stack
from sessions import Sessions

HOST = Path(folder.__file__).parent
NOW = {"check": False, "unsent": False}


@pytest.mark.parametrize(
    ("there", "words"),
    [
        ([], "Name a backup by its absolute path."),
        (["a.tar.gpg", "b.tar.gpg", "c.tar.gpg", "d.tar.gpg", "other"], "path. Beside it are b.tar.gpg, c.tar.gpg, d.tar.gpg."),
    ],
)
def test_a_file_that_is_not_there_and_the_last_ones_that_are(tmp_path: Path, there: list[str], words: str) -> None:
    for name in there:
        (tmp_path / name).touch()
    file = tmp_path / "none.tar.gpg"
    question = {"stack_dir": str(tmp_path), "project": "ocweb", "password": "a password of tests", "file": str(file), **NOW}
    with pytest.raises(Refusal) as refused:
        restore.answer({**question, "workspace": False})
    assert str(refused.value).startswith(f"stack_restore_file: {file} is not a file on this host.")
    assert str(refused.value).endswith(words)


class Idle(Stack):
    """A stack that nothing is to be done to."""

    def need(self) -> None:
        pass

    def compose(self, *arguments: str, file: Path | None = None, timeout: float | None = 60) -> subprocess.CompletedProcess[str]:
        raise AssertionError(arguments)


@pytest.fixture
def idle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The question to restore a backup of 1000 bytes, to a stack that goes on running."""
    (tmp_path / "backend/home/today").mkdir(parents=True)
    (tmp_path / "a.tar.gpg").touch()
    manifest = {"at": "then", "project": "ocweb", "format": [], "size": 1000, "workspace": False, "images": {}}
    stubs: dict[str, Any] = {
        "Stack": Idle,
        "need_gpg": lambda dry: [],
        "read_back": lambda *_: (manifest, "digest"),
        "sessions_of": lambda *_: None,
        "today": lambda _: [],
    }
    for name, stub in stubs.items():
        monkeypatch.setattr(restore, name, stub)
    named = {"stack_dir": str(tmp_path), "project": "ocweb", "password": "a password of tests", "file": f"{tmp_path}/a.tar.gpg"}
    return {**named, **NOW, "workspace": False, "seconds": 1}


@pytest.mark.parametrize("check", [True, False])
def test_where_there_is_no_room_nothing_is_changed(
    idle: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check: bool
) -> None:
    monkeypatch.setattr(restore, "free", lambda _: 999)
    with pytest.raises(Refusal, match=r"backend/home has 999 bytes free, and the backup takes about 1000\. Nothing was changed") as refused:
        restore.answer({**idle, "check": check})
    assert not refused.value.changed
    assert (os.listdir(tmp_path / "backend"), os.listdir(tmp_path / "backend/home")) == (["home"], ["today"])


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("cat >/dev/null; echo 'OSError: [Errno 28] No space left on device' >&2; exit 1", "cannot be unpacked: .*No space left on device"),
        ("cat >/dev/null", "was changed while it was read"),
    ],
    ids=["a full disk", "another file"],
)
def test_one_that_does_not_come_out_whole_leaves_the_sessions(
    idle: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    class Unpacked(Sessions):
        def __init__(self, *_: object) -> None:
            self.command = ["sh", "-c", script]

    @contextlib.contextmanager
    def opened(*_: object) -> Iterator[sealed.Counted]:
        yield sealed.Counted(io.BytesIO(bytes(2 * sealed.BLOCK)))

    monkeypatch.setattr(restore, "sessions_of", Unpacked)
    monkeypatch.setattr(restore, "opened", opened)
    with pytest.raises(Refusal, match=f"a.tar.gpg {words}.*The sessions are as they were"):
        restore.answer(idle)
    assert (os.listdir(tmp_path / "backend"), os.listdir(tmp_path / "backend/home")) == (["home"], ["today"])


def test_where_services_are_not_healthy_with_it_all_is_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work, home, file = tmp_path / "work", tmp_path / "backend/home", tmp_path / "a.tar.gpg"
    work.mkdir()
    home.mkdir(parents=True)
    (home / "today").touch()
    file.touch()
    unwell, waited = ["backend", ""], []

    class Engine(Stack):
        def need(self) -> None:
            pass

        def compose(self, *arguments: str, file: Path | None = None, timeout: float | None = 60) -> subprocess.CompletedProcess[str]:
            return subprocess.CompletedProcess(arguments, 0, "", "")

        def up(self, seconds: int, recreate: bool = False, hurry: bool = True, without: str = "") -> str:
            waited.append(seconds)
            return unwell.pop(0)

    def unpack(fresh: Path, *_: object) -> None:
        (fresh / "then").touch()
        (work / "then").mkdir()

    manifest = {"at": "then", "project": "ocweb"}
    stubs: dict[str, Any] = {
        "Stack": Engine,
        "need_gpg": lambda dry: [],
        "read_back": lambda *_: (manifest, "digest"),
        "check": lambda *_: None,
        "mounted_workspace": lambda _: str(work),
        "sessions_of": lambda _, fresh, *extra: fresh,
        "unpack": unpack,
    }
    for name, stub in stubs.items():
        monkeypatch.setattr(restore, name, stub)
    question = {"stack_dir": str(tmp_path), "project": "ocweb", "password": "a password of tests", "file": str(file), **NOW}
    with pytest.raises(Refusal, match=r"Not healthy with the restored sessions: backend\. Those of before are back"):
        restore.answer({**question, "workspace": True, "seconds": 1})
    # What ran before has its time, however little the other one had.
    assert waited == [1, 180]
    assert os.listdir(home) == ["today"]
    assert os.listdir(home.parent) == ["home"]
    assert os.listdir(work) == []


def test_a_user_removes_what_not_even_its_owner_may_write_to() -> None:
    """As Go leaves its modules. Root may always, so that somebody else is asked to."""
    user = 65534 if os.geteuid() == 0 else os.geteuid()
    source = "from pathlib import Path\nimport folder\n\ndef main(question):\n    folder.remove(Path(question))\n    return {}\n"
    modules = {"folder": (HOST / "folder.py").read_text(encoding="utf-8"), "removing": source}
    with tempfile.TemporaryDirectory() as place:
        module = Path(place, "home/go/pkg")
        module.mkdir(parents=True)
        (module / "main.go").touch()
        (module / "away").symlink_to("/")
        for path in (module / "main.go", module, module.parent, module.parent.parent, Path(place)):
            os.chown(path, user, -1)
            path.chmod(0o755 if path == Path(place) else 0o444 if path.is_file() else 0o555)
        done = subprocess.run(
            ["python3", "-c", (HOST / "run.py").read_text(encoding="utf-8")],
            input=json.dumps({"modules": modules, "question": f"{place}/home"}),
            capture_output=True,
            text=True,
            check=False,
            user=user if os.geteuid() == 0 else None,
            cwd="/",
        )
        assert done.returncode == 0, done.stderr
        assert os.listdir(place) == []
