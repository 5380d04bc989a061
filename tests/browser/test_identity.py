"""A person on the LAN who comes by way of a proxy that asks a service who people are, by OpenID Connect."""

from urllib.parse import urlsplit

from conftest import URL
from lan import PASSWORD, ask
from ocweb_page import OcWebPage
from playwright.sync_api import Page
from test_proxied import VOUCHED

SERVICE = "https://identity.example.lan"


def test_who_is_not_known_is_sent_to_the_service_whatever_they_say_of_themselves() -> None:
    for said in ({}, VOUCHED, {"Cookie": "mod_auth_openidc_session=ann"}):
        status, headers, _ = ask("GET", "/", {"Accept": "text/html", **said})
        assert (status, headers["Location"].split("?")[0]) == (302, f"{SERVICE}/oauth/authorize")


def test_a_person_logs_in_at_the_service_and_works(page: Page, complaints: list[str]) -> None:
    page.goto(URL)
    assert page.url.startswith(SERVICE)
    page.locator("[name=login]").fill("ann")
    page.keyboard.press("Enter")
    page.locator("[name=password]").fill(PASSWORD)
    page.keyboard.press("Enter")
    accept = page.get_by_role("button", name="Accept")
    accept.wait_for()
    # What belongs to the service's own pages.
    complaints.clear()
    accept.click()
    page.get_by_role("button", name="Agent: build").wait_for()
    assert urlsplit(page.url)[:2] == urlsplit(URL)[:2]
    OcWebPage(page).works()
    assert [one for one in complaints if SERVICE not in one] == []
