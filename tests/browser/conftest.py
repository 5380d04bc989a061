"""A browser on the machine that the stack runs on, and pictures of what it shows."""

import base64
import hashlib
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from ocweb_page import OcWebPage
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

URL = os.environ["OCWEB_URL"]
SCREENSHOTS = Path(os.environ["OCWEB_SCREENSHOTS"])
TRUST = os.environ.get("OCWEB_TRUST", "")


def proven_key() -> str:
    """Return the digest of the server's key, once its certificate is proven to be for its name and of the authority that is trusted.

    Chromium has no file of authorities of its own; it takes the key of a certificate in place of its proof.
    """
    address = urlsplit(URL)
    context = ssl.create_default_context(cafile=TRUST)
    with (
        socket.create_connection((address.hostname, address.port or 443), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname=address.hostname) as secure,
    ):
        pem = ssl.DER_cert_to_PEM_cert(secure.getpeercert(binary_form=True) or b"")
    key = subprocess.run(["openssl", "x509", "-noout", "-pubkey"], input=pem, capture_output=True, text=True, check=True).stdout
    body = "".join(key.splitlines()[1:-1])
    return base64.b64encode(hashlib.sha256(base64.b64decode(body)).digest()).decode()


def wait_for_addresses() -> None:
    """Wait until the kernel is done with each IPv6 address: Chromium drops what it is loading when one changes."""
    tentative, addresses = 0x40, Path("/proc/net/if_inet6")
    while addresses.exists() and any(int(line.split()[4], 16) & tentative for line in addresses.read_text(encoding="ascii").splitlines()):
        time.sleep(0.1)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium. Its own sandbox wants more privileges than the container around it has."""
    wait_for_addresses()
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", *([f"--ignore-certificate-errors-spki-list={proven_key()}"] if TRUST else [])]
        yield playwright.chromium.launch(executable_path="/usr/bin/chromium-headless-shell", args=arguments)


@pytest.fixture
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A fresh page; its last picture is kept under the test's name."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    # The servers, their engines and this browser share one machine.
    page.set_default_timeout(90_000)
    expect.set_options(timeout=60_000)
    yield page
    page.screenshot(path=SCREENSHOTS / f"{request.node.name}.png")
    page.context.close()


@pytest.fixture
def complaints(page: Page) -> list[str]:
    """What should not happen on any page: calls to other hosts, and errors on the console."""
    found: list[str] = []

    def on_request(request: Request) -> None:
        if not request.url.startswith((URL, "data:", "blob:")):
            found.append(f"a call to {request.url}")

    def on_console(message: ConsoleMessage) -> None:
        # oc-web asks for a service worker that its package does not hold.
        if message.type == "error" and not message.text.startswith("A bad HTTP response code (404) was received when fetching the script"):
            found.append(message.text)

    page.on("request", on_request)
    page.on("console", on_console)
    page.on("pageerror", lambda error: found.append(str(error)))
    return found


@pytest.fixture
def ocweb(page: Page, complaints: list[str]) -> Iterator[OcWebPage]:
    """oc-web with a new session in the workspace; a complaint at the end is a failure."""
    ocweb = OcWebPage(page)
    ocweb.open(URL)
    ocweb.choose_project("/workspace")
    ocweb.new_session()
    yield ocweb
    assert complaints == []
