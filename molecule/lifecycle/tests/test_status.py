"""The report says how the stack is, whatever state it is in, and changes nothing."""

import json
from typing import Any

from conftest import ROOT, SERVER, SERVICES, Stack, play, state


def report() -> dict[str, Any]:
    """Return what the last report says of the server."""
    found: dict[str, Any] = json.loads((ROOT / f"artifacts/status/{SERVER}.json").read_text(encoding="utf-8"))
    return found


def test_a_stack_that_is_well(stack: Stack) -> None:
    before = state(stack)
    done = play("status")
    assert (done.code, done.changed) == (0, 0)
    assert "all is well" in done.said
    found = report()
    assert found["ok"] and found["ports"] == ["127.0.0.1:3000"]
    assert {one["service"]: one["health"] for one in found["services"]} == dict.fromkeys(SERVICES, "healthy")
    assert [name for name, number in found["versions"].items() if not number] == []
    assert found["versions"]["OpenCode"] in (ROOT / "files/pins.yml").read_text(encoding="utf-8")
    assert found["disk"]["images"] > 10**8 and found["disk"]["stack_dir"] > 0
    assert state(stack) == before


def test_one_that_is_half_broken(stack: Stack) -> None:
    stack.server.check_output("docker stop --time 1 ocweb-egress-1 && docker rm --force ocweb-frontend-1")
    done = play("status")
    assert (done.code, done.changed) == (0, 0)
    assert report()["problems"] == ["frontend is missing: deploy again", "egress is exited: docker compose logs egress"]
    assert report()["versions"]["oc-web"] == report()["versions"]["Squid"] == ""
    assert report()["versions"]["OpenCode"]
    stack.server.check_output("cd /opt/ocweb && docker compose up --detach --wait")
    stack.refresh()


def test_none_at_all() -> None:
    done = play("status", {"stack_dir": "/opt/nothing", "stack_project": "nothing"})
    assert done.code == 0
    assert "There is no stack in /opt/nothing (stack_dir)." in done.said
