"""The stack's own secrets are made on the host and kept."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import inner_secrets
import secret_file

HOST = Path(inner_secrets.__file__).parent


def one(path: Path, mode: str = "0400") -> dict[str, Any]:
    return {"path": str(path), "owner": os.getuid(), "group": os.getgid(), "mode": mode, "prefix": "sk-"}


def test_a_secret_is_made_once_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "master_key"
    assert inner_secrets.main({"check": True, "secrets": [one(path)]}) == {"new": [str(path)], "given": []}
    assert not path.exists()
    assert inner_secrets.main({"check": False, "secrets": [one(path)]})["new"] == [str(path)]
    key = path.read_text(encoding="ascii")
    assert (len(key), key[:3], stat.S_IMODE(path.stat().st_mode)) == (51, "sk-", 0o400)
    assert inner_secrets.main({"check": False, "secrets": [one(path)]}) == {"new": [], "given": []}
    assert path.read_text(encoding="ascii") == key


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_what_was_put_in_a_secrets_place_is_not_given_away(tmp_path: Path, kind: str) -> None:
    path, foreign = tmp_path / "password", tmp_path / "foreign"
    foreign.write_text("root's", encoding="ascii")
    foreign.chmod(0o644)
    path.symlink_to(foreign) if kind == "link" else os.mkfifo(path)
    assert inner_secrets.main({"check": False, "secrets": [one(path)]})["new"] == [str(path)]
    assert stat.S_ISREG(path.lstat().st_mode)
    assert (stat.S_IMODE(foreign.stat().st_mode), foreign.read_text(encoding="ascii")) == (0o644, "root's")


def test_a_secret_is_given_to_whom_it_is_for(tmp_path: Path) -> None:
    path = tmp_path / "password"
    inner_secrets.main({"check": False, "secrets": [one(path)]})
    for check in (True, False):
        assert inner_secrets.main({"check": check, "secrets": [one(path, "0440")]})["given"] == [str(path)]
    assert stat.S_IMODE(path.stat().st_mode) == 0o440


@pytest.mark.parametrize("failing", ["fsync", "chmod", "replace"])
def test_a_secret_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    path = tmp_path / "master_key"
    path.write_text("old", encoding="ascii")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, failing, full)
        with pytest.raises(OSError, match="No space"):
            secret_file.write(path, "new", os.getuid(), os.getgid(), 0o400)
    assert {entry.name: entry.read_text(encoding="ascii") for entry in tmp_path.iterdir()} == {"master_key": "old"}
    # What a killed one left is not in the way.
    (tmp_path / ".master_key.new").write_text("ne", encoding="ascii")
    secret_file.write(path, "new", os.getuid(), os.getgid(), 0o400)
    assert {entry.name: entry.read_text(encoding="ascii") for entry in tmp_path.iterdir()} == {"master_key": "new"}


def test_a_program_of_several_modules_runs_in_one_go() -> None:
    modules = {"secret_file": (HOST / "secret_file.py").read_text(), "inner_secrets": (HOST / "inner_secrets.py").read_text()}
    given = json.dumps({"modules": modules, "question": {"check": True, "secrets": []}})
    done = subprocess.run([sys.executable, "-c", (HOST / "run.py").read_text()], input=given, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"new": [], "given": []}
