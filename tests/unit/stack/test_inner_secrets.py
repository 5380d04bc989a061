"""The stack's own secrets are made on the host, kept, and renewed with the least restart. `docker` is played by one on the PATH."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import inner_secrets
import renewal
import secret_file

HOST = Path(inner_secrets.__file__).parent
SECRETS = {
    "master_key": {"path": "llm-proxy/secrets/master_key", "prefix": "sk-", "restart": []},
    "backend_password": {"path": "backend/secrets/password", "prefix": "", "restart": ["backend", "frontend"]},
}


def one(path: Path, mode: str = "0400") -> dict[str, Any]:
    return {"path": str(path), "owner": os.getuid(), "group": os.getgid(), "mode": mode, "prefix": "sk-"}


def test_a_secret_is_made_once_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "master_key"
    assert inner_secrets.main({"check": True, "secrets": [one(path)]}) == {"changed": True, "new": ["master_key"], "given": []}
    assert not path.exists()
    assert inner_secrets.main({"check": False, "secrets": [one(path)]})["new"] == ["master_key"]
    key = path.read_text(encoding="ascii")
    assert (len(key), key[:3], stat.S_IMODE(path.stat().st_mode)) == (51, "sk-", 0o400)
    assert not inner_secrets.main({"check": False, "secrets": [one(path)]})["changed"]
    assert path.read_text(encoding="ascii") == key


def test_a_secret_is_given_to_whom_it_is_for(tmp_path: Path) -> None:
    path = tmp_path / "password"
    inner_secrets.main({"check": False, "secrets": [one(path)]})
    for check in (True, False):
        assert inner_secrets.main({"check": check, "secrets": [one(path, "0440")]})["given"] == ["password"]
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
    assert json.loads(done.stdout) == {"changed": False, "new": [], "given": []}


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for secret in SECRETS.values():
        path = tmp_path / str(secret["path"])
        path.parent.mkdir(parents=True)
        path.write_text("old", encoding="ascii")
        path.chmod(0o440)
    (tmp_path / "bin").mkdir()
    answers(tmp_path, 0)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    return tmp_path


def answers(stack: Path, code: int) -> None:
    docker = stack / "bin/docker"
    docker.write_text(f'#!/bin/sh\necho "$@" >>{stack}/asked\nexit {code}\n', encoding="utf-8")
    docker.chmod(0o755)


def renew(stack: Path, *chosen: str, check: bool = False) -> dict[str, Any]:
    return renewal.main({"check": check, "stack_dir": str(stack), "project": "ocweb", "chosen": list(chosen), "secrets": SECRETS})


def secrets_of(stack: Path) -> list[str]:
    return [(stack / str(secret["path"])).read_text(encoding="ascii") for secret in SECRETS.values()]


def test_the_master_key_is_renewed_without_a_restart(stack: Path) -> None:
    assert renew(stack, "master_key") == {"changed": True, "renewed": ["master_key"], "restarted": [], "error": ""}
    key, password = secrets_of(stack)
    assert (len(key), password) == (51, "old")
    assert not (stack / "asked").exists()
    assert stat.S_IMODE((stack / "llm-proxy/secrets/master_key").stat().st_mode) == 0o440


def test_only_who_reads_a_secret_at_its_start_starts_anew(stack: Path) -> None:
    assert renew(stack, "all")["restarted"] == ["backend", "frontend"]
    assert "old" not in secrets_of(stack)
    [asked] = (stack / "asked").read_text(encoding="utf-8").splitlines()
    assert asked.startswith("compose --project-name ocweb up --detach --no-deps --force-recreate")
    assert asked.endswith("backend frontend")


def test_a_dry_run_renews_nothing(stack: Path) -> None:
    assert renew(stack, "all", check=True)["renewed"] == ["backend_password", "master_key"]
    assert secrets_of(stack) == ["old", "old"]


def test_where_the_services_do_not_come_back_the_old_secrets_do(stack: Path) -> None:
    answers(stack, 1)
    answer = renew(stack, "all")
    assert "have the old ones again" in answer["error"]
    assert not answer["changed"]
    assert secrets_of(stack) == ["old", "old"]


def test_what_is_not_there_is_said_before_anything_changes(stack: Path) -> None:
    assert "There is no secret cookies. Use master_key, backend_password, or all." in renew(stack, "cookies", "master_key")["error"]
    (stack / "backend/secrets/password").unlink()
    assert "There is no backend_password in" in renew(stack, "all")["error"]
    assert (stack / "llm-proxy/secrets/master_key").read_text(encoding="ascii") == "old"


def test_where_there_is_no_engine_the_secrets_stay_as_they_were(stack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = secrets_of(stack)
    monkeypatch.setenv("PATH", str(stack))
    assert "have the old ones again" in renew(stack, "all")["error"]
    assert secrets_of(stack) == before
