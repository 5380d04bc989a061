"""Whoever fails too often has to wait, and nobody else."""

import stat
from pathlib import Path

import pytest

import attempts
from attempts import Attempts, caller, neighbourhood
from clock import Clock


def test_after_the_limit_one_waits_until_the_first_failure_is_forgotten(tmp_path: Path) -> None:
    clock = Clock()
    limited = Attempts(3, 60, tmp_path / "failed", clock)
    for _ in range(3):
        assert limited.wait("a") == 0
        limited.failed("a")
        clock.now += 10
    assert limited.wait("a") == 30
    assert limited.wait("b") == 0
    clock.now += 30
    assert limited.wait("a") == 0
    limited.failed("a")
    assert limited.wait("a") == 10


def test_a_success_begins_anew(tmp_path: Path) -> None:
    limited = Attempts(1, 60, tmp_path / "failed", Clock())
    limited.failed("a")
    assert limited.wait("a") > 0
    limited.forget("a")
    assert limited.wait("a") == 0
    assert Attempts(1, 60, tmp_path / "failed", Clock()).wait("a") == 0


def test_who_makes_the_service_end_does_not_begin_anew(tmp_path: Path) -> None:
    clock = Clock()
    limited = Attempts(2, 60, tmp_path / "failed", clock)
    limited.failed("a")
    clock.now += 10
    limited.failed("a")
    limited.failed("2001:db8::/64")
    with (tmp_path / "failed").open("a", encoding="utf-8") as file:
        file.write("cut o")
    again = Attempts(2, 60, tmp_path / "failed", clock)
    assert (again.wait("a"), again.wait("b")) == (50, 0)
    again.failed("2001:db8::/64")
    assert Attempts(2, 60, tmp_path / "failed", clock).wait("2001:db8::/64") == 60
    assert stat.S_IMODE((tmp_path / "failed").stat().st_mode) == 0o600


def test_a_clock_that_was_wrong_locks_nobody_out(tmp_path: Path) -> None:
    clock = Clock()
    clock.now += 30 * 86400
    Attempts(1, 60, tmp_path / "failed", clock).failed("a")
    clock.now -= 30 * 86400
    limited = Attempts(1, 60, tmp_path / "failed", clock)
    assert limited.wait("a") == 0
    limited.failed("a")
    assert limited.wait("a") == 60


def test_its_file_does_not_grow_without_end(tmp_path: Path) -> None:
    limited = Attempts(1, 60, tmp_path / "failed", Clock())
    for _ in range(5000):
        limited.failed("a")
    assert len((tmp_path / "failed").read_text(encoding="utf-8").splitlines()) < 1100


def test_a_disk_that_is_full_does_not_let_anyone_try_without_end(tmp_path: Path) -> None:
    limited = Attempts(1, 60, tmp_path / "missing/failed", Clock())
    limited.failed("a")
    assert limited.wait("a") == 60


def test_it_remembers_no_more_than_it_has_room_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "MAX_KEYS", 3)
    limited = Attempts(1, 60, tmp_path / "failed", Clock())
    for key in "abcd":
        limited.failed(key)
    assert [limited.wait(key) > 0 for key in "abcd"] == [False, True, True, True]


@pytest.mark.parametrize(
    ("address", "caller"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        ("x", "unknown"),
    ],
)
def test_a_caller_is_an_address_or_a_network_of_ipv6(address: str, caller: str) -> None:
    assert neighbourhood(address) == caller


@pytest.mark.parametrize(
    ("forwarded", "trusted", "found"),
    [
        ("198.51.100.7", [], "198.51.100.7"),
        # Caddy leaves nothing of what a stranger says; if it did, only its own word would count.
        ("203.0.113.9, 198.51.100.7", [], "198.51.100.7"),
        ("203.0.113.9, 198.51.100.7", ["10.0.0.5"], "198.51.100.7"),
        # A client made up the first, and the proxy told of the second.
        ("192.0.2.1, 203.0.113.9, 10.0.0.5", ["10.0.0.5"], "203.0.113.9"),
        ("203.0.113.9, 10.1.2.3, 10.0.0.5", ["10.0.0.0/8"], "203.0.113.9"),
        ("2001:db8::9, fd00::5", ["fd00::/64"], "2001:db8::9"),
        ("10.0.0.7, 10.0.0.5", ["10.0.0.0/8"], "10.0.0.7"),
        # Without an address before it, the proxy itself counts.
        ("somebody, 10.0.0.5", ["10.0.0.5"], "10.0.0.5"),
        ("", ["10.0.0.5"], ""),
        # As some proxies say it.
        ("203.0.113.9:5123, 10.0.0.5", ["10.0.0.5"], "203.0.113.9"),
        ("[2001:db8::9]:5123, 10.0.0.5", ["10.0.0.5"], "2001:db8::9"),
        ("::ffff:203.0.113.9, 10.0.0.5", ["10.0.0.5"], "203.0.113.9"),
    ],
)
def test_whose_word_on_an_address_counts(forwarded: str, trusted: list[str], found: str) -> None:
    assert caller(forwarded, trusted) == found
