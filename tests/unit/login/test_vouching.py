"""A proxy in front vouches for people, and nobody else does."""

from email.message import Message
from hashlib import sha256
from pathlib import Path

import pytest
from login_bed import Caddy, cookie

from vouching import Voucher

SECRET = "a-secret-that-a-proxy-shows-12345"
SAID = {"X-Forwarded-For": "192.0.2.10", "X-Ocweb-Proxy": SECRET, "Remote-User": "ann"}


@pytest.fixture
def digest(tmp_path: Path) -> Path:
    path = tmp_path / "proxy.sha256"
    path.write_text(sha256(SECRET.encode()).hexdigest(), encoding="ascii")
    return path


def voucher(digest: Path) -> Voucher:
    return Voucher(digest, "Remote-User", ["192.0.2.10", "fd00::/64"])


@pytest.mark.parametrize("address", ["192.0.2.10", "fd00::7", "192.0.2.99, 192.0.2.10"])
def test_it_is_believed_from_its_own_address(digest: Path, address: str) -> None:
    assert voucher(digest).user({**SAID, "X-Forwarded-For": address}) == "ann"


@pytest.mark.parametrize(
    "changed",
    [
        {"X-Forwarded-For": "192.0.2.11"},
        # What was said before its own word may be made up.
        {"X-Forwarded-For": "192.0.2.10, 192.0.2.11"},
        {"X-Forwarded-For": ""},
        {"X-Forwarded-For": "192.0.2.10, x"},
        {"X-Ocweb-Proxy": ""},
        {"X-Ocweb-Proxy": SECRET[:-1]},
        {"X-Ocweb-Proxy": sha256(SECRET.encode()).hexdigest()},
        {"X-Ocweb-Proxy": "\udcff"},
        {"Remote-User": ""},
        {"Remote-User": "  "},
        {"Remote-User": "x" * 129},
        {"Remote-User": "{http.reverse_proxy.header.Remote-User}"},
    ],
)
def test_nothing_else_is_believed(digest: Path, changed: dict[str, str]) -> None:
    assert voucher(digest).user({**SAID, **changed}) is None


@pytest.mark.parametrize("missing", SAID)
def test_it_has_to_say_all_of_it(digest: Path, missing: str) -> None:
    assert voucher(digest).user({name: value for name, value in SAID.items() if name != missing}) is None


@pytest.mark.parametrize("name", ["remote-user", "X-Ocweb-Proxy"])
def test_of_two_that_are_said_neither_counts(digest: Path, name: str) -> None:
    headers = Message()
    for header, value in SAID.items():
        headers[header] = value
    assert voucher(digest).user(headers) == "ann"
    headers[name] = headers[name]
    assert voucher(digest).user(headers) is None


def test_a_new_secret_counts_at_once(digest: Path) -> None:
    proxy = voucher(digest)
    digest.write_text(sha256(b"another").hexdigest(), encoding="ascii")
    assert proxy.user(SAID) is None
    assert proxy.user({**SAID, "X-Ocweb-Proxy": "another"}) == "ann"


def test_caddy_lets_through_whom_it_vouches_for(caddy: Caddy, digest: Path) -> None:
    assert caddy.check(**SAID) == 401
    caddy.handler.voucher = voucher(digest)
    assert caddy.check(**SAID) == 204
    assert caddy.check(**{**SAID, "X-Forwarded-For": "192.0.2.11"}) == 401
    # Who has a password gets in without it, too.
    assert caddy.check(cookie(caddy.log_in()[1])) == 204


def test_where_nobody_has_a_password_none_is_asked_for(caddy: Caddy, digest: Path) -> None:
    caddy.handler.voucher = voucher(digest)
    assert "Password" in caddy.call("GET", "/-/login")[2]
    assert "The login is at the proxy" in caddy.call("GET", "/-/login", SAID)[2]
    caddy.users.write_text("{}", encoding="utf-8")
    text = caddy.call("GET", "/-/login")[2]
    assert "The login is at the proxy" in text
    assert "Password" not in text
    assert caddy.log_in()[0] == 403


def test_the_gateway_is_not_healthy_without_what_the_proxy_is_known_by(caddy: Caddy, digest: Path) -> None:
    caddy.handler.voucher = voucher(digest)
    assert caddy.call("GET", "/health")[0] == 200
    digest.unlink()
    with pytest.raises(ConnectionError):
        caddy.call("GET", "/health")
