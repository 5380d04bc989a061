"""The stack's own secrets are renewed with the least restart. The engine is one on the PATH, which says what it was asked."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import folder
import renewal
import secret_file

SECRETS = {
    "master_key": {"path": "llm-proxy/secrets/master_key", "prefix": "sk-", "restart": []},
    "backend_password": {"path": "backend/secrets/password", "prefix": "", "restart": ["backend", "frontend"]},
}
# A stack of one service, which is healthy or ends whenever it is started.
INSPECTED = (
    """[{"Id": "1", "Name": "/b", "RestartCount": '$(cat %(root)s/deaths)', """
    """"Config": {"Image": "i", "Labels": {"com.docker.compose.service": "backend"}},"""
    """"NetworkSettings": {"Ports": {}}, "State": {"Status": "running", "StartedAt": "", "ExitCode": 0, "OOMKilled": false,"""
    """"Health": {"Status": "'$(cat %(root)s/health)'"}}}]"""
)
ENGINE = (
    """
case "$*" in
  *config*) echo '{"services": {"backend": {}}}' ;;
  ps*) echo 1 ;;
  *inspect*) echo '"""
    + INSPECTED
    + """' ;;
  version*) echo 26.1.5 ;;
  *' stop '*) test ! -e %(root)s/unstoppable || { echo "cannot stop container" >&2; exit 1; } ;;
esac
case "$*" in
  *config* | ps* | *inspect* | version*) ;;
  *) echo "$(cat %(root)s/backend/secrets/password) $*" >>%(root)s/asked ;;
esac
case "$*" in start*) cat %(root)s/deaths_next >%(root)s/deaths ;; esac
"""
)


@pytest.fixture
def stack(tmp_path: Path, stub_command: Callable[..., None]) -> Path:
    for secret in SECRETS.values():
        path = tmp_path / str(secret["path"])
        path.parent.mkdir(parents=True)
        path.write_text("old", encoding="ascii")
        path.chmod(0o440)
    (tmp_path / "compose.yml").write_text("\nname: ocweb\n", encoding="utf-8")
    stub_command(ENGINE % {"root": tmp_path})
    answers(tmp_path, well=True)
    return tmp_path


def answers(stack: Path, well: bool) -> None:
    (stack / "deaths").write_text("0", encoding="ascii")
    (stack / "health").write_text("healthy" if well else "unhealthy", encoding="ascii")
    (stack / "deaths_next").write_text("0" if well else "9", encoding="ascii")


def renew(stack: Path, *chosen: str, check: bool = False) -> dict[str, Any]:
    question = {"check": check, "stack_dir": str(stack), "project": "ocweb", "chosen": list(chosen), "secrets": SECRETS, "seconds": 5}
    return renewal.main(question)


def secrets_of(stack: Path) -> list[str]:
    return [(stack / str(secret["path"])).read_text(encoding="ascii") for secret in SECRETS.values()]


def asked(stack: Path) -> list[str]:
    """Return what the engine was asked to do, each with the password that was in place then."""
    return (stack / "asked").read_text(encoding="utf-8").splitlines() if (stack / "asked").exists() else []


def test_the_master_key_is_renewed_without_a_restart(stack: Path) -> None:
    assert renew(stack, "master_key") == {"error": "", "changed": True, "lines": ["Renewed: master_key; started anew: nothing"]}
    key, password = secrets_of(stack)
    assert (len(key), password) == (51, "old")
    assert asked(stack) == []
    assert stat.S_IMODE((stack / "llm-proxy/secrets/master_key").stat().st_mode) == 0o440


def test_who_reads_a_secret_at_its_start_is_stopped_before_it_changes(stack: Path) -> None:
    assert renew(stack, "all")["lines"] == ["Renewed: backend_password, master_key; started anew: backend, frontend"]
    assert "old" not in secrets_of(stack)
    stop, up, start = asked(stack)
    assert stop.startswith("old compose ")
    assert stop.endswith(" stop --timeout 5 backend frontend")
    assert " up --no-start " in up
    assert start == f"{secrets_of(stack)[1]} start 1"


def test_a_dry_run_renews_nothing(stack: Path) -> None:
    assert renew(stack, "all", check=True)["lines"] == ["Would be renewed: backend_password, master_key; started anew: backend, frontend"]
    assert secrets_of(stack) == ["old", "old"]
    assert asked(stack) == []


def test_where_the_services_do_not_come_back_the_old_secrets_do(stack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited = []
    up = folder.Stack.up

    def recorded(self: folder.Stack, seconds: int, recreate: bool = False, hurry: bool = True) -> str:
        waited.append(seconds)
        return up(self, 1, recreate, hurry)

    monkeypatch.setattr(folder.Stack, "up", recorded)
    answers(stack, well=False)
    answer = renew(stack, "all")
    # What ran before has its time, however little the new secrets had.
    assert waited == [5, 180]
    assert answer["error"].startswith("Not healthy with new secrets: backend")
    assert "have the old ones again, and are not healthy either" in answer["error"]
    assert secrets_of(stack) == ["old", "old"]


def test_what_cannot_be_stopped_keeps_its_secret(stack: Path) -> None:
    (stack / "unstoppable").touch()
    error = renew(stack, "all")["error"]
    assert "backend, frontend cannot be stopped, so that nothing was renewed: cannot stop container" in error
    assert secrets_of(stack) == ["old", "old"]
    assert asked(stack)[-1] == "old start 1"


def test_on_a_full_disk_the_services_start_again(stack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(secret_file, "write", full)
    assert "No space left on device" in renew(stack, "all")["error"]
    assert secrets_of(stack) == ["old", "old"]
    assert asked(stack)[-1] == "old start 1"


def test_what_is_not_there_is_said_before_anything_changes(stack: Path) -> None:
    assert "There is no secret cookies. Use master_key, backend_password, or all." in renew(stack, "cookies", "master_key")["error"]
    password = stack / "backend/secrets/password"
    password.unlink()
    assert "There is no password in" in renew(stack, "all")["error"]
    # Nor is what a link leads to taken for it.
    password.symlink_to("/etc/hostname")
    assert "There is no password in" in renew(stack, "all")["error"]
    assert (stack / "llm-proxy/secrets/master_key").read_text(encoding="ascii") == "old"
    assert asked(stack) == []


def test_where_there_is_no_engine_the_secrets_stay_as_they_were(stack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(stack))
    assert "The engine does not answer" in renew(stack, "all")["error"]
    assert secrets_of(stack) == ["old", "old"]
    assert os.listdir(stack / "backend/secrets") == ["password"]
