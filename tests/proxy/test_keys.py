"""Keys that rotate, stand in for each other and are proved, with the real LiteLLM. See `run`."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from served import BEARER, MASTER_KEY, Client, Provider, Proxy, Reply, says

OLD, NEW, SPARE = "sk-old-0123456789abcdef", "sk-new-0123456789abcdef", "sk-spare-0123456789abcdef"


@pytest.fixture
def ring(proxy: Proxy) -> Iterator[Proxy]:
    """The proxy without keys, and nothing kept in mind of any."""
    for file in proxy.keys.iterdir():
        file.unlink()
    proxy.gate.held.ring._resting.clear()
    proxy.gate.held.ring.usage.keys.clear()
    yield proxy
    for file in proxy.keys.iterdir():
        file.unlink()


def put(proxy: Proxy, **keys: str) -> None:
    for name, key in keys.items():
        (proxy.keys / name.replace("__", ".")).write_text(key, encoding="ascii")


def turns_down(*keys: str, status: int = 401) -> Reply:
    """A provider that does not want some keys."""
    welcome = says(lambda key: f"thanks for {key[:6]}")

    def reply(key: str, request: dict[str, Any]) -> tuple[int, str, str]:
        if key in keys:
            return status, "application/json", json.dumps({"error": {"message": "no", "type": "x", "code": "y"}})
        return welcome(key, request)

    return reply


def asked_with(provider: Provider, since: int = 0) -> list[str]:
    """The keys that the provider was asked with, in turn."""
    return [next(key for key in (OLD, NEW, SPARE) if key in sent) for sent in provider.credentials[since:]]


@pytest.mark.parametrize("status", [401, 402, 403, 429])
@pytest.mark.parametrize("stream", [False, True])
def test_another_key_stands_in_for_one_that_is_turned_down(ring: Proxy, provider: Provider, status: int, stream: bool) -> None:
    put(ring, openai__a=OLD, openai__b=SPARE)
    (ring.folder / "keys.json").write_text('{"openai.b": 0}', encoding="ascii")
    provider.reply = turns_down(OLD, status=status)
    since = len(provider.credentials)
    answered = [ring.chat("hello", "gpt-5", stream=stream) for _ in range(2)]
    assert all(code == 200 and "thanks for sk-spa" in body for code, body in answered), answered
    # The second request did not have to find out anew.
    assert asked_with(provider, since) == [OLD, SPARE, SPARE]
    assert ring.gate.held.ring.usage.keys["openai.a"]["refused"]["status"] == status
    assert ring.gate.held.ring.usage.keys["openai.b"]["refused"] is None


@pytest.mark.parametrize("stream", [False, True])
def test_a_limited_key_rests_as_long_as_the_provider_says_and_the_caller_is_told(ring: Proxy, provider: Provider, stream: bool) -> None:
    put(ring, openai=OLD)
    provider.reply, provider.headers = turns_down(OLD, status=429), {"retry-after": "77"}
    before = time.monotonic()
    assert ring.chat("hello", "gpt-5", stream=stream)[0] == 429
    assert ring.headers["retry-after"] == "77"
    [until] = ring.gate.held.ring._resting.values()
    assert before + 77 <= until <= time.monotonic() + 77


def test_a_provider_that_puts_the_key_into_headers_hands_it_to_nobody(ring: Proxy, provider: Provider) -> None:
    put(ring, openai=OLD)
    provider.headers = dict.fromkeys(("retry-after", "retry-after-ms", "cache-control"), OLD)
    for status in (200, 429, 503):
        provider.reply = turns_down(OLD, status=status) if status > 200 else says(lambda _: "hi")
        assert ring.chat("hello", "gpt-5")[0] == status
        assert "retry-after" not in ring.headers
        assert OLD not in str(ring.headers)


def test_where_every_key_is_turned_down_each_is_tried_once_and_the_error_is_told(ring: Proxy, provider: Provider) -> None:
    put(ring, openai__a=OLD, openai__b=SPARE)
    provider.reply = turns_down(OLD, SPARE)
    since = len(provider.credentials)
    status, body = ring.chat("hello", "gpt-5")
    assert (status, json.loads(body)["error"]["type"]) == (401, "authentication_error")
    assert sorted(asked_with(provider, since)) == sorted([OLD, SPARE])


def test_a_request_whose_key_was_replaced_and_shut_off_meanwhile_gets_the_new_one(ring: Proxy, provider: Provider) -> None:
    put(ring, openai=OLD)
    welcome = says(lambda key: key[:6])

    def reply(key: str, request: dict[str, Any]) -> tuple[int, str, str]:
        ring.rotate(NEW)
        return turns_down(OLD)(key, request) if key == OLD else welcome(key, request)

    provider.reply = reply
    since = len(provider.credentials)
    assert ring.chat("hello", "gpt-5")[0] == 200
    assert asked_with(provider, since) == [OLD, NEW]


def test_no_request_fails_and_no_old_key_is_used_while_keys_rotate(ring: Proxy, provider: Provider) -> None:
    put(ring, openai=OLD)
    done = threading.Event()

    def load(number: int) -> list[int]:
        statuses = []
        while not done.is_set():
            statuses.append(Client(ring.port).chat("hello", "gpt-5", stream=bool(number % 2))[0])
        return statuses

    with ThreadPoolExecutor(6) as pool:
        workers = [pool.submit(load, number) for number in range(6)]
        for key in [NEW, OLD] * 4 + [NEW]:
            ring.rotate(key)
            since = len(provider.credentials)
            end = time.monotonic() + 60
            while key not in "".join(provider.credentials[since:]):
                assert time.monotonic() < end, f"{key} is not used"
                time.sleep(0.001)
        done.set()
        statuses = [status for worker in workers for status in worker.result()]
    assert len(statuses) > 9
    assert set(statuses) == {200}


def test_a_key_that_is_taken_away_is_used_no_more_and_other_models_go_on(ring: Proxy, provider: Provider) -> None:
    put(ring, openai=OLD)
    assert ring.chat("hello", "gpt-5")[0] == 200
    (ring.keys / "openai").unlink()
    since = len(provider.credentials)
    assert ring.chat("hello", "gpt-5")[0] == 503
    assert ring.chat("hello", "demo")[0] == 200
    assert provider.credentials[since:] == []


def proof(proxy: Proxy, key: str) -> tuple[int, dict[str, Any]]:
    status, body = proxy.call("POST", f"/ocweb/proof?key={key}", None, BEARER)
    return status, json.loads(body)


def test_a_key_is_proved_by_a_question_to_its_provider_with_it_alone(ring: Proxy, provider: Provider) -> None:
    put(ring, openai__a=OLD, openai__b=NEW)
    provider.reply = turns_down(OLD)
    since = len(provider.credentials)
    status, found = proof(ring, "openai.b")
    assert (status, found["status"], found["model"]) == (200, 200, "gpt-5")
    assert found["fingerprint"] == ring.gate.held.ring.usage.keys["openai.b"]["fingerprint"]
    status, found = proof(ring, "openai.a")
    assert (status, found["status"]) == (200, 401)
    assert found["message"]
    assert asked_with(provider, since) == [NEW, OLD]
    for unknown in ("openai", "openai.c", "demo", "", "../x"):
        assert proof(ring, unknown)[0] == 404


def test_what_is_known_of_the_keys_is_told_to_the_admin_alone(ring: Proxy) -> None:
    put(ring, openai=OLD)
    ring.chat("hello", "gpt-5")
    status, body = ring.call("GET", "/ocweb/keys", None, BEARER)
    assert status == 200
    assert json.loads(body)["openai"]["last_success"]
    assert OLD not in body
    for headers in (None, {"authorization": "Bearer wrong"}):
        assert ring.call("GET", "/ocweb/keys", None, headers)[0] == 401
        assert ring.call("POST", "/ocweb/proof?key=openai", None, headers)[0] == 401


def test_the_master_key_is_replaced_without_a_restart(ring: Proxy) -> None:
    file, other = ring.folder / "secrets/master_key", "sk-" + "n" * 40
    try:
        file.write_text(other, encoding="ascii")
        for path in ("/ocweb/keys", "/v1/models", "/model/info"):
            assert ring.call("GET", path, None, {"authorization": f"Bearer {other}"})[0] == 200
            assert ring.call("GET", path, None, BEARER)[0] == 401
    finally:
        file.write_text(MASTER_KEY, encoding="ascii")
    assert ring.call("GET", "/model/info", None, BEARER)[0] == 200
