"""A person at the page, the demo model at the other end."""

import re
import time

from conftest import SCREENSHOTS
from ocweb_page import OcWebPage
from playwright.sync_api import expect


def test_an_answer_grows_as_it_is_written(ocweb: OcWebPage) -> None:
    ocweb.watch("one of its models.")
    ocweb.send("hello")
    expect(ocweb.messages.last).to_contain_text("You wrote: “hello”.")
    expect(ocweb.messages.last).to_contain_text("one of its models.")
    assert len(ocweb.lengths()) >= 5, f"the answer was seen at the lengths {ocweb.lengths()}"


def test_a_command_runs_once_it_is_allowed(ocweb: OcWebPage) -> None:
    ocweb.send("run `echo $((40 + 2)) > answer.txt; cat answer.txt`")
    expect(ocweb.questions).to_contain_text("bash: echo $((40 + 2)) > answer.txt")
    ocweb.page.screenshot(path=SCREENSHOTS / "a_permission_is_asked_for.png")
    ocweb.answer("Allow Once")
    expect(ocweb.tool("$ echo")).to_contain_text("Completed")
    expect(ocweb.tool("$ echo").locator("pre")).to_have_text(re.compile(r"^42\s*$"))
    expect(ocweb.messages.last).to_contain_text("That went from the agent's tool through me to you.")


def test_a_command_that_is_refused_does_not_run(ocweb: OcWebPage) -> None:
    ocweb.send("run `touch refused.txt`")
    ocweb.answer("Reject")
    expect(ocweb.tool("touch refused.txt").first).to_contain_text("The user rejected permission")
    ocweb.send("run `ls refused.txt || echo is not there`")
    ocweb.answer("Allow Once")
    expect(ocweb.messages.last).to_contain_text("is not there")


def test_an_edit_shows_what_it_would_change(ocweb: OcWebPage) -> None:
    line = f"a line of text at {time.time()}"
    ocweb.send(f"write hello.txt: {line}")
    expect(ocweb.questions).to_contain_text("edit: workspace/hello.txt")
    expect(ocweb.questions).to_contain_text(f"+{line}")
    ocweb.answer("Allow Once")
    expect(ocweb.tool("write")).to_contain_text("Completed")
    ocweb.send("read hello.txt")
    expect(ocweb.messages.last).to_contain_text(line)
    expect(ocweb.questions).to_have_count(0)


def test_a_session_is_there_again_when_the_page_is_loaded_anew(ocweb: OcWebPage) -> None:
    ocweb.send("hello again")
    expect(ocweb.messages.last).to_contain_text("one of its models.")
    ocweb.page.reload()
    expect(ocweb.messages.last).to_contain_text("You wrote: “hello again”.")
