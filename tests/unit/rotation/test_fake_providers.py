"""The fake providers know their keys, and turn others down as the real ones do."""

import json
from collections.abc import Callable
from typing import Any

import pytest

import records
from accounts import NAMES, Account, Streams, fingerprint, fresh
from providers import Answer, answer

HEADERS: dict[str, Callable[[str], dict[str, str]]] = {
    "openai": lambda key: {"authorization": f"Bearer {key}"},
    "house": lambda key: {"authorization": f"Bearer {key}"},
    "anthropic": lambda key: {"x-api-key": key, "anthropic-version": "2023-06-01"},
    "gemini": lambda key: {"x-goog-api-key": key},
}
FREE = {"openai": "/v1/models", "house": "/v1/models", "anthropic": "/v1/models", "gemini": "/v1beta/models"}


def ask(account: Account, key: str) -> tuple[int, Any]:
    """Return what comes of the call that costs nothing."""
    reply = answer("GET", FREE[account.name], HEADERS[account.name](key), b"", account)
    assert isinstance(reply, Answer)
    return reply.status, json.loads(b"".join(reply.pieces))


@pytest.mark.parametrize("name", NAMES)
def test_a_key_is_accepted_until_it_is_not(name: str) -> None:
    account, key, other = Account(name), fresh(name), fresh(name)
    assert ask(account, key)[0] == 200
    account.change({"accept": [other]})
    refused = {"gemini": 400}.get(name, 401)
    assert [ask(account, key)[0], ask(account, other)[0]] == [refused, 200]
    account.change({"accept": None, "refuse": {key: [429, 7]}})
    reply = answer("GET", FREE[name], HEADERS[name](key), b"", account)
    assert reply is not None
    assert (reply.status, reply.headers) == (429, (("retry-after", "7"),))
    account.change({"refuse": {key: 200}})
    assert ask(account, key)[0] == 200


def test_errors_are_the_vendors_own() -> None:
    keys = {name: fresh(name) for name in NAMES}
    accounts = {name: Account(name) for name in NAMES}
    for account in accounts.values():
        account.change({"accept": []})
    said = {name: ask(accounts[name], keys[name])[1] for name in NAMES}
    assert said["openai"]["error"]["code"] == "invalid_api_key"
    assert said["anthropic"]["error"] == {"type": "authentication_error", "message": "invalid x-api-key"}
    assert said["gemini"]["error"]["details"][0]["reason"] == "API_KEY_INVALID"
    assert [name for name in NAMES if keys[name] in json.dumps(said[name])] == []


def test_a_provider_that_is_down_says_nothing() -> None:
    account = Account("openai")
    account.change({"down": "close"})
    with pytest.raises(ConnectionAbortedError):
        ask(account, "key")
    account.change({"down": 503})
    assert ask(account, "key")[0] == 503


def test_uses_are_counted_by_fingerprint() -> None:
    account, key = Account("openai"), fresh("openai")
    body = json.dumps({"messages": [{"role": "user", "content": "hello"}]}).encode()
    for _ in range(3):
        answer("POST", "/v1/chat/completions", HEADERS["openai"](key), body, account)
    ask(account, key)
    [(name, use)] = account.told()["keys"].items()
    assert name == fingerprint(key)
    assert (use["requests"], use["checks"], use["statuses"]) == (3, 1, {"200": 3})
    assert use["first"] <= use["last"]


def test_the_fewest_streams_are_those_since_the_last_look() -> None:
    streams = Streams()
    with streams.one(), streams.one():
        streams.watch()
        with streams.one():
            pass
        assert streams.watch() == {"open": 2, "fewest": 2}
    assert streams.watch() == {"open": 0, "fewest": 0}


def test_records_are_kept_up_to_a_number_and_what_is_gone_is_said() -> None:
    kept = records.Records(most=3)
    for number in range(5):
        kept.add("http", ("here", 80), ("there", 1), path=f"/{number}", body=b"x")
    assert kept.count == 5
    assert [entry["path"] for entry in kept.since(3, 0)] == ["/3", "/4"]
    assert kept.since(5, 0) == []
    with pytest.raises(LookupError, match="first 2 entries"):
        kept.since(1, 0)
