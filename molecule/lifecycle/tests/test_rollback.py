"""A deploy that fails comes back by itself, one that is regretted by a playbook; sessions stay, or are kept."""

import json
import re
import time
from collections.abc import Iterator

import pytest
from conftest import DIR, Stack, in_time, play, ready_made, state

# Changes the backend's image, as an upgrade of OpenCode does, and the gateway's configuration.
UPGRADE: dict[str, object] = {"backend_packages": ["file"], "frontend_hosts": ["upgraded.example"]}
# Another one each time, since sessions outlive these tests.
SINCE = f"made since {time.time():.0f}"
CHANGE = "import sqlite3; db = sqlite3.connect('%s'); db.execute(\"%s\"); db.commit()"
DATABASE = f"{DIR}/backend/home/.local/share/opencode/opencode.db"


def description(stack: Stack) -> str:
    """Return what is deployed: the Compose file and the gateway's configuration."""
    return str(stack.server.check_output(f"cat {DIR}/compose.yml {DIR}/gateway/config/Caddyfile"))


def titles(stack: Stack) -> set[str]:
    """Return the titles of the sessions."""
    return {one["title"] for one in stack.backend("/session")}


def test_a_deploy_that_does_not_become_healthy_comes_back(stack: Stack, session: str) -> None:
    before = description(stack)
    failed = play("site", {"llm_proxy_memory_limit": "48m", "frontend_hosts": ["failed.example"], "stack_start_timeout": 20})
    assert failed.code == 2
    assert "Not healthy within 20 seconds (stack_start_timeout): " in failed.said
    assert f"is back and healthy. Why the new one failed: {DIR}/failed.log" in failed.said
    assert description(stack) == before
    assert "ocweb-llm-proxy-1" in stack.server.check_output(f"cat {DIR}/failed.log")
    stack.refresh()
    assert "You wrote: “still there?”." in stack.ask(session, "still there?")


@pytest.fixture(scope="module")
def original(stack: Stack) -> str:
    """What is deployed before the upgrade."""
    return description(stack)


@pytest.fixture(scope="module")
def upgraded(stack: Stack, original: str, session: str) -> Iterator[None]:
    """A deploy of something else that works, with a session made since."""
    ready_made(stack, UPGRADE)
    done = play("site", UPGRADE)
    assert done.code == 0, done.said
    stack.refresh()
    stack.backend("/session", {"title": SINCE})
    yield
    assert play("site").code == 0
    stack.refresh()


def test_a_dry_rollback_names_what_would_change(stack: Stack, upgraded: None) -> None:
    before = state(stack)
    dry = play("rollback", {}, "--check", "--diff")
    assert dry.code == 0
    assert "gateway/config/Caddyfile changes" in dry.said
    assert "backend: localhost/ocweb/backend:" in dry.said
    assert state(stack) == before


def test_a_rollback_brings_the_deploy_before_back_and_a_second_one_goes_forward(stack: Stack, upgraded: None, original: str) -> None:
    new = description(stack)
    images = stack.server.check_output("docker image ls --quiet --no-trunc | sort")
    back = play("rollback")
    assert back.code == 0, back.said
    in_time("rollback", back, 15)
    assert description(stack) == original
    stack.refresh()
    assert {one["State"]["Health"]["Status"] for one in stack.containers.values()} == {"healthy"}
    assert {"kept", SINCE} <= titles(stack)

    assert play("rollback").code == 0
    assert description(stack) == new
    assert stack.server.check_output("docker image ls --quiet --no-trunc | sort") == images
    stack.refresh()


def test_a_format_that_the_old_one_does_not_know_is_refused_and_kept_beside_what_comes_back(
    stack: Stack, upgraded: None, original: str
) -> None:
    stack.server.check_output("python3 -c %s", CHANGE % (DATABASE, "INSERT INTO migration VALUES ('29990101000000_tomorrow', 0)"))
    before = state(stack)
    refused = play("rollback")
    assert refused.code == 2
    assert "may not read today's sessions: their format changed (29990101000000_tomorrow)" in refused.said
    assert "With stack_rollback_sessions: true they come back as they were before" in refused.said
    assert state(stack) == before

    assert play("rollback", {"stack_rollback_sessions": True}).code == 0
    assert description(stack) == original
    stack.refresh()
    assert "kept" in titles(stack)
    assert SINCE not in titles(stack)
    assert stack.server.check_output(f"stat --format %u {DATABASE}") == "1000"
    aside = stack.server.check_output(f"ls -t {DATABASE}.*Z | head -n 1")
    query = "import sqlite3, sys; print([row[0] for row in sqlite3.connect(sys.argv[1]).execute('SELECT title FROM session')])"
    assert SINCE in stack.server.check_output("python3 -c %s %s", query, aside)


def test_images_that_are_gone_are_named(stack: Stack, upgraded: None) -> None:
    image = json.loads(stack.server.check_output(f"cat {DIR}/previous/deploy.json"))["images"]["backend"]
    stack.server.check_output(f"docker image rm {image}")
    before = state(stack)
    done = play("rollback")
    assert done.code == 2
    assert f"its images are gone ({image}). Deploy that version with site.yml, which builds them." in done.said
    assert state(stack) == before


# Releases beside the collection's own pin, as their npm packages hash. No other release is tested with it: this one moves a pin.
MOVED = {
    "x86_64": "opencode-linux-x64@1.18.34#"
    "45300c8c2bdee1ebb13f640a2eebd199da16e49e4340ad43899aadfbbb257e2c"
    "728c0122efd402d837f6a182a88226da008e08114f2ecde9e825e125de4f9413",
    "x86_64-baseline": "opencode-linux-x64-baseline@1.18.32#"
    "5d73b886d35d244a23f77e4d18c60d1a30f533c66224fa36bb6710cc8c9e0638"
    "a7a02948ee25ce1c13f0f93c26fd9bb31472ad988db9f786edd06588c137ad93",
}


def test_a_dry_upgrade_says_what_would_change_and_changes_nothing(stack: Stack) -> None:
    before = state(stack)
    dry = play("upgrade", {"stack_pins": {"opencode": MOVED}}, "--check")
    assert dry.code == 0, dry.said
    assert dry.changed > 0 and "would appear image localhost/ocweb/backend:" in dry.said
    assert state(stack) == before


def test_a_pin_that_moves_is_an_upgrade_and_a_rollback_takes_it_back(stack: Stack, session: str) -> None:
    version = r"OpenCode (\d+\.\d+\.\d+)"
    done = play("upgrade", {"stack_pins": {"opencode": MOVED}})
    assert done.code == 0, done.said
    old, *_, new = re.findall(version, done.said)
    assert new != old and any(f"@{new}#" in pin for pin in MOVED.values())
    stack.refresh()
    assert "You wrote: “on the new one”." in stack.ask(session, "on the new one")

    assert play("rollback", {"stack_rollback_sessions": True}).code == 0
    assert re.findall(version, play("status").said) == [old]
    stack.refresh()
    assert "kept" in titles(stack)


def test_there_is_nothing_to_upgrade_where_there_is_no_stack() -> None:
    done = play("upgrade", {"stack_dir": "/opt/none", "stack_project": "none"})
    assert (done.code, done.changed) == (2, 0)
    assert "There is no stack in /opt/none (stack_dir) to upgrade. Deploy one with site.yml" in done.said
