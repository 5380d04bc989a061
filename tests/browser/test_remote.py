"""A person on the server's LAN: the page by its name, through TLS, and behind a login."""

import http.client
import ssl
import time
from urllib.parse import urlencode

import pytest
from conftest import SCREENSHOTS, TRUST, URL
from lan import FORM, HOST, NAME, PASSWORD, ask
from ocweb_page import OcWebPage
from playwright.sync_api import Page


def logged_in() -> dict[str, str]:
    """Log in as a program would, and return the header that shows it."""
    status, headers, _ = ask("POST", "/-/login", FORM, urlencode({"name": NAME, "password": PASSWORD}))
    assert (status, headers["Location"]) == (303, "/")
    return {"Cookie": headers["Set-Cookie"].partition(";")[0]}


def test_without_a_login_there_is_nothing() -> None:
    for path in ("/", "/api/events?directory=/workspace", "/_serverFn/x", "/assets/x.js"):
        assert ask("GET", path, {"X-Tsr-Redirect": "manual"})[0] == 401
    assert ask("GET", "/", {"Accept": "text/html"})[0] == 303
    assert ask("POST", "/-/login", FORM, urlencode({"name": NAME, "password": f"{PASSWORD}!"}))[0] == 403


def test_plain_http_leads_to_https() -> None:
    connection = http.client.HTTPConnection(HOST, timeout=30)
    connection.request("GET", "/session/x")
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Location"]) == (308, f"https://{HOST}/session/x")


@pytest.mark.parametrize("port", [22])
def test_nothing_else_of_the_stack_answers(port: int) -> None:
    def answers(number: int) -> bool:
        try:
            http.client.HTTPConnection(HOST, number, timeout=3).connect()
        except OSError:
            return False
        return True

    # That this one does shows that the others would.
    assert answers(port)
    assert [number for number in (2019, 2020, 2021, 2375, 2376, 3000, 3080, 3128, 3129, 4000, 4096) if answers(number)] == []


def test_an_event_stream_stays_open_while_nothing_happens() -> None:
    connection = http.client.HTTPSConnection(HOST, timeout=45, context=ssl.create_default_context(cafile=TRUST))
    connection.request("GET", "/api/events?directory=/workspace", headers={**logged_in(), "Accept": "text/event-stream"})
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Content-Type"].partition(";")[0]) == (200, "text/event-stream")
    started, seen = time.monotonic(), []
    # The agent's server says now and then that it is there; a silence longer than the connection's timeout would end this.
    while time.monotonic() < started + 35:
        line = answer.readline()
        assert line, "the stream was ended"
        seen.append(line.decode().strip())
    assert any("server.connected" in line for line in seen)
    assert any("heartbeat" in line for line in seen), seen


def test_a_person_logs_in_works_and_logs_out(page: Page, complaints: list[str]) -> None:
    page.goto(URL)
    page.get_by_label("Name").fill(NAME)
    page.get_by_label("Password").fill(PASSWORD)
    page.screenshot(path=SCREENSHOTS / "login.png")
    page.get_by_role("button", name="Log in").click()
    page.get_by_role("button", name="Agent: build").wait_for()
    OcWebPage(page).works()
    assert complaints == []
    page.goto(f"{URL}/-/login")
    page.get_by_role("button", name="Log out").click()
    page.get_by_label("Password").wait_for()
    page.goto(URL)
    page.get_by_label("Password").wait_for()
