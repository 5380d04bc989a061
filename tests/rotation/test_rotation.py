"""Keys are replaced and taken away while people work, and nobody notices."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import pytest
from fleet import ALIAS, FIRST, ROOT, SECOND, STACKS, Fleet, Run, environment
from load import FULL, Answers, Load
from stack import SERVICES

from documents import options, span
from key_rules import fingerprint

ROTATIONS, REQUESTS, RATE = (20, 10_000, 9.0) if FULL else (6, 1_000, 4.0)
STREAMS = 20
SOON = 1.0
ARTIFACT = ROOT / "artifacts" / "rotation.md"
NAMES = ["openai", "anthropic", "gemini", "house.main"]


@dataclass
class Rotation:
    """One rotation of one key: what was in place before and after, when the new one came into place, and the play that did it."""

    name: str
    old: str
    new: str
    landed: float
    run: Run


@dataclass
class Busy:
    """Many rotations under load, and what came of them."""

    rotations: list[Rotation] = field(default_factory=list)
    answers: Answers = field(default_factory=Answers)
    fewest: int = 0
    before: str = ""
    after: str = ""


def seconds_until_used(rotation: Rotation, fleet: Fleet) -> float:
    """Return how long after it came into its place a key was first used at its provider."""
    return float(fleet.uses(rotation.name.partition(".")[0])[fingerprint(rotation.new)]["first"] - rotation.landed)


def usual(seconds: list[float]) -> float:
    """Return what is to be expected of a figure: the worst where nothing else is measured, the median where others use the machine too."""
    return (max if FULL else median)(seconds)


def soon(busy: Busy) -> float:
    """Return within how many seconds a key is to be used: what is promised, or, where requests wait for each other, as long as two take.

    One that began just before a key came into its place has the old one.
    """
    return SOON if FULL else max(SOON, 2 * median(busy.answers.seconds))


def table(busy: Busy, fleet: Fleet) -> str:
    """Return the figures, for docs/performance.md."""
    used = [seconds_until_used(one, fleet) for one in busy.rotations]
    plays = [one.run.seconds for one in busy.rotations]
    rows = {
        "requests, of which streams": f"{busy.answers.count}, {sum(busy.answers.streams.values())}",
        "failed": str(len(busy.answers.failed)),
        "streams open at any time, at least": str(busy.fewest),
        "rotations": str(len(busy.rotations)),
        "from a key's file in its place to its first use, median and longest": f"{median(used):.2f}, {max(used):.2f} s",
        "the play for one host, median and longest": f"{median(plays):.1f}, {max(plays):.1f} s",
    }
    return "| What | Measured |\n|---|---:|\n" + "".join(f"| {what} | {figure} |\n" for what, figure in rows.items())


@pytest.fixture(scope="module")
def busy(deployed: tuple[Fleet, Run]) -> Busy:
    """The first host's keys are rotated one after the other, while people work with all of its models."""
    fleet, _ = deployed
    load = Load(fleet.server, fleet.internet, STREAMS, RATE)
    found = Busy(before=fleet.containers(FIRST))
    load.start()
    begin = time.time()
    for number in range(ROTATIONS):
        name = NAMES[number % len(NAMES)]
        old = fleet.keys[FIRST][name]
        new = fleet.renew(FIRST, name)[name]
        run = fleet.play("rotate_keys", llm_proxy_rotate=[name])
        key, landed = fleet.placed(FIRST)[name]
        assert (run.code, key) == (0, new), run.said[-2000:]
        found.rotations.append(Rotation(name, old, new, landed, run))
    load.wait_for(REQUESTS)
    end = time.time()
    found.answers = load.stop()
    found.fewest = found.answers.fewest(begin, end)
    found.after = fleet.containers(FIRST)
    ARTIFACT.parent.mkdir(parents=True, exist_ok=True)
    ARTIFACT.write_text(table(found, fleet), encoding="utf-8")
    return found


def test_no_request_fails_while_keys_rotate(busy: Busy) -> None:
    assert busy.answers.failed == []
    assert busy.answers.count >= REQUESTS
    assert set(busy.answers.plain) == set(busy.answers.streams) == {"openai", "anthropic", "gemini", "house"}


def test_many_streams_are_open_all_the_time(busy: Busy) -> None:
    assert busy.fewest >= STREAMS


def test_a_new_key_is_used_within_a_second(busy: Busy, fleet: Fleet) -> None:
    late = [seconds_until_used(one, fleet) for one in busy.rotations]
    assert min(late) >= 0
    assert usual(late) < soon(busy), late


def test_the_old_key_is_used_no_more(busy: Busy, fleet: Fleet) -> None:
    used = [fleet.uses(one.name.partition(".")[0])[fingerprint(one.old)]["last"] for one in busy.rotations]
    assert [one.name for one, last in zip(busy.rotations, used, strict=True) if last >= one.run.end] == []
    late = [last - one.landed for one, last in zip(busy.rotations, used, strict=True)]
    assert usual(late) < soon(busy), late


def test_nothing_is_restarted(busy: Busy) -> None:
    assert busy.after == busy.before


def test_the_report_names_the_places_where_the_old_key_was_looked_for(busy: Busy) -> None:
    said = busy.rotations[-1].run.said
    services = [f"{service}: {what}" for service in SERVICES for what in ("file system", "memory")]
    for place in ["the stack''s folder", "temporary files", "logs", "the engine", "every process", *services]:
        found = re.search(rf" (\d+) {place}", said)
        assert found, f"{place} is not among {said}"
        # It remembers for an hour what it has to mask.
        assert found[1] == "0" or place == "llm-proxy: memory", place
    assert f"{busy.rotations[-1].name}: rotated ({fingerprint(busy.rotations[-1].old)} -> {fingerprint(busy.rotations[-1].new)})" in said


def test_it_is_on_record_who_did_what_and_when(busy: Busy, fleet: Fleet) -> None:
    records = fleet.records(FIRST)
    last = busy.rotations[-1]
    assert records["keys"][last.name]["fingerprint"] == fingerprint(last.new)
    history = [(one["key"], one["event"], one["before"], one["fingerprint"]) for one in records["history"]]
    wanted = [(one.name, "rotated", fingerprint(one.old), fingerprint(one.new)) for one in busy.rotations]
    assert history[-len(wanted) :] == wanted
    assert all(one["by"] and one["at"].endswith("Z") for one in records["history"])
    assert not fleet.leaks(json.dumps(records))


def test_the_proxy_knows_when_each_key_was_last_used(busy: Busy, fleet: Fleet) -> None:
    usage = json.loads(fleet.server.output("cat", f"{STACKS[FIRST][1]}/llm-proxy/state/usage.json"))
    for one in busy.rotations[-len(NAMES) :]:
        assert usage[one.name]["fingerprint"] == fingerprint(one.new)
        assert usage[one.name]["last_success"]
        assert usage[one.name]["refused"] is None


def test_a_second_rotation_changes_nothing(fleet: Fleet) -> None:
    before = fleet.placed(FIRST)
    run = fleet.play("rotate_keys")
    assert (run.code, run.changed(FIRST)) == (0, 0), run.said
    assert fleet.placed(FIRST) == before


def test_a_dry_one_names_the_keys_and_changes_nothing(fleet: Fleet) -> None:
    before, old = fleet.placed(FIRST), fleet.keys[FIRST]["openai"]
    new = fleet.renew(FIRST, "openai")["openai"]
    run = fleet.play("rotate_keys", "--check", "--diff")
    fleet.put(FIRST, {"openai": old})
    assert (run.code, run.changed(FIRST)) == (0, 1), run.said
    assert f"openai: would be rotated ({fingerprint(old)} -> {fingerprint(new)})" in run.said
    assert fleet.placed(FIRST) == before


# As the page writes them: text, and no list.
PARTS = {
    "providers": options("rotate_keys", "llm_proxy_rotate"),
    "one of several keys": ["-e", span("keys", "llm_proxy_rotate=").replace("openai.team", "house.main")],
}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_rotated_and_the_rest_stays(fleet: Fleet, part: str) -> None:
    named = PARTS[part][-1].partition("=")[2].split(",")
    old = dict(fleet.keys[FIRST])
    new = fleet.renew(FIRST, *named, "gemini")
    run = fleet.play("rotate_keys", *PARTS[part])
    fleet.put(FIRST, {"gemini": old["gemini"]})
    assert run.code == 0, run.said[-2000:]
    assert {name: key for name, (key, _) in fleet.placed(FIRST).items()} == {**old, **{name: new[name] for name in named}}


def test_a_key_is_put_in_place_untried_if_that_is_said(fleet: Fleet) -> None:
    new = fleet.renew(FIRST, "gemini")["gemini"]
    fleet.internet.change(gemini={"down": 503})
    run = fleet.play("rotate_keys", "-e", "llm_proxy_rotate=gemini", *span("keys", "-e llm_proxy_rotate_force").split())
    assert run.code == 0, run.said[-2000:]
    assert fleet.placed(FIRST)["gemini"][0] == new


def test_the_proxys_own_key_is_renewed_alone_and_without_a_restart(fleet: Fleet) -> None:
    secrets = "cd $0 && sha256sum llm-proxy/secrets/master_key backend/secrets/password"
    running, before = fleet.containers(FIRST), fleet.server.output("sh", "-c", secrets, STACKS[FIRST][1]).splitlines()
    run = fleet.play("rotate_secrets", *options("rotate_secrets", "stack_rotate_secrets"))
    assert run.code == 0, run.said[-2000:]
    after = fleet.server.output("sh", "-c", secrets, STACKS[FIRST][1]).splitlines()
    assert [old == new for old, new in zip(before, after, strict=True)] == [False, True]
    assert fleet.containers(FIRST) == running


REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "a key that the provider turns down": ({}, 401, "does not accept the new key of gemini (401). Nothing was changed."),
    "a provider that is down": ({"down": "close"}, 200, "could not be tried"),
    "a provider that fails": ({"down": 503}, 200, "answered 503. Nothing was changed."),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_new_key_that_does_not_work_is_not_put_in_place(fleet: Fleet, case: str) -> None:
    wish, status, said = REFUSED[case]
    before, old = fleet.placed(FIRST), fleet.keys[FIRST]["gemini"]
    new = fleet.renew(FIRST, "gemini")["gemini"]
    fleet.internet.change(gemini={**wish, "refuse": {new: status}})
    run = fleet.play("rotate_keys", llm_proxy_rotate=["gemini"])
    fleet.put(FIRST, {"gemini": old})
    assert run.code == 2
    assert said in run.said
    assert fleet.placed(FIRST) == before


WRONG: dict[str, tuple[dict[str, Any], dict[str, str], str]] = {
    "openia": ({"llm_proxy_rotate": ["openia"]}, {}, "There is no key openia. Use anthropic, gemini, house.main, house.spare, openai"),
    "placeholder": ({}, {"openai": "CHANGE_ME"}, "llm_proxy_keys: the key for openai is still a placeholder"),
    "another vendor's": ({}, {"openai": "sk-ant-api03-wrong"}, "llm_proxy_keys: the key for openai looks like one of anthropic's"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_a_rotation_is_one_clear_error(fleet: Fleet, case: str) -> None:
    variables, keys, said = WRONG[case]
    before, old = fleet.placed(FIRST), fleet.keys[FIRST]
    fleet.put(FIRST, keys)
    run = fleet.play("rotate_keys", **variables)
    fleet.put(FIRST, old)
    assert run.code == 2
    assert said in run.said
    assert fleet.placed(FIRST) == before


def test_a_fleet_stops_at_the_first_failure(fleet: Fleet) -> None:
    before = fleet.placed(FIRST), fleet.placed(SECOND)
    old = fleet.keys[FIRST]["openai"], fleet.keys[SECOND]["openai"]
    refused = fleet.renew(FIRST, "openai")["openai"]
    good = fleet.renew(SECOND, "openai")["openai"]
    fleet.internet.change(openai={"refuse": {refused: 401}})
    run = fleet.play("rotate_keys", hosts=(FIRST, SECOND))
    fleet.put(FIRST, {"openai": old[0]})
    assert run.code == 2
    assert "does not accept the new key of openai (401)" in run.said
    assert (fleet.placed(FIRST), fleet.placed(SECOND)) == before
    assert fingerprint(good) not in fleet.uses("openai")
    # Once the reason is gone, the same command goes on to the end.
    run = fleet.play("rotate_keys", hosts=(FIRST, SECOND))
    assert run.code == 0, run.said
    assert fleet.placed(SECOND)["openai"][0] == good


def test_one_machine_under_two_names_keeps_its_keys(fleet: Fleet) -> None:
    before = fleet.placed(FIRST)
    fleet.put(ALIAS, {**fleet.keys[FIRST], "openai": fleet.internet.fresh("openai")[0]})
    run = fleet.play("rotate_keys", hosts=(ALIAS,))
    assert run.code == 2
    assert f"{ALIAS} is the same machine as the inventory's host {FIRST}" in run.said
    assert fleet.placed(FIRST) == before


@pytest.fixture
def load(fleet: Fleet) -> Iterator[Load]:
    """A little load on the first host."""
    load = Load(fleet.server, fleet.internet, streams=4, rate=4)
    load.start()
    yield load
    load.stop()


# A 401 makes a key rest for a minute, so it comes last.
@pytest.mark.parametrize("status", [429, 401])
def test_a_provider_that_turns_a_key_down_is_asked_with_the_other(fleet: Fleet, load: Load, status: int) -> None:
    main, spare = (fingerprint(fleet.keys[FIRST][f"house.{name}"]) for name in ("main", "spare"))
    spared = fleet.uses("house").get(spare, {"requests": 0})["requests"]
    fleet.internet.change(house={"refuse": {fleet.keys[FIRST]["house.main"]: [status, 1]}})
    wait_for(lambda: fleet.uses("house").get(spare, {"requests": 0})["requests"] > spared + 20)
    assert str(status) in fleet.uses("house")[main]["statuses"]
    fleet.internet.change(house={"refuse": {fleet.keys[FIRST]["house.main"]: 200}})
    assert load.stop().failed == []


def test_a_revoked_key_is_not_used_and_the_others_are(fleet: Fleet, load: Load) -> None:
    as_documented = options("revoke_keys", "llm_proxy_revoke")
    name = as_documented[-1].partition("=")[2]
    key = fleet.keys[FIRST][name]
    others = fleet.containers(FIRST)
    run = fleet.play("revoke_keys", *as_documented)
    assert run.code == 0, run.said
    [event] = [one for one in fleet.records(FIRST)["history"] if one["event"] == "revoked" and one["before"] == fingerprint(key)]
    gone = float(fleet.server.output("stat", "--format", "%.9Z", f"{STACKS[FIRST][1]}/llm-proxy/keys"))
    assert fleet.uses(name)[fingerprint(key)]["last"] < (gone + SOON if FULL else run.end)
    assert event["key"] == name
    failed = load.stop().failed
    assert [one for one in failed if not one.startswith(name)] == []
    assert [one for one in failed if "503" in one] != []
    assert fleet.containers(FIRST) == others
    # It is not put back, not even on request; another one is.
    again = fleet.play("rotate_keys", llm_proxy_rotate=[name])
    assert again.code == 2
    assert "was revoked on this host" in again.said
    fleet.renew(FIRST, name)
    assert fleet.play("rotate_keys", llm_proxy_rotate=[name]).code == 0


def test_a_killed_rotation_leaves_nothing_and_the_next_one_ends_it(fleet: Fleet) -> None:
    new = fleet.renew(FIRST, "openai")["openai"]
    before = fleet.placed(FIRST)["openai"][1]
    command = fleet.command("rotate_keys")
    process = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0)
    wait_for(lambda: fleet.placed(FIRST)["openai"][1] != before)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    # Ansible's workers are in groups of their own.
    subprocess.run(["pkill", "-KILL", "-f", str(fleet.folder)], check=False)
    places = "/tmp /var/tmp /dev/shm /root/.ansible"
    for key in (new, *fleet.keys[FIRST].values()):
        words = ["grep", "--recursive", "--text", "--no-messages", "--files-with-matches", "--fixed-strings", "--regexp", key]
        assert fleet.server.run(*words, *places.split()).stdout == ""
        ours = [os.path.expanduser("~/.ansible"), str(fleet.folder)]
        assert subprocess.run([*words, *ours], capture_output=True, text=True, check=False).stdout == ""
    wait_for(lambda: fleet.server.run("pgrep", "-f", "import types").returncode != 0)
    run = fleet.play("rotate_keys")
    assert run.code == 0, run.said
    assert fleet.placed(FIRST)["openai"][0] == new
    assert [name for name in fleet.server.output("ls", "-A", f"{STACKS[FIRST][1]}/llm-proxy/keys").split() if name.startswith(".")] == []


def test_whoever_uses_the_decoy_is_noticed(fleet: Fleet) -> None:
    use = """. /home/opencode/.config/openai/credentials
      curl --silent --output /dev/null --header "Authorization: Bearer $OPENAI_API_KEY" http://llm-proxy:4000/v1/models"""
    fleet.server.run("docker", "exec", "ocweb-backend-1", "bash", "-c", use)
    log = f"{STACKS[FIRST][1]}/llm-proxy/state/events.jsonl"
    wait_for(lambda: '"canary"' in fleet.server.run("cat", log).stdout)
    event = json.loads(fleet.server.output("tail", "-1", log))
    assert (event["event"], event["where"]) == ("canary", "llm-proxy")


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Come back as soon as something is so.

    Raises:
        TimeoutError: it was not so in time.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.05)
