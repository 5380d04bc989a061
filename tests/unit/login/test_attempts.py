"""Whoever fails too often has to wait, and nobody else."""

import pytest

import attempts
from attempts import Attempts, caller, neighbourhood


class Clock:
    """A clock that the test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_after_the_limit_one_waits_until_the_first_failure_is_forgotten() -> None:
    clock = Clock()
    limited = Attempts(3, 60, clock)
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


def test_a_success_begins_anew() -> None:
    limited = Attempts(1, 60, Clock())
    limited.failed("a")
    assert limited.wait("a") > 0
    limited.forget("a")
    assert limited.wait("a") == 0


def test_it_remembers_no_more_than_it_has_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "MAX_KEYS", 3)
    limited = Attempts(1, 60, Clock())
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
    ],
)
def test_whose_word_on_an_address_counts(forwarded: str, trusted: list[str], found: str) -> None:
    assert caller(forwarded, trusted) == found
