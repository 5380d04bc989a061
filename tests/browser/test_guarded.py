"""A person at the page of a server whose guard is on, and a git server behind it."""

import pytest
from ocweb_page import OcWebPage
from playwright.sync_api import expect


@pytest.mark.parametrize("address", ["https://git.example/hello.git", "git@git.example:hello.git"])
def test_the_agent_clones_a_repository_through_the_guard(ocweb: OcWebPage, address: str) -> None:
    ocweb.send(f"run `cd $(mktemp -d) && git clone --quiet {address} && cat hello/README`")
    ocweb.answer("Allow Once")
    expect(ocweb.tool("git clone")).to_contain_text("Completed")
    expect(ocweb.messages.last).to_contain_text("Hello from the git server.")
