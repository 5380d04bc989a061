"""Who presents the decoy is told of: in a file, in the log, and to a webhook."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

import events
from clock import Clock
from decoy import Decoy, seen_by_egress
from egress_watch import EgressWatch
from events import EventLog

DECOY = "sk-proj-decoy-0123456789"


def told(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def scope(*headers: tuple[bytes, bytes], query: bytes = b"") -> dict[str, Any]:
    return {"headers": headers, "query_string": query, "path": "/v1/models", "client": ("10.0.0.2", 1)}


@pytest.mark.parametrize(
    ("request_scope", "body", "place"),
    [
        (scope((b"authorization", f"Bearer {DECOY}".encode())), b"", "header authorization"),
        (scope((b"x-api-key", DECOY.encode())), b"", "header x-api-key"),
        (scope(query=f"key={DECOY}".encode()), b"", "query"),
        (scope(), f'{{"api_key": "{DECOY}"}}'.encode(), "body"),
    ],
)
def test_wherever_it_stands_it_is_seen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], request_scope: dict[str, Any], body: bytes, place: str
) -> None:
    Decoy(lambda: DECOY, EventLog(tmp_path / "events.jsonl", clock=Clock())).look(request_scope, body)
    [event] = told(tmp_path / "events.jsonl")
    assert event == {
        "time": "2027-01-15T08:00:00Z",
        "event": "canary",
        "where": "llm-proxy",
        "place": place,
        "path": "/v1/models",
        "client": "10.0.0.2",
    }
    assert json.loads(capsys.readouterr().out) == event


@pytest.mark.parametrize("secret", ["", DECOY])
def test_nothing_else_is(tmp_path: Path, secret: str) -> None:
    Decoy(lambda: secret, EventLog(tmp_path / "events.jsonl")).look(scope((b"authorization", b"Bearer sk-other"), query=b"a=b"), b"{}")
    assert told(tmp_path / "events.jsonl") == []


def test_what_the_egress_guard_saw_is_told_and_what_is_no_line_of_its_log_is_not(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl", clock=Clock())
    seen_by_egress('{"who":"backend","method":"CONNECT","host":"llm.example","port":443,"more":"x"}', log)
    for line in ("half a li", "[]", "1"):
        seen_by_egress(line, log)
    [event] = told(tmp_path / "events.jsonl")
    assert (event["where"], event["who"], event["host"], event["port"]) == ("egress", "backend", "llm.example", "443")


def test_a_flood_of_the_same_is_one_event_in_ten_seconds(tmp_path: Path) -> None:
    clock = Clock()
    log = EventLog(tmp_path / "events.jsonl", clock=clock)
    for place in ("body", "body", "query"):
        log.add("canary", "llm-proxy", place=place)
    clock.now += 10
    log.add("canary", "llm-proxy", place="body")
    assert [event["place"] for event in told(tmp_path / "events.jsonl")] == ["body", "query", "body"]


def test_who_varies_what_is_seen_neither_fills_the_file_nor_has_the_webhook_called_without_end(tmp_path: Path) -> None:
    clock, posted = Clock(), []
    log = EventLog(tmp_path / "events.jsonl", lambda: posted.append(1) or "", clock=clock)  # type: ignore[func-returns-value]
    for minute in range(2):
        headers = [(f"x-{minute}-{number}-{'x' * 50_000}".encode(), DECOY.encode()) for number in range(100)]
        Decoy(lambda: DECOY, log).look(scope(*headers))
        clock.now += 60
    log.add("canary", "egress", host="still seen")
    assert len(posted) == len(told(tmp_path / "events.jsonl")) == 21
    assert (tmp_path / "events.jsonl").stat().st_size < 21 * 500


def test_a_watch_that_failed_once_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("egress_watch.SECONDS", 0.01)
    looks, again = [], threading.Event()

    def look(_: EgressWatch) -> None:
        looks.append(1)
        if len(looks) == 1:
            raise OSError(28, "No space left on device")
        again.set()

    monkeypatch.setattr(EgressWatch, "look", look)
    EgressWatch(tmp_path / "log", tmp_path / "place", EventLog(tmp_path / "events.jsonl")).start()
    assert again.wait(10)


def test_the_file_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MAX_BYTES", 10)
    log = EventLog(tmp_path / "events.jsonl")
    for place in "abc":
        log.add("canary", "llm-proxy", place=place)
    assert [event["place"] for event in told(tmp_path / "events.jsonl") + told(tmp_path / "events.1.jsonl")] == ["c", "b"]


def test_a_folder_that_cannot_be_written_does_not_keep_the_event_from_the_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    EventLog(tmp_path / "none/events.jsonl").add("canary", "llm-proxy")
    said = capsys.readouterr()
    assert "canary" in said.out
    assert "cannot be written" in said.err


def test_a_webhook_gets_each_event(tmp_path: Path) -> None:
    got: list[bytes] = []
    done = threading.Event()

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(204)
            self.end_headers()
            done.set()

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    server = HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    EventLog(tmp_path / "events.jsonl", lambda: f"http://127.0.0.1:{server.server_port}/hook").add("canary", "egress", host="h")
    assert done.wait(10)
    server.shutdown()
    body = json.loads(got[0])
    assert (body["event"], body["host"]) == ("canary", "h")
    assert body["text"].startswith("ocweb: ")


def test_a_webhook_that_fails_is_told_without_its_address(capsys: pytest.CaptureFixture[str]) -> None:
    events._post("http://127.0.0.1:1/secret-token", '{"event": "canary"}')
    assert "did not take" in (said := capsys.readouterr().err)
    assert "secret-token" not in said


def test_the_egress_guards_list_is_followed_from_where_it_was_left(tmp_path: Path) -> None:
    log, place = tmp_path / "canary.log", tmp_path / "place"
    events_log = EventLog(tmp_path / "events.jsonl")
    watch = EgressWatch(log, place, events_log)
    watch.look()
    log.write_text('{"host":"a"}\n{"host":"b', encoding="utf-8")
    watch.look()
    assert [event["host"] for event in told(tmp_path / "events.jsonl")] == ["a"]
    log.write_text('{"host":"a"}\n{"host":"b"}\n', encoding="utf-8")
    EgressWatch(log, place, events_log).look()
    assert [event["host"] for event in told(tmp_path / "events.jsonl")] == ["a", "b"]
    log.write_text('{"host":"c"}\n', encoding="utf-8")
    watch.look()
    assert [event["host"] for event in told(tmp_path / "events.jsonl")] == ["a", "b", "c"]
