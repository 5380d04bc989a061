"""The one published port serves its own page and refuses everyone else's."""

import pytest
from conftest import Stack

PAGE = "http://localhost:3000/"


@pytest.mark.parametrize("name", ["localhost:3000", "127.0.0.1:3000", "[::1]:3000", "LOCALHOST:3000"])
def test_it_answers_to_its_own_names(stack: Stack, name: str) -> None:
    assert stack.from_server("--header", f"Host: {name}", PAGE) == "200"


@pytest.mark.parametrize(
    "name", ["evil.example", "evil.example:3000", "localhost.evil.example:3000", "127.0.0.1.nip.io:3000", "frontend:3000", "10.0.0.1"]
)
def test_a_name_that_was_rebound_to_it_is_refused(stack: Stack, name: str) -> None:
    assert stack.from_server("--header", f"Host: {name}", PAGE) == "421"


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "http://localhost:3001", "https://localhost:3000", "http://localhost", "null", "file://"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_another_origins_page_is_refused(stack: Stack, origin: str, method: str) -> None:
    assert stack.from_server("--request", method, "--header", f"Origin: {origin}", f"{PAGE}api/session") == "403"


@pytest.mark.parametrize("path", ["", "api/events", "_serverFn/x", "session/x"])
@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("mode", ["cors", "no-cors", "websocket"])
def test_another_sites_request_without_an_origin_is_refused(stack: Stack, mode: str, site: str, path: str) -> None:
    assert stack.from_server("--header", f"Sec-Fetch-Site: {site}", "--header", f"Sec-Fetch-Mode: {mode}", PAGE + path) == "403"


@pytest.mark.parametrize("path", ["api/events", "_serverFn/x", "%5FserverFn/x", "//_serverFn/x", "session/x", "x/../_serverFn/x"])
@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_link_from_another_site_leads_to_the_front_page_and_no_further(stack: Stack, site: str, path: str) -> None:
    link = ["--path-as-is", "--header", f"Sec-Fetch-Site: {site}", "--header", "Sec-Fetch-Mode: navigate"]
    assert stack.from_server(*link, PAGE + path) == "403"
    assert stack.from_server(*link, PAGE) == "200"
    assert stack.from_server(*link, "--request", "POST", PAGE) == "403"


@pytest.mark.parametrize("path", ["_serverFn/x", "%5FserverFn/x", "//_serverFn/x", "x/../_serverFn/x", "_SERVERFN/x"])
def test_an_image_or_link_that_a_browser_says_nothing_about_commands_nothing(stack: Stack, path: str) -> None:
    assert stack.from_server("--path-as-is", PAGE + path) == "403"
    assert stack.from_server("--header", "X-Tsr-Redirect: manual", f"{PAGE}_serverFn/x") not in ("403", "000")


def test_its_own_page_may_call_it(stack: Stack) -> None:
    assert stack.from_server("--header", "Origin: http://localhost:3000", PAGE) == "200"


def test_other_pages_may_not_frame_it(stack: Stack) -> None:
    headers = stack.server.check_output(f"curl --silent --head {PAGE}").lower()
    assert "x-frame-options: deny" in headers
    assert "\nserver:" not in headers


def test_its_administration_is_off(stack: Stack) -> None:
    assert stack.answer("gateway", "gateway-edge", 3000)
    assert not stack.answer("gateway", "127.0.0.1", 2019)
