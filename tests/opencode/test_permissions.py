"""Of its rules, the real OpenCode takes the last one that matches, in the order in which they are written."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from fake_provider import FakeProvider

from opencode import OpenCode

MODELS = {"plain": {"name": "plain", "limit": {"context": 128000, "output": 16384}}}
WAIT_SECONDS = 120
# Each is an agent's; what the agent's rules do not match, those of the whole configuration do.
CASES: dict[str, tuple[dict[str, Any], str]] = {
    "all of it": ({}, "ran"),
    "all else before": ({"*": "deny", "bash": {"echo *": "allow"}}, "ran"),
    "all else behind": ({"bash": {"echo *": "allow"}, "*": "deny"}, "refused"),
    "other uses before": ({"bash": {"*": "deny", "echo *": "allow"}}, "ran"),
    "other uses behind": ({"bash": {"echo *": "allow", "*": "deny"}}, "refused"),
    # roles/backend/vars: what is usual, under a name beside the user's.
    "usual, and one of the user's": ({"bash*": "ask", "bash": {"echo *": "allow"}}, "ran"),
    "usual, and another of the user's": ({"bash*": "ask", "bash": {"git *": "allow"}}, "asked"),
}


@pytest.fixture(scope="module")
def opencode(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenCode]:
    provider = FakeProvider()
    agents = {name: {"mode": "primary", "permission": permission} for name, (permission, _) in CASES.items()}
    opencode = OpenCode(tmp_path_factory.mktemp("opencode"), provider.url, MODELS, agent=agents, permission={"bash": "deny", "*": "allow"})
    yield opencode
    opencode.stop()
    provider.shutdown()


@pytest.mark.parametrize("case", CASES)
def test_the_last_rule_that_matches_wins(opencode: OpenCode, case: str) -> None:
    """The model says `echo hello` in the shell."""
    session = opencode.session()
    opencode.call("POST", f"/session/{session}/prompt_async", {"agent": case, "parts": [{"type": "text", "text": "run-it"}]})
    assert became(opencode, session) == CASES[case][1]


def became(opencode: OpenCode, session: str) -> str:
    """Return what became of the tool's call: `ran`, `refused`, or `asked` where a person is asked for it."""
    end = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < end:
        if [one for one in opencode.call("GET", "/permission") if one["sessionID"] == session]:
            return "asked"
        parts = [part for message in opencode.call("GET", f"/session/{session}/message") for part in message["parts"]]
        for part in parts:
            if part["type"] == "tool" and part["state"]["status"] in ("completed", "error"):
                return "ran" if (part["tool"], part["state"].get("output")) == ("bash", "hello\n") else "refused"
        time.sleep(0.1)
    raise AssertionError(f"nothing came of it: {opencode.log.read_text(errors='replace')[-2000:]}")
