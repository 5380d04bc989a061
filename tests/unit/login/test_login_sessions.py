"""A session is its user's until it ends."""

import stat
from pathlib import Path

import pytest

import login_sessions
from clock import Clock
from login_sessions import Sessions

USERS = {"dev": "hash-1", "ann": "hash-2"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.json"


def test_a_token_is_its_users_and_another_is_nobodys(path: Path) -> None:
    kept = Sessions(path, 60)
    token = kept.start("dev", "hash-1")
    assert kept.user(token, USERS) == "dev"
    assert kept.user(f"{token}x", USERS) is None
    assert kept.user("", USERS) is None


def test_it_survives_a_restart_and_its_file_lets_nobody_in(path: Path) -> None:
    token = Sessions(path, 60).start("dev", "hash-1")
    assert Sessions(path, 60).user(token, USERS) == "dev"
    assert token not in path.read_text(encoding="utf-8")
    assert "hash-1" not in path.read_text(encoding="utf-8")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_it_ends_with_its_time(path: Path) -> None:
    clock = Clock()
    kept = Sessions(path, 60, clock)
    token = kept.start("dev", "hash-1")
    clock.now += 59
    assert kept.user(token, USERS) == "dev"
    clock.now += 1
    assert kept.user(token, USERS) is None


def test_it_ends_with_a_time_that_has_become_shorter_and_not_later_with_a_longer_one(path: Path) -> None:
    clock = Clock()
    token = Sessions(path, 60, clock).start("dev", "hash-1")
    clock.now += 30
    assert Sessions(path, 31, clock).user(token, USERS) == "dev"
    assert Sessions(path, 30, clock).user(token, USERS) is None
    clock.now += 30
    assert Sessions(path, 600, clock).user(token, USERS) is None


@pytest.mark.parametrize("content", ["", '{"half'])
def test_where_its_file_was_lost_people_log_in_again(path: Path, content: str) -> None:
    path.write_text(content, encoding="utf-8")
    kept = Sessions(path, 60)
    assert kept.user("none", USERS) is None
    token = kept.start("dev", "hash-1")
    assert Sessions(path, 60).user(token, USERS) == "dev"


def test_it_ends_by_logging_out(path: Path) -> None:
    kept = Sessions(path, 60)
    token = kept.start("dev", "hash-1")
    kept.end(token)
    assert kept.user(token, USERS) is None
    assert Sessions(path, 60).user(token, USERS) is None


@pytest.mark.parametrize("users", [{"ann": "hash-2"}, {"dev": "another"}])
def test_it_ends_with_its_user_or_a_new_password(path: Path, users: dict[str, str]) -> None:
    kept = Sessions(path, 60)
    assert kept.user(kept.start("dev", "hash-1"), users) is None


def test_a_users_oldest_session_makes_room(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_sessions, "MAX_SESSIONS", 2)
    kept = Sessions(path, 60)
    hers = kept.start("ann", "hash-2")
    tokens = [kept.start("dev", "hash-1") for _ in range(3)]
    assert [kept.user(token, USERS) for token in tokens] == [None, "dev", "dev"]
    assert kept.user(hers, USERS) == "ann"
