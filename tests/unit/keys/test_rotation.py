"""Keys on a host: placed, rotated and revoked, and never lost. The proxy and its providers are played by a `docker` on the PATH."""

import contextlib
import fcntl
import json
import os
import re
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import rotation
import secret_file
import sweep
from key_files import KeyFiles, Records, fingerprint

OLD, NEW, OTHER = "sk-old-0123456789", "sk-new-0123456789", "sk-other-0123456789"
CONFIG = "model_list:\n  - model_info:\n      provider: openai\n  - model_info:\n      provider: gemini\n"
# Plays `docker`: notes what it is asked, and answers as the file `plan` says: {key or file: status}, {} is 200 for all.
DOCKER = """#!/usr/bin/env python3
import hashlib, json, pathlib, sys
folder = pathlib.Path(__file__).parent
plan = json.loads((folder / "plan").read_text())
given = "" if sys.stdin.isatty() else sys.stdin.read()
with open(folder / "asked", "a") as asked:
    asked.write(" ".join(sys.argv[1:]) + "\\n")
if sys.argv[1:2] == ["ps"]:
    print("" if plan.get("stopped") or "--all" in sys.argv else "c0ffee")
elif "try" in sys.argv:
    print(json.dumps({"status": plan.get(json.loads(given)["key"], 200)}))
elif "prove" in sys.argv:
    name = sys.argv[-1]
    key = hashlib.sha256(b"ocweb key " + pathlib.Path(plan["keys"], name).read_bytes()).hexdigest()[:12]
    print(json.dumps({"status": plan.get("prove " + name, 200), "fingerprint": key}))
elif sys.argv[1:2] == ["info"]:
    print(folder)
"""


class Host:
    """A stack's folder, and a docker that answers as it is told."""

    def __init__(self, folder: Path) -> None:
        self.stack = folder / "ocweb"
        self.proxy = self.stack / "llm-proxy"
        (self.proxy / "config").mkdir(parents=True)
        (self.proxy / "keys").mkdir(mode=0o700)
        (self.proxy / "config/config.yaml").write_text(CONFIG, encoding="utf-8")
        self.bin = folder / "bin"
        self.bin.mkdir()
        (self.bin / "docker").write_text(DOCKER, encoding="utf-8")
        (self.bin / "docker").chmod(0o755)
        self.plan()

    def plan(self, **answers: Any) -> None:
        (self.bin / "plan").write_text(json.dumps({"keys": str(self.proxy / "keys"), **answers}), encoding="utf-8")

    def run(self, do: str, keys: dict[str, str], *chosen: str, **more: Any) -> dict[str, Any]:
        question = {
            **{"do": do, "check": False, "force": False, "stack_dir": str(self.stack), "project": "ocweb", "host": "one", "by": "me@here"},
            **{"keys": keys, "chosen": list(chosen) or ["all"], "weights": dict.fromkeys(keys, 1)},
            "providers": {name: {"litellm": "openai", "api_base": "https://api.example/v1"} for name in ("openai", "gemini", "house")},
        }
        answer = rotation.main({**question, **more})
        assert OLD not in json.dumps(answer)
        assert NEW not in json.dumps(answer)
        return answer

    def revoke(self, *chosen: str) -> dict[str, Any]:
        """Do both of a revocation's parts; return what was changed by the first, and what else the second said."""
        first = self.run("revoke", {}, *chosen)
        second = self.run("search", {}, *chosen)
        return {**second, "changed": first["changed"], "changes": first["changes"], "error": first["error"] or second["error"]}

    @property
    def keys(self) -> dict[str, str]:
        return {path.name: path.read_text(encoding="utf-8") for path in sorted((self.proxy / "keys").iterdir())}

    @property
    def records(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.proxy / "records/keys.json").read_text(encoding="utf-8"))
        return found

    @property
    def asked(self) -> str:
        file = self.bin / "asked"
        return file.read_text(encoding="utf-8") if file.exists() else ""


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    found = Host(tmp_path)
    monkeypatch.setenv("PATH", f"{found.bin}:{os.environ['PATH']}")
    # The places of this machine itself are not searched in a unit test.
    monkeypatch.setattr(rotation, "sweep", lambda keys, *_: [{"place": "here", "found": 0, "expected": False}] if keys else [])
    return found


def events(answer: dict[str, Any]) -> list[tuple[str, str]]:
    return [(change["key"], change["event"]) for change in answer["changes"]]


def test_a_deploy_makes_the_folder_hold_what_the_vault_holds(host: Host) -> None:
    first = host.run("place", {"openai": OLD, "gemini": OTHER})
    assert events(first) == [("gemini", "placed"), ("openai", "placed")]
    second = host.run("place", {"openai.a": NEW})
    assert events(second) == [("gemini", "removed"), ("openai", "removed"), ("openai.a", "placed")]
    assert host.keys == {"openai.a": NEW}
    state = (host.proxy / "keys/openai.a").stat()
    assert stat.S_IMODE(state.st_mode) == 0o400
    assert not host.run("place", {"openai.a": NEW})["changed"]


def test_a_deploy_gives_a_key_to_the_proxy_alone(host: Host) -> None:
    host.run("place", {"openai": OLD})
    (host.proxy / "keys/openai").chmod(0o444)
    assert events(host.run("place", {"openai": OLD}, check=True)) == [("openai", "given")]
    assert events(host.run("place", {"openai": OLD})) == [("openai", "given")]
    assert stat.S_IMODE((host.proxy / "keys/openai").stat().st_mode) == 0o400


def test_a_dry_run_says_what_would_change_and_changes_nothing(host: Host) -> None:
    host.run("place", {"openai": OLD})
    before = host.keys, host.records
    for do in ("place", "rotate"):
        answer = host.run(do, {"openai": NEW}, check=True)
        assert (answer["changed"], events(answer)) == (True, [("openai", "rotated")])
        assert answer["changes"][0]["before"] == fingerprint(OLD)
        assert answer["changes"][0]["now"] == fingerprint(NEW)
    assert events(host.run("revoke", {}, "openai", check=True)) == [("openai", "revoked")]
    assert (host.keys, host.records) == before
    assert host.asked == ""


def test_a_dry_run_of_a_first_deploy_needs_no_folder(tmp_path: Path, host: Host) -> None:
    answer = host.run("place", {"openai": OLD}, check=True, stack_dir=str(tmp_path / "none"))
    assert (events(answer), answer["error"]) == ([("openai", "placed")], "")
    assert not (tmp_path / "none").exists()


def test_a_rotation_tries_places_and_proves_and_leaves_nothing_of_the_old_key(host: Host) -> None:
    host.run("place", {"openai": OLD})
    answer = host.run("rotate", {"openai": NEW})
    assert (events(answer), answer["error"]) == ([("openai", "rotated")], "")
    assert host.keys == {"openai": NEW}
    assert [("try" in line, "prove" in line) for line in host.asked.splitlines() if " exec " in f" {line} "] == [
        (True, False),
        (False, True),
    ]
    assert NEW not in host.asked
    assert host.records["keys"]["openai"]["fingerprint"] == fingerprint(NEW)
    [placed, rotated] = host.records["history"]
    assert (placed["event"], rotated["event"], rotated["by"]) == ("placed", "rotated", "me@here")
    assert OLD not in json.dumps(host.records)
    assert answer["sweep"]
    assert not host.run("rotate", {"openai": NEW})["changed"]


def test_only_the_chosen_keys_are_rotated(host: Host) -> None:
    host.run("place", {"openai.a": OLD, "openai.b": OTHER, "gemini": "g-old-0123456789"})
    new = {"openai.a": NEW, "openai.b": "sk-b-0123456789", "gemini": "g-new-0123456789"}
    assert events(host.run("rotate", new, "openai.a")) == [("openai.a", "rotated")]
    assert events(host.run("rotate", new, "openai")) == [("openai.b", "rotated")]
    assert events(host.run("rotate", new)) == [("gemini", "rotated")]


def test_a_key_without_a_successor_goes_last(host: Host) -> None:
    host.run("place", {"openai": OLD})
    answer = host.run("rotate", {"openai.a": NEW, "openai.b": OTHER})
    assert events(answer) == [("openai", "removed"), ("openai.a", "placed"), ("openai.b", "placed")]
    assert host.keys == {"openai.a": NEW, "openai.b": OTHER}


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "does not accept the new key of openai (401). Nothing was changed."),
        (403, "does not accept the new key of openai (403)"),
        (429, "limits the new key already"),
        (500, "answered 500"),
        (0, "cannot be reached through the egress guard"),
    ],
)
def test_a_key_that_does_not_work_stops_it_before_anything_changes(host: Host, status: int, words: str) -> None:
    host.run("place", {"openai": OLD, "gemini": "g-old-0123456789"})
    before = host.keys, host.records
    host.plan(**{NEW: status})
    answer = host.run("rotate", {"openai": NEW, "gemini": "g-new-0123456789"})
    assert words in answer["error"]
    assert (answer["changed"], host.keys, host.records) == (False, *before)


@pytest.mark.parametrize(("status", "goes_on"), [(401, False), (429, True), (0, True), (404, True)])
def test_force_is_for_where_a_provider_could_not_be_asked(host: Host, status: int, goes_on: bool) -> None:
    host.run("place", {"openai": OLD})
    host.plan(**{NEW: status, "prove openai": 0})
    answer = host.run("rotate", {"openai": NEW}, force=True)
    assert (answer["error"] == "", host.keys == {"openai": NEW}) == (goes_on, goes_on)


def test_a_provider_without_a_list_of_models_is_asked_by_the_proof(host: Host) -> None:
    host.run("place", {"openai": OLD})
    host.plan(**{NEW: 404})
    assert host.run("rotate", {"openai": NEW})["error"] == ""
    host.plan(**{OTHER: 404, "prove openai": 401})
    assert "answered 401" in host.run("rotate", {"openai": OTHER})["error"]
    assert host.keys == {"openai": NEW}


def test_where_the_proof_fails_every_key_of_the_run_comes_back(host: Host) -> None:
    host.run("place", {"openai": OLD, "gemini": "g-old-0123456789"})
    host.plan(**{"prove openai.b": 500})
    answer = host.run("rotate", {"openai": NEW, "openai.b": OTHER, "gemini": "g-new-0123456789"})
    assert "answered 500 to a request with the new key of openai.b. The old one is in place again." in answer["error"]
    assert host.keys == {"openai": OLD, "gemini": "g-old-0123456789"}
    assert host.records["keys"].keys() == {"openai", "gemini"}
    assert host.records["keys"]["openai"]["fingerprint"] == fingerprint(OLD)


def test_what_fails_on_the_way_brings_back_what_was_begun_and_takes_nothing_else(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.run("place", {"openai": OLD, "gemini": "g-old-0123456789"})
    place: Callable[[KeyFiles, str, str], None] = KeyFiles.place

    def full(files: KeyFiles, name: str, key: str) -> None:
        if name == "gemini":
            raise OSError(28, "No space left on device")
        place(files, name, key)

    monkeypatch.setattr(KeyFiles, "place", full)
    answer = host.run("rotate", {"openai": NEW, "gemini": "g-new-0123456789", "gemini.b": OTHER})
    assert "No space left" in answer["error"]
    assert host.keys == {"openai": OLD, "gemini": "g-old-0123456789"}


def test_a_run_that_was_killed_before_the_proof_is_taken_up(host: Host) -> None:
    host.run("place", {"openai": OLD})
    files = KeyFiles(host.proxy / "keys", os.getuid(), os.getgid())
    files.keep("openai")
    files.place("openai", NEW)
    (host.proxy / "keys/.openai.new").write_text("half", encoding="utf-8")
    host.plan(**{"prove openai": 500})
    assert "in place again" in host.run("rotate", {"openai": NEW})["error"]
    assert host.keys["openai"] == OLD
    files.keep("openai")
    files.place("openai", OTHER)
    host.plan()
    answer = host.run("rotate", {"openai": NEW})
    assert (events(answer), host.keys) == ([("openai", "rotated")], {"openai": NEW})


def test_a_deploy_takes_up_what_a_killed_rotation_left(host: Host) -> None:
    host.run("place", {"openai": OLD})
    files = KeyFiles(host.proxy / "keys", os.getuid(), os.getgid())
    files.keep("openai")
    files.place("openai", NEW)
    assert host.run("place", {"openai": NEW})["changed"]
    assert host.keys == {"openai": NEW}


def test_a_revoked_key_is_gone_at_once_and_for_ever(host: Host) -> None:
    host.run("place", {"openai.a": OLD, "openai.b": OTHER, "gemini": "g-0123456789"})
    host.plan(stopped=True)
    answer = host.revoke("openai.a")
    assert (events(answer), sorted(host.keys)) == ([("openai.a", "revoked")], ["gemini", "openai.b"])
    assert host.records["revoked"][fingerprint(OLD)]["key"] == "openai.a"
    host.plan()
    answer = host.run("rotate", {"openai.a": OLD, "openai.b": OTHER, "gemini": "g-0123456789"})
    assert "The new key of openai.a was revoked on this host on 20" in answer["error"]
    assert "openai.a" not in host.keys
    answer = host.run("rotate", {"openai.a": NEW, "openai.b": OTHER, "gemini": "g-0123456789"})
    assert events(answer) == [("openai.a", "placed")]
    assert events(host.revoke("all")) == [("gemini", "revoked"), ("openai.a", "revoked"), ("openai.b", "revoked")]


@pytest.mark.parametrize(
    ("keys", "chosen", "words"),
    [
        ({"openai": NEW}, "cohere", "There is no key cohere. Use openai, or all."),
        ({"openai": NEW}, "openai.x", "There is no key openai.x"),
        ({"openai": NEW, "house": "h-0123456789"}, "house", "no model of house yet. Deploy first"),
    ],
)
def test_what_cannot_be_rotated_is_said_before_anything_changes(host: Host, keys: dict[str, str], chosen: str, words: str) -> None:
    host.run("place", {"openai": OLD})
    for check in (False, True):
        answer = host.run("rotate", keys, chosen, check=check)
        assert words in answer["error"]
    assert host.keys == {"openai": OLD}


def test_a_stack_that_is_not_there_or_does_not_run_is_said(tmp_path: Path, host: Host) -> None:
    for do in ("rotate", "revoke"):
        assert "There is no stack in" in host.run(do, {"openai": NEW}, stack_dir=str(tmp_path / "none"))["error"]
    host.run("place", {"openai": OLD})
    host.plan(stopped=True)
    assert "does not run on this host" in host.run("rotate", {"openai": NEW})["error"]


def test_one_machine_with_two_names_and_two_keys_is_refused(host: Host) -> None:
    host.run("place", {"openai": OLD})
    answer = host.run("rotate", {"openai": NEW}, host="two")
    assert "two is the same machine as the inventory's host one" in answer["error"]
    assert host.keys == {"openai": OLD}
    assert not host.run("rotate", {"openai": OLD}, host="two")["error"]
    assert host.run("rotate", {"openai": NEW}, host="two", force=True)["changed"]


def test_two_runs_at_once_are_refused(host: Host) -> None:
    host.run("place", {"openai": OLD})
    with open(host.proxy / "records/lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "Another run is changing the keys" in host.run("rotate", {"openai": NEW})["error"]
    assert host.keys == {"openai": OLD}


def test_a_key_that_is_found_somewhere_fails_the_run_unless_the_proxy_remembers_it(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.run("place", {"openai": OLD})
    places = [{"place": "llm-proxy: memory", "found": 3, "expected": True}, {"place": "logs", "found": 1, "expected": False}]
    monkeypatch.setattr(rotation, "sweep", lambda *_: places)
    answer = host.run("rotate", {"openai": NEW})
    assert answer["error"] == "The old key is still to be found: logs."
    assert answer["changed"]


def test_the_records_of_a_stack_that_had_none_begin_with_the_next_deploy(host: Host) -> None:
    (host.proxy / "keys/openai").write_text(OLD, encoding="utf-8")
    (host.proxy / "keys/openai").chmod(0o400)
    assert not host.run("place", {"openai": OLD})["changed"]
    assert host.records["keys"]["openai"]["fingerprint"] == fingerprint(OLD)


def test_the_history_does_not_grow_for_ever(tmp_path: Path) -> None:
    records = Records(tmp_path / "records/keys.json", "me", "one")
    for number in range(300):
        records.note("openai", "rotated", f"{number}", f"{number - 1}")
    found = json.loads((tmp_path / "records/keys.json").read_text(encoding="utf-8"))
    assert len(found["history"]) == 200
    assert found["history"][-1]["fingerprint"] == "299"
    assert stat.S_IMODE((tmp_path / "records/keys.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "records").stat().st_mode) == 0o700


def test_a_deploy_that_began_before_a_revocation_does_not_undo_it(host: Host) -> None:
    host.run("place", {"openai": OLD, "gemini": OTHER})
    host.revoke("openai")
    for check in (True, False):
        assert "openai was revoked on this host" in host.run("place", {"openai": OLD, "gemini": OTHER}, check=check)["error"]
    assert host.keys == {"gemini": OTHER}


def test_a_revocation_waits_for_nobody_and_is_not_undone_by_a_rotation_under_way(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.run("place", {"openai": OLD, "gemini": OTHER})
    files = KeyFiles(host.proxy / "keys", os.getuid(), os.getgid())
    lock = (host.proxy / "records/lock").open("w", encoding="ascii")
    fcntl.flock(lock, fcntl.LOCK_EX)
    revocation = threading.Thread(target=host.revoke, args=("openai",))
    # Only the main thread may set what signals do.
    monkeypatch.setattr("signal.signal", lambda *_: None)
    revocation.start()
    until = time.monotonic() + 10
    while (host.proxy / "keys/openai").exists() and time.monotonic() < until:
        time.sleep(0.01)
    assert host.keys == {"gemini": OTHER}
    # What a rotation does whose proof has failed; and it notes something else.
    files.place("openai", OLD)
    Records(host.proxy / "records/keys.json", "me", "one").note("gemini", "rotated", "c0ffee", "")
    lock.close()
    revocation.join(10)
    assert host.keys == {"gemini": OTHER}
    assert fingerprint(OLD) in host.records["revoked"]
    assert host.records["keys"]["gemini"]["fingerprint"] == "c0ffee"


def test_a_revocation_of_what_is_gone_already_or_was_never_here_changes_nothing(host: Host) -> None:
    host.run("place", {"openai": OLD})
    assert host.revoke("openai")["changed"]
    for word in ("openai", "gemini", "openai.spare"):
        answer = host.revoke(word)
        assert (answer["changed"], answer["error"]) == (False, "")
    assert "There is no key opnai" in host.revoke("opnai")["error"]


def test_a_revocation_in_the_middle_of_a_rotation_is_of_both_keys(host: Host) -> None:
    host.run("place", {"openai": OLD})
    files = KeyFiles(host.proxy / "keys", os.getuid(), os.getgid())
    files.keep("openai")
    files.place("openai", NEW)
    host.revoke("openai")
    assert host.records["revoked"].keys() == {fingerprint(OLD), fingerprint(NEW)}
    assert host.keys == {}


def test_records_that_cannot_be_read_stop_what_could_bring_a_key_back_but_no_revocation(host: Host) -> None:
    host.run("place", {"openai": OLD})
    for text in ("half a li", "[]", '{"keys": {}}'):
        (host.proxy / "records/keys.json").write_text(text, encoding="utf-8")
        for do in ("place", "rotate"):
            assert "keys.json is damaged" in host.run(do, {"openai": NEW})["error"]
    assert host.keys == {"openai": OLD}
    assert "keys.json is damaged" in host.revoke("openai")["error"]
    assert host.keys == {}


def test_a_key_that_came_back_is_as_old_as_it_was(host: Host) -> None:
    host.run("place", {"openai": OLD})
    records = host.records
    records["keys"]["openai"] |= {"since": "2026-01-01T00:00:00Z", "by": "someone"}
    (host.proxy / "records/keys.json").write_text(json.dumps(records), encoding="utf-8")
    host.plan(**{"prove openai": 500})
    assert host.run("rotate", {"openai": NEW})["error"]
    (host.proxy / "keys/openai").chmod(0o444)
    assert events(host.run("place", {"openai": OLD})) == [("openai", "given")]
    assert host.records["keys"]["openai"] == records["keys"]["openai"]


def test_a_run_that_was_killed_once_all_was_proved_is_written_down_by_the_next(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.run("place", {"openai": OLD})

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Records, "note", killed)
        with pytest.raises(KeyboardInterrupt):
            host.run("rotate", {"openai": NEW})
    answer = host.run("rotate", {"openai": NEW})
    assert (events(answer), bool(answer["sweep"])) == ([("openai", "rotated")], True)
    assert host.records["keys"]["openai"]["fingerprint"] == fingerprint(NEW)


def test_a_new_spare_key_is_a_spare_from_the_beginning(host: Host) -> None:
    host.run("place", {"openai.a": OLD})
    weights = host.proxy / "config/keys.json"
    weights.write_text('{"openai.a": 1}\n', encoding="utf-8")
    host.plan(**{"prove openai.b": 500})
    new = {"openai.a": OLD, "openai.b": OTHER}
    assert host.run("rotate", new, weights={"openai.a": 3, "openai.b": 0})["error"]
    assert json.loads(weights.read_text(encoding="utf-8")) == {"openai.a": 1}
    host.plan()
    assert not host.run("rotate", new, weights={"openai.a": 3, "openai.b": 0})["error"]
    assert weights.read_text(encoding="utf-8") == '{"openai.a": 3, "openai.b": 0}\n'
    assert stat.S_IMODE(weights.stat().st_mode) == 0o644


def test_an_engine_that_may_not_be_asked_is_not_taken_for_a_proxy_that_does_not_run(host: Host) -> None:
    host.run("place", {"openai": OLD})
    (host.bin / "docker").write_text("#!/bin/sh\necho permission denied on the socket >&2\nexit 1\n", encoding="utf-8")
    error = host.run("rotate", {"openai": NEW})["error"]
    assert error == "The engine on this host cannot be asked for the proxy: permission denied on the socket"


def test_what_nobody_thought_of_is_an_error_without_the_words_of_it(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def odd(*_: object) -> None:
        raise RuntimeError(NEW)

    host.run("place", {"openai": OLD})
    monkeypatch.setattr(rotation, "sweep", odd)
    answer = host.run("rotate", {"openai": NEW})
    assert answer["changed"]
    assert answer["error"].startswith(
        "The old key was not looked for. This is a mistake in ocweb.stack, or something odd on this host: RuntimeError"
    )
    monkeypatch.setattr(KeyFiles, "keep", odd)
    assert "RuntimeError in " in host.run("rotate", {"openai": OTHER})["error"]


def test_other_files_beside_the_keys_are_no_keys(host: Host) -> None:
    host.run("place", {"openai": OLD})
    for name in (".nfs01", ".new", ".gitkeep"):
        (host.proxy / "keys" / name).write_text("", encoding="utf-8")
    assert not host.run("rotate", {"openai": OLD})["changed"]


def test_the_program_finds_each_of_its_modules_in_what_is_sent(host: Host) -> None:
    """As roles/llm_proxy/vars has them, in their order, where nothing else of the project is."""
    roles = Path(__file__).parents[3] / "roles"
    known = yaml.safe_load((roles / "llm_proxy/vars/main.yml").read_text(encoding="utf-8"))["__llm_proxy_key_modules"]
    files = {name: re.findall(r"'([\w/]+[.]py)'", lookup) for name, lookup in known.items()}
    paths = {name: roles / "llm_proxy/files" / own[0] if own else roles / f"stack/files/host/{name}.py" for name, own in files.items()}
    question = {"do": "revoke", "check": True, "stack_dir": str(host.stack), "keys": {}, "providers": {}, "chosen": ["all"]}
    given = {"modules": {name: path.read_text(encoding="utf-8") for name, path in paths.items()}, "question": question}
    runner = (roles / "stack/files/host/run.py").read_text(encoding="utf-8")
    done = subprocess.run([sys.executable, "-I", "-c", runner], input=json.dumps(given), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["error"] == ""


def full_disk(monkeypatch: pytest.MonkeyPatch, *names: str) -> Callable[[], None]:
    """Let nothing be written to files that are called so, until what is returned is called."""
    write = secret_file.write

    def full(path: Path, *given: Any) -> None:
        if path.name.startswith(names):
            raise OSError(28, "No space left on device", str(path))
        write(path, *given)

    monkeypatch.setattr(secret_file, "write", full)
    return lambda: monkeypatch.setattr(secret_file, "write", write)


def of_the_key(folder: Path, key: str = OLD) -> list[str]:
    """Return the files below a folder that hold a key."""
    return [
        str(path.relative_to(folder)) for path in sorted(folder.rglob("*")) if path.is_file() and key in path.read_text("utf-8", "replace")
    ]


# How a revocation may be interrupted, and what mends it.
INTERRUPTED = ["the disk is full", "it is killed", "the records are damaged"]


@pytest.fixture
def interrupted(request: pytest.FixtureRequest, host: Host, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A host on which a revocation was interrupted, and the reason is gone."""
    host.run("place", {"openai": OLD, "gemini": OTHER})
    answer = host.run("revoke", {}, "openai")
    assert (events(answer), answer["error"]) == ([("openai", "revoked")], "")
    if request.param == "the disk is full":
        room = full_disk(monkeypatch, "keys.json")
        answer = host.run("search", {}, "openai")
        room()
        assert "openai: used no more on this host, and not put in place again" in answer["error"]
        assert "No space left on device" in answer["error"] and "revoke once more" in answer["error"]
        assert answer["sweep"] == []
    if request.param == "the records are damaged":
        (host.proxy / "records/keys.json").write_text("half a li", encoding="utf-8")
        assert "keys.json is damaged" in host.run("search", {}, "openai")["error"]
        (host.proxy / "records/keys.json").unlink()
    assert host.keys == {"gemini": OTHER}
    return host


@pytest.mark.parametrize("interrupted", INTERRUPTED, indirect=True)
def test_a_revocation_that_was_interrupted_is_ended_by_the_next(interrupted: Host) -> None:
    host = interrupted
    answer = host.revoke("openai")
    assert (answer["error"], answer["sweep"] != []) == ("", True)
    assert host.records["revoked"][fingerprint(OLD)]["by"] == "me@here"
    assert of_the_key(host.stack) == []
    assert "was revoked on this host" in host.run("place", {"openai": OLD, "gemini": OTHER})["error"]
    assert not host.revoke("openai")["changed"]


@pytest.mark.parametrize("interrupted", INTERRUPTED, indirect=True)
def test_a_key_whose_revocation_was_interrupted_is_not_put_in_place(interrupted: Host) -> None:
    host = interrupted
    for do, check in (("place", True), ("place", False), ("rotate", False)):
        assert "The new key of openai was revoked on this host" in host.run(do, {"openai": OLD, "gemini": OTHER}, check=check)["error"]
        assert of_the_key(host.proxy / "keys") == []
    assert host.records["revoked"][fingerprint(OLD)]["by"] == "a run that had not ended"
    # Another one is, and then is what is known of the key.
    assert host.run("place", {"openai": NEW, "gemini": OTHER})["error"] == ""
    assert host.revoke("openai")["sweep"]
    assert of_the_key(host.stack) == []


def test_a_rotation_looks_for_what_a_revocation_left_too(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.run("place", {"openai": OLD})
    host.run("revoke", {}, "openai")
    looked: list[str] = []

    def look(keys: list[str], *_: object) -> list[dict[str, Any]]:
        looked.extend(keys)
        return []

    monkeypatch.setattr(rotation, "sweep", look)
    assert host.run("rotate", {"openai": NEW})["error"] == ""
    assert (looked, of_the_key(host.stack)) == ([OLD], [])
    host.run("search", {}, "openai")
    assert host.records["keys"]["openai"]["fingerprint"] == fingerprint(NEW)


def test_the_key_that_a_rotation_under_way_put_in_place_of_a_revoked_one_stays_and_is_known(host: Host) -> None:
    host.run("place", {"openai": OLD})
    host.run("revoke", {}, "openai")
    KeyFiles(host.proxy / "keys", os.getuid(), os.getgid()).place("openai", NEW)
    Records(host.proxy / "records/keys.json", "me", "one").note("openai", "rotated", fingerprint(NEW), fingerprint(OLD))
    assert host.run("search", {}, "openai")["error"] == ""
    assert host.keys == {"openai": NEW}
    assert host.records["keys"]["openai"]["fingerprint"] == fingerprint(NEW)
    assert host.records["revoked"].keys() == {fingerprint(OLD)}


@pytest.mark.parametrize("do", ["search", "place", "rotate"])
def test_what_brought_a_revoked_key_back_before_that_was_written_down_loses_it_again(host: Host, do: str) -> None:
    host.run("place", {"openai": OLD})
    host.run("revoke", {}, "openai")
    files = KeyFiles(host.proxy / "keys", os.getuid(), os.getgid())
    files.place("openai", OLD)
    files.keep("openai")
    answer = host.run(do, {} if do == "search" else {"openai": OLD})
    assert ("was revoked on this host" in answer["error"]) == (do != "search")
    assert host.keys == {}


@pytest.mark.parametrize("room", [True, False])
def test_a_key_is_taken_away_even_where_it_cannot_be_moved(host: Host, monkeypatch: pytest.MonkeyPatch, room: bool) -> None:
    host.run("place", {"openai": OLD, "gemini": OTHER})

    replace = os.replace

    def apart(source: Path, target: Path) -> None:
        if source.parent != target.parent:
            raise OSError(18, "Invalid cross-device link")
        replace(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", apart)
        if not room:
            full_disk(patched, "revoked")
        answer = host.run("revoke", {}, "all")
    assert host.keys == {}
    assert events(answer) == [("gemini", "revoked"), ("openai", "revoked")]
    assert answer["changed"]
    if room:
        assert host.revoke("all")["error"] == ""
        assert host.records["revoked"].keys() == {fingerprint(OLD), fingerprint(OTHER)}
    else:
        assert "The keys were taken away, but this host cannot keep in mind" in answer["error"]


def test_a_revocation_is_on_the_disk_before_it_goes_on(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.run("place", {"openai": OLD})
    synced: list[tuple[str, list[str]]] = []
    fsync = os.fsync

    def noted(handle: int) -> None:
        there = [path.name for path in (host.proxy / "records").iterdir() if path.name.startswith("revoked")]
        synced.append((Path(os.readlink(f"/proc/self/fd/{handle}")).name, there))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    host.run("revoke", {}, "openai")
    kept = [f"revoked.{fingerprint(OLD)}.openai"]
    assert synced == [("keys", kept), ("records", kept)]
    synced.clear()
    host.run("search", {}, "openai")
    # What was kept goes when it is in the records for good.
    assert synced[-1] == ("records", kept)
    assert of_the_key(host.stack) == []


def test_a_revocation_does_not_wait_for_ever_to_write_it_down(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.run("place", {"openai": OLD})
    monkeypatch.setattr(rotation, "MOST_SECONDS", 0.2)
    with open(host.proxy / "records/lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        answer = host.revoke("openai")
    assert (events(answer), host.keys) == ([("openai", "revoked")], {})
    assert "Another run is changing the keys" in answer["error"] and "Then revoke once more" in answer["error"]
    assert host.revoke("openai")["error"] == ""
    assert fingerprint(OLD) in host.records["revoked"]


def test_a_search_knows_who_waits_for_it(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[float] = []

    def look(_: list[str], __: str, ___: str, limit: sweep.Limit, *____: object) -> list[dict[str, Any]]:
        left.append(limit.left())
        return []

    monkeypatch.setattr(rotation, "sweep", look)
    host.run("place", {"openai": OLD})
    with open(os.devnull, "rb") as gone:
        monkeypatch.setattr(rotation, "callers", lambda: contextlib.nullcontext([gone.fileno()]))
        host.run("rotate", {"openai": NEW})
        host.revoke("openai")
    assert left == [0, 0]


@pytest.mark.parametrize("again", ["search", "rotate"])
@pytest.mark.parametrize("broken", ["it fails", "nobody waits for it", "its time is over"])
@pytest.mark.parametrize("do", ["search", "rotate"])
def test_a_search_for_what_was_revoked_is_repeated_until_one_has_ended(
    host: Host, monkeypatch: pytest.MonkeyPatch, do: str, broken: str, again: str
) -> None:
    searches: list[tuple[list[str], list[str]]] = []

    def look(keys: list[str], _: str, __: str, ___: sweep.Limit, kept: list[str]) -> list[dict[str, Any]]:
        searches.append((keys, kept))
        if broken == "it fails" and len(searches) == 1:
            raise RuntimeError
        return [{"place": "here", "found": 0, "expected": False}]

    host.run("place", {"openai": OLD, "gemini": OTHER})
    host.run("revoke", {}, "openai")
    monkeypatch.setattr(rotation, "sweep", look)
    with monkeypatch.context() as patched, open(os.devnull, "rb") as gone:
        if broken == "nobody waits for it":
            patched.setattr(rotation, "callers", lambda: contextlib.nullcontext([gone.fileno()]))
        if broken == "its time is over":
            patched.setattr(rotation, "SEARCH_SECONDS", 0)
        words = "The old key was not looked for" if broken == "it fails" else "Revoke once more"
        assert words in host.run(do, {"gemini": OTHER})["error"]
    assert fingerprint(OLD) in host.records["revoked"]
    host.run("place", {"gemini": OTHER})
    answer = host.run(again, {"gemini": OTHER})
    assert (answer["changed"], answer["error"], answer["sweep"] != []) == (False, "", True)
    assert searches == [([OLD], [str(host.proxy / f"records/revoked.{fingerprint(OLD)}.openai")])] * 2
    # Now it is over.
    assert of_the_key(host.stack) == []
    assert (host.run("search", {}, "openai")["sweep"], len(searches)) == ([], 2)
