"""OpenCode's own page in a browser, where frontend_ui chose it: the same chain behind another face."""

import re
from base64 import urlsafe_b64encode

from conftest import URL
from playwright.sync_api import Locator, Page, TimeoutError, expect

WORKSPACE = urlsafe_b64encode(b"/workspace").decode().rstrip("=")


def press_until_sent(page: Page, box: Locator) -> None:
    """Press Enter, as often as a person would: before it knows its agents, the page sends nothing, and does not say so."""
    for _ in range(12):
        try:
            with page.expect_request(lambda request: request.method == "POST", timeout=5_000):
                box.press("Enter")
        except TimeoutError:
            continue
        return
    raise AssertionError("the page sends no message, however often Enter is pressed")


def test_a_message_is_answered(page: Page, complaints: list[str]) -> None:
    page.goto(f"{URL}/{WORKSPACE}/session")
    expect(page).to_have_title("OpenCode")
    # Before it knows its models, the page takes no message.
    page.get_by_role("button", name="Demo (no key needed)").wait_for()
    box = page.get_by_role("textbox").first
    box.fill("hello")
    press_until_sent(page, box)
    expect(page.get_by_text(re.compile("I am the demo model of this workbench"))).to_be_visible()
    assert complaints == []
