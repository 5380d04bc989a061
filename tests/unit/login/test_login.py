"""The login as Caddy speaks with it."""

import json
import re

import pytest
from login_bed import PASSWORD, Caddy, cookie

import login
import passwords


def test_who_logs_in_is_let_through_until_logging_out(caddy: Caddy) -> None:
    status, headers, _ = caddy.log_in()
    assert (status, headers["location"]) == (303, "/")
    assert re.fullmatch(r"__Host-ocweb=[\w-]{43}; Path=/; Max-Age=86400; Secure; HttpOnly; SameSite=Lax", headers["set-cookie"])
    mine = cookie(headers)
    assert caddy.check(f"other=x; {mine}; more=y") == 204
    assert "logged in as dev" in caddy.call("GET", "/-/login", {"Cookie": mine})[2]
    status, headers, _ = caddy.call("POST", "/-/logout", {"Cookie": mine}, "")
    assert (status, headers["location"], cookie(headers)) == (303, "/-/login", "__Host-ocweb=")
    assert caddy.check(mine) == 401


@pytest.mark.parametrize(
    "sent", ["", "__Host-ocweb=", "__Host-ocweb=AAAA", "ocweb=x", "x__Host-ocweb=AAAA", "__Host-ocweb=../../x", ";;=;"]
)
def test_who_is_not_logged_in_is_not_let_through(caddy: Caddy, sent: str) -> None:
    assert caddy.check(sent) == 401


def test_the_query_of_what_is_asked_about_does_not_matter(caddy: Caddy) -> None:
    mine = cookie(caddy.log_in()[1])
    assert caddy.call("GET", "/check?directory=/workspace", {"Cookie": mine})[0] == 204
    assert caddy.call("GET", "/check?x=/-/login&y=/health")[0] == 401


def test_people_are_led_to_the_login_and_programs_are_told(caddy: Caddy) -> None:
    page = {"X-Forwarded-Method": "GET", "Accept": "text/html,*/*"}
    status, headers, _ = caddy.call("GET", "/check", page)
    assert (status, headers["location"]) == (303, "/-/login")
    assert caddy.call("GET", "/check", {**page, "X-Forwarded-Method": "POST"})[0] == 401
    assert caddy.call("GET", "/check", {**page, "Accept": "text/event-stream"})[0] == 401


WRONG = [("dev", "correct horse batterie"), ("nobody", PASSWORD), ("", ""), ("dev", ""), ("weak", "x")]


@pytest.mark.parametrize(("name", "password"), WRONG)
def test_a_wrong_name_or_password_is_refused_alike(caddy: Caddy, name: str, password: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, headers, text = caddy.log_in(name, password)
    assert (status, "set-cookie" in headers) == (403, False)
    assert "Name or password is wrong." in text
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    known = name if name in ("dev", "weak") else None
    assert (said["event"], said["outcome"], said["user"], said["address"]) == ("login", "refused", known, "192.0.2.7")


def test_an_unknown_name_takes_as_long_as_any_of_the_known(caddy: Caddy, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def fits(password: str, stored: str) -> bool:
        tried.append(stored)
        return False

    monkeypatch.setattr(login, "fits", fits)
    monkeypatch.setattr(caddy.handler.login._by_address, "limit", 99)
    for number in range(20):
        caddy.log_in(f"nobody-{number}")
    known = set(json.loads(caddy.users.read_text(encoding="utf-8")).values())
    assert set(tried) == known
    # A name is as slow as the first time.
    for number in range(20):
        caddy.log_in(f"nobody-{number}")
    assert tried[20:] == tried[:20]


def test_what_was_typed_is_never_said(caddy: Caddy, capsys: pytest.CaptureFixture[str]) -> None:
    _, _, text = caddy.log_in("<script>a secret typed as a name", "another secret, mistyped")
    assert "secret" not in text + capsys.readouterr().out


def test_who_fails_too_often_waits_and_others_do_not(caddy: Caddy) -> None:
    assert [caddy.log_in(password="x")[0] for _ in range(10)] == [403] * 10
    status, headers, text = caddy.log_in()
    assert status == 429
    assert 0 < int(headers["retry-after"]) <= 900
    assert "Too many attempts" in text
    assert caddy.log_in(address="192.0.2.8")[0] == 303


def test_a_name_is_limited_from_many_addresses(caddy: Caddy) -> None:
    assert {caddy.log_in(password="x", address=f"192.0.2.{number}")[0] for number in range(30)} == {403}
    assert caddy.log_in(address="198.51.100.1")[0] == 429


def test_a_new_password_ends_sessions_without_a_restart(caddy: Caddy) -> None:
    mine = cookie(caddy.log_in()[1])
    assert caddy.check(mine) == 204
    new = caddy.users.with_suffix(".new")
    new.write_text(json.dumps({"dev": passwords.hashed("another password")}), encoding="utf-8")
    new.replace(caddy.users)
    assert caddy.check(mine) == 401
    assert caddy.log_in()[0] == 403
    assert caddy.log_in(password="another password")[0] == 303


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"Content-Length": "5000"}, "x"),
        ({"Content-Length": "-1"}, "x"),
        ({"Transfer-Encoding": "chunked"}, "0\r\n\r\n"),
        ({}, "&".join(f"a{number}=1" for number in range(9))),
        ({}, "name=%FF\xff"),
    ],
)
def test_what_is_no_form_is_refused(caddy: Caddy, headers: dict[str, str], body: str) -> None:
    assert caddy.call("POST", "/-/login", headers, body)[0] in (400, 403)


@pytest.mark.parametrize("path", ["/", "/-/", "/-/login/", "/health/", "/-/logout", "/-/loginx"])
def test_there_is_nothing_else(caddy: Caddy, path: str) -> None:
    assert caddy.call("GET", path)[0] == 404
    assert caddy.call("GET", "/health")[0] == 200


def test_the_gateway_is_not_healthy_without_its_certificates(caddy: Caddy) -> None:
    assert caddy.call("GET", "/health")[0] == 200
    caddy.handler.names = ["code.example.org"]
    status, _, text = caddy.call("GET", "/health")
    assert (status, text) == (503, "no certificate: code.example.org")
