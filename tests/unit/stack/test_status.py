"""What the report says of a stack, by what is found on the host: nothing of a key but what was recorded of it."""

import contextlib
import datetime
import json
import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import status
from events import EventLog
from folder import Stack

StubCommand = Callable[..., None]
NOW = datetime.datetime.now(datetime.timezone.utc)


def ago(**span: float) -> str:
    return (NOW - datetime.timedelta(**span)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A stack's folder with three keys: one that works, one that is old and refused, one that was recorded and is gone."""
    proxy = tmp_path / "stack/llm-proxy"
    for name in ("keys", "records", "state"):
        (proxy / name).mkdir(parents=True)
    (proxy / "keys/openai").write_text("sk-secret", encoding="utf-8")
    (proxy / "keys/gemini.two").write_text("AI-secret", encoding="utf-8")
    recorded = {
        "openai": {"fingerprint": "aaaaaaaaaaaa", "since": ago(days=3), "by": "me"},
        "gemini.two": {"fingerprint": "bbbbbbbbbbbb", "since": ago(days=91), "by": "me"},
        "anthropic": {"fingerprint": "cccccccccccc", "since": ago(days=1), "by": "me"},
    }
    (proxy / "records/keys.json").write_text(json.dumps({"keys": recorded}), encoding="utf-8")
    used = {
        "openai": {"fingerprint": "aaaaaaaaaaaa", "last_use": ago(minutes=5), "last_success": ago(minutes=5), "refused": None},
        "gemini.two": {
            "fingerprint": "bbbbbbbbbbbb",
            "last_use": ago(hours=1),
            "last_success": None,
            "refused": {"status": 401, "at": ago(hours=1)},
        },
        "anthropic": {"fingerprint": "of another key", "last_use": ago(minutes=1), "last_success": ago(minutes=1), "refused": None},
    }
    (proxy / "state/usage.json").write_text(json.dumps(used), encoding="utf-8")
    events = [{"time": ago(hours=2), "event": "canary", "where": "llm-proxy"}, {"time": ago(hours=1), "event": "other"}]
    (proxy / "state/events.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in events) + "{ not whole", encoding="utf-8")
    (tmp_path / "stack/compose.yml").write_text("\nname: ocweb\n", encoding="utf-8")
    return tmp_path / "stack"


@pytest.fixture
def report(root: Path, stub_command: StubCommand) -> dict[str, Any]:
    """The report on that stack, whose engine does not answer."""
    stub_command('case "$*" in compose*version*) echo 2.26.1 ;; *) echo "cannot connect" >&2; exit 1 ;; esac')
    return status.report(Stack(str(root), "ocweb"), 90)


def test_keys_are_described_by_what_was_recorded(report: dict[str, Any]) -> None:
    found = {one["key"]: one for one in report["keys"]}
    assert list(found) == ["anthropic", "gemini.two", "openai"]
    assert (found["openai"]["age_days"], found["openai"]["too_old"]) == (3.0, False)
    assert found["openai"]["last_success"] == ago(minutes=5)
    assert (found["gemini.two"]["too_old"], found["gemini.two"]["refused"]["status"]) == (True, 401)
    # Whoever used it was another key.
    assert (found["anthropic"]["there"], found["anthropic"]["last_use"]) == (False, "")
    assert "secret" not in json.dumps(report) + str(status.lines(report))


def test_what_is_wrong_is_said_first(report: dict[str, Any]) -> None:
    lines = status.lines(report)
    assert lines[0] == "5 to look at:"
    assert [line.split(":")[0].split(",")[0] for line in lines[1:6]] == [
        "  ! The engine does not answer",
        "  ! The key anthropic is recorded",
        "  ! The key gemini.two is 91 days old",
        f"  ! The key gemini.two was refused by its provider (401) at {ago(hours=1)}".split(":", maxsplit=1)[0],
        "  ! The canary key was used 1 times",
    ]
    assert not report["ok"]


def test_the_decoy_is_well_again_once_its_events_were_moved_aside_as_the_document_says(
    report: dict[str, Any], root: Path, tmp_path: Path
) -> None:
    told = "someone takes keys. Once you have looked into it, move llm-proxy/state/events.jsonl in the stack's folder aside"
    assert [told in line for line in status.problems(report)][-1]
    document = (Path(__file__).parents[3] / "docs/keys.md").read_text(encoding="utf-8")
    [command] = re.findall(r"`sudo (mv [^`]*)`", document)
    subprocess.run(["sh", "-c", command.replace("/opt/ocweb", str(root)).replace("/root", str(tmp_path))], check=True)
    after = status.report(Stack(str(root), "ocweb"), 90)
    assert after["canary"] == {"count": 0, "last": None}
    assert after["problems"] == report["problems"][:-1]
    # The next one is told of again.
    EventLog(root / "llm-proxy/state/events.jsonl").add("canary", "egress")
    assert status.report(Stack(str(root), "ocweb"), 90)["canary"]["count"] == 1


def test_a_revocation_that_has_not_ended_is_told(report: dict[str, Any], root: Path) -> None:
    assert not any("revocation" in line for line in report["problems"])
    for name in ("revoked.0123456789ab.openai", "revoked.c0ffee012345.openai", "revoked.c0ffee012345.house.main"):
        (root / "llm-proxy/records" / name).write_text("sk-secret", encoding="utf-8")
    after = status.report(Stack(str(root), "ocweb"), 90)
    end = "has not ended: revoke it once more (playbooks/revoke_keys.yml)"
    assert [line for line in after["problems"] if "revocation" in line] == [
        f"The revocation of the key {name} {end}" for name in ("house.main", "openai")
    ]
    assert "secret" not in json.dumps(after)


def test_a_host_without_a_stack_is_no_error(tmp_path: Path, stub_command: StubCommand) -> None:
    stub_command("exit 127")
    said = status.answer({"stack_dir": str(tmp_path / "none"), "project": "ocweb", "key_max_age": 90})
    assert said["lines"][1] == f"  ! There is no stack in {tmp_path}/none (stack_dir)."


@pytest.mark.parametrize(
    ("seconds", "said"), [(None, "never"), (0, "0 s"), (61, "1 min 1 s"), (90061, "1 d 1 h"), (86400 * 3, "3 d"), (-5, "0 s")]
)
def test_a_span_of_time_is_said_in_two_units(seconds: float | None, said: str) -> None:
    assert status.long(seconds) == said


@pytest.mark.parametrize(("size", "said"), [(0, "0 B"), (1536, "2 KiB"), (5 * 2**30, "5.0 GiB"), (None, "not counted in 10 s")])
def test_a_size_is_said_in_a_fitting_unit(size: float | None, said: str) -> None:
    assert status.large(size) == said


class Listener:
    """A TLS server with a certificate of its own, valid for some days from some days ago."""

    def __init__(self, folder: Path, days_ago: int, days: int) -> None:
        start, end = (NOW + datetime.timedelta(days=one) for one in (-days_ago, days - days_ago))
        files = ["-keyout", str(folder / "key"), "-out", str(folder / "csr"), "-subj", "/CN=x"]
        subprocess.run(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *files], check=True)
        (folder / "conf").write_text(
            f"[ca]\ndefault_ca=c\n[c]\ndatabase={folder}/index\nserial={folder}/serial\nnew_certs_dir={folder}\n"
            "policy=p\ndefault_md=sha256\nrand_serial=yes\n[p]\nCN=supplied\n",
            encoding="utf-8",
        )
        (folder / "index").touch()
        signed = ["openssl", "ca", "-batch", "-selfsign", "-config", str(folder / "conf"), "-keyfile", str(folder / "key")]
        span = ["-startdate", f"{start:%Y%m%d%H%M%SZ}", "-enddate", f"{end:%Y%m%d%H%M%SZ}"]
        subprocess.run([*signed, *span, "-in", str(folder / "csr"), "-out", str(folder / "crt")], check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "crt", folder / "key")
        self.socket = context.wrap_socket(socket.create_server(("127.0.0.1", 0)), server_side=True)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.answer, daemon=True).start()

    def answer(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.accept()


@pytest.mark.parametrize(
    ("days_ago", "days", "words"), [(10, 90, ""), (80, 90, "expires in 9 d"), (91, 90, "has expired")], ids=["good", "soon", "over"]
)
def test_a_certificate_that_nobody_renewed_is_told(report: dict[str, Any], tmp_path: Path, days_ago: int, days: int, words: str) -> None:
    ports = [{"target": 3000, "published": str(Listener(tmp_path, days_ago, days).port), "host_ip": "0.0.0.0"}]
    shown = status.certificate({"labels": {"ocweb.url": "https://code.example.org"}, "ports": ports})
    said = [line for line in status.problems({**report, "certificate": shown}) if "certificate" in line]
    assert [words in line for line in said] == ([True] if words else [])
    assert any(line.startswith("TLS        certificate until ") for line in status.lines({**report, "certificate": shown}))


def test_without_tls_there_is_no_certificate() -> None:
    assert status.certificate({"labels": {"ocweb.url": "http://localhost:3000"}, "ports": [{"target": 3000, "published": "1"}]}) == {}


def test_what_the_agent_answers_for_its_version_takes_no_time_and_no_memory(tmp_path: Path, stub_command: Callable[..., None]) -> None:
    begun = time.monotonic()
    assert status.first_number("1" * 1_000_000) == ""
    assert status.first_number("version 1.18.33 of it") == "1.18.33"
    assert time.monotonic() - begun < 5
    stub_command("head -c 1000000 /dev/zero | tr '\\0' 1", command="curl")
    said = subprocess.run(["sh", "-c", status.ASK_OPENCODE], capture_output=True, check=True).stdout
    assert said == b"1" * 1000
