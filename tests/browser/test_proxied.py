"""A person on the LAN who comes by way of a Caddy that asks a service beside it who people are: the sample of docs/edge.md."""

from base64 import b64encode
from urllib.parse import quote

from conftest import URL
from lan import PASSWORD, ask
from ocweb_page import OcWebPage
from playwright.sync_api import Page

# What the proxy shows to the gateway, and what it is shown itself: ann, and the same password.
VOUCHED = {"X-Ocweb-Proxy": "a-secret-that-the-proxy-alone-shows-1", "Remote-User": "ann"}
BASIC = {"Authorization": f"Basic {b64encode(f'ann:{PASSWORD}'.encode()).decode()}"}


def test_a_proxy_that_has_a_login_vouches_for_people_and_nobody_else_can() -> None:
    page = {"X-Tsr-Redirect": "manual", "Accept": "text/html"}
    # The proxy's own answer, whatever people say of themselves.
    for said in ({}, VOUCHED):
        status, headers, _ = ask("GET", "/", {**page, **said})
        assert (status, "WWW-Authenticate" in headers) == (401, True)
    assert ask("GET", "/", {**page, **BASIC})[0] == 200
    # Without the proxy, its secret does not help.
    status, headers, _ = ask("GET", "/", {**page, **BASIC, **VOUCHED}, host="old.example.lan")
    assert (status, headers["Location"]) == (303, "/-/login")


def test_a_person_works_by_way_of_a_proxy(page: Page, complaints: list[str]) -> None:
    # The browser knows it from then on, for workers too.
    page.goto(URL.replace("://", f"://ann:{quote(PASSWORD)}@") + "/robots.txt")
    complaints.clear()
    page.goto(URL)
    page.get_by_role("button", name="Agent: build").wait_for()
    OcWebPage(page).works()
    assert complaints == []
