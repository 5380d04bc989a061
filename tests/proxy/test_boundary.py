"""The boundary around the real LiteLLM: what a hostile keyless caller may ask, and what it gets to see. See `run`."""

import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from served import BEARER, MASTER_KEY, Client, Provider, Proxy, Reply, chunk, event, free_port, says, write_config

from server import MAX_TOGETHER, OWN_PORT, listen_address

IMAGE = Path(__file__).parents[2] / "roles/llm_proxy/files/image"
# No pattern of a redactor's knows these.
ODD_KEY = 'odd/KEY+with"quotes\\&1234'
PLAIN_KEY = "correcthorsebatterystaple"

BASE = "http://127.0.0.1:9/v1"
STEERING: list[dict[str, Any]] = [
    *({name: BASE} for name in ("api_base", "base_url", "azure_endpoint", "server_url", "vertex_project", "aws_bedrock_runtime_endpoint")),
    *({name: "x"} for name in ("api_key", "custom_llm_provider", "prompt_id", "user", "cache", "deployment_id", "organization", "tags")),
    *({name: {"api_base": BASE}} for name in ("metadata", "litellm_metadata", "extra_body", "litellm_params", "user_config", "headers")),
    *({name: json.dumps({"api_base": BASE})} for name in ("metadata", "litellm_metadata", "extra_body", "model_info")),
    *({name: [{"model": "gpt-5", "api_base": BASE}]} for name in ("fallbacks", "context_window_fallbacks", "model_list", "guardrails")),
    {"mock_response": "x"},
    {"mock_tool_calls": []},
    {"num_retries": 100},
    {"timeout": 0.001},
    {"langfuse_host": BASE},
    {"web_search_options": {}},
    {"tools": [{"type": "mcp", "server_label": "x", "server_url": BASE}]},
    {"stream_options": {"api_base": BASE}},
    {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": BASE}}]}]},
    {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": BASE}}]}]},
]


@pytest.mark.parametrize("model", ["demo", "gpt-5"])
def test_a_field_that_steers_is_refused_and_asks_nobody(proxy: Proxy, provider: Provider, model: str) -> None:
    before = len(provider.requests)
    for fields in STEERING:
        status, body = proxy.chat("hello", model, **fields)
        error = json.loads(body)["error"]
        assert (status, error["type"]) == (400, "invalid_request_error"), fields
        assert error["param"].partition(".")[0].partition("[")[0] == next(iter(fields))
        assert error["param"] in error["message"]
    assert len(provider.requests) == before


def test_what_opencode_sends_reaches_the_provider(proxy: Proxy, provider: Provider) -> None:
    proxy.rotate(PLAIN_KEY)
    call = {"id": "call_1", "type": "function", "function": {"name": "bash", "arguments": "{}"}}
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "be good ü"},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}]},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "a.txt"},
    ]
    tools = [{"type": "function", "function": {"name": "bash", "description": "", "parameters": {"type": "object", "properties": {}}}}]
    assert proxy.chat("", "gpt-5", messages=messages, tools=tools, tool_choice="auto", max_tokens=100, reasoning_effort="low")[0] == 200
    sent = provider.requests[-1]
    assert [message["role"] for message in sent["messages"]] == ["system", "user", "assistant", "tool"]
    assert sent["messages"][0]["content"] == "be good ü"
    assert (sent["tools"], sent["reasoning_effort"]) == (tools, "low")


def test_a_model_that_is_not_there_is_a_404_that_lists_those_that_are(proxy: Proxy) -> None:
    for model in ("gpt-9", "openai/gpt-5", "demo,gpt-5"):
        status, body = proxy.chat("hello", model)
        assert (status, json.loads(body)["error"]["code"]) == (404, "model_not_found")
        assert "demo, gpt-5" in body


def failure(key: str) -> dict[str, Any]:
    return {"error": {"message": f"bad {key}", "code": 429}}


REPLIES: dict[str, Reply] = {
    "json": lambda key, _: (401, "application/json", json.dumps({"error": {"message": f"bad key {key} of {key[:12]}", "code": key}})),
    "quoted json": lambda key, _: (400, "application/json", json.dumps({"error": {"message": json.dumps({"key": key})}})),
    "another json": lambda key, _: (500, "application/json", json.dumps({"detail": {"authorization": f"Bearer {key}"}})),
    "text": lambda key, _: (503, "text/plain", f"bad key {key} at http://10.0.0.7:8000/v1"),
    "html": lambda key, _: (502, "text/html", f"<b>{key}</b>"),
    "rate limit": lambda key, _: (429, "application/json", json.dumps({"error": {"message": f"{key} is slow", "type": "tokens"}})),
    "answer": says(lambda key: f"your key is {key}"),
    "error in a stream": lambda key, _: (200, "text/event-stream", event(chunk("a")) + event(failure(key))),
    "error first in a stream": lambda key, _: (200, "text/event-stream", event(failure(key))),
    "not json in a stream": lambda key, _: (200, "text/event-stream", event(chunk("a")) + f"data: bad {key}\n\n"),
    "broken answer": lambda key, _: (200, "application/json", f"bad {key}"),
}  # fmt: skip
TELLTALE = re.compile(
    r"127\.0\.0\.1|10\.0\.0\.7|traceback|site-packages|litellm|File \"|OpenAIException|Model Group|\d\.\d+\.\d+", re.IGNORECASE
)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("key", [ODD_KEY, PLAIN_KEY])
@pytest.mark.parametrize("reply", REPLIES)
def test_a_key_that_the_provider_echoes_stays_here(proxy: Proxy, provider: Provider, reply: str, key: str, stream: bool) -> None:
    proxy.rotate(key)
    provider.reply = REPLIES[reply]
    status, body = proxy.chat("hello", "gpt-5", stream=stream)
    assert key in provider.credentials[-1], "the provider was not asked"
    assert not [part for part in (key[:10], key[5:15], key[-10:], json.dumps(key)[1:-1]) if part in body]
    assert not TELLTALE.search(body)
    if status >= 400:
        assert sorted(json.loads(body)["error"]) == ["code", "message", "param", "type"]
        assert proxy.headers["content-type"] == "application/json"
    elif stream:
        for line in filter(None, body.splitlines()):
            assert line == "data: [DONE]" or json.loads(line.removeprefix("data: "))
        assert '"error"' in body or "answer" in reply
    else:
        assert json.loads(body)


def test_the_status_and_the_words_that_opencode_looks_at_stay(proxy: Proxy, provider: Provider) -> None:
    proxy.rotate(PLAIN_KEY)
    error = {"message": "Rate limit reached, try again in 2s", "type": "tokens", "code": "rate_limit_exceeded"}
    provider.reply = lambda *_: (429, "application/json", json.dumps({"error": error}))
    for stream in (False, True):
        status, body = proxy.chat("hello", "gpt-5", stream=stream)
        assert (status, json.loads(body)["error"]["message"]) == (429, error["message"])
    message = "This model's maximum context length is 10 tokens"
    error = {"message": message, "type": "invalid_request_error", "code": "context_length_exceeded"}
    provider.reply = lambda *_: (400, "application/json", json.dumps({"error": error}))
    status, body = proxy.chat("hello", "gpt-5")
    assert (status, json.loads(body)["error"]["code"]) == (400, "context_length_exceeded")
    assert message in body


def test_an_answers_headers_reveal_nothing(proxy: Proxy) -> None:
    proxy.rotate(PLAIN_KEY)
    harmless = {"date", "content-type", "content-length", "cache-control", "transfer-encoding"}
    for stream in (False, True):
        assert proxy.chat("hello", "gpt-5", {"origin": "https://evil.example"}, stream=stream)[0] == 200
        assert set(proxy.headers) <= harmless
        assert proxy.chat("hello", "gpt-9", {"origin": "https://evil.example"})[0] == 404
        assert set(proxy.headers) <= harmless
    preflight = {
        "origin": "https://evil.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type",
    }
    assert proxy.call("OPTIONS", "/v1/chat/completions", None, preflight)[0] == 401
    assert set(proxy.headers) <= harmless


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"model":"demo","model":"demo"}', b"[" * 100_000, b'{"a":NaN}'])
def test_a_malformed_body_is_a_400(proxy: Proxy, body: bytes) -> None:
    status, answer = proxy.call("POST", "/v1/chat/completions", body)
    assert (status, json.loads(answer)["error"]["type"]) == (400, "invalid_request_error")


def test_an_oversized_body_is_a_413_whether_or_not_it_says_so(proxy: Proxy) -> None:
    size = 32 * 1024 * 1024 + 1
    assert proxy.call("POST", "/v1/chat/completions", b" " * size)[0] == 413
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=30)
    connection.request("POST", "/v1/chat/completions", iter([b" " * size]), {"content-type": "application/json"}, encode_chunked=True)
    assert connection.getresponse().status == 413
    assert proxy.chat("hello", messages=[{"role": "user", "content": "x" * (size - 1000)}])[0] == 200


def test_slow_clients_are_let_go(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connection.PatientConnection.request_seconds", 0.5)
    monkeypatch.setattr(proxy.gate.intake, "seconds", 0.5)
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as silent:
        assert silent.recv(1) == b""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as dripping, pytest.raises(OSError):
        for byte in b"GET /v1/models HTTP/1.1\r\nx: " + b"y" * 100:
            dripping.send(bytes([byte]))
            time.sleep(0.05)
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as slow:
        slow.send(head)
        assert slow.recv(12) == b"HTTP/1.1 408"
        while slow.recv(1000):
            pass
    assert proxy.chat("hello")[0] == 200


def test_an_answer_that_nobody_reads_is_let_go(proxy: Proxy, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connection.PatientConnection.read_seconds", 0.5)
    proxy.rotate(PLAIN_KEY)
    # More than the buffers on the way take; and no two alike, which LiteLLM would take for a model that has run wild.
    stream = "".join(event(chunk(f"{number} {'x' * 4000}")) for number in range(5_000))
    provider.reply = lambda *_: (200, "text/event-stream", stream)
    body = json.dumps({"model": "gpt-5", "stream": True, "messages": [{"role": "user", "content": "x"}]}).encode()
    connections = proxy.server.server_state.connections
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=5) as deaf:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        deaf.send(head.encode() + body)
        time.sleep(0.3)
        mine = {one for one in connections if one.client == deaf.getsockname()[:2]}
        assert mine
        deadline = time.monotonic() + 20
        while mine & connections and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not mine & connections


def test_too_many_clients_are_told_so_and_the_others_served_again(proxy: Proxy) -> None:
    open_ones = [socket.create_connection(("127.0.0.1", proxy.port)) for _ in range(MAX_TOGETHER)]
    try:
        time.sleep(0.3)
        assert proxy.call("GET", "/v1/models")[0] == 503
    finally:
        for one in open_ones:
            one.close()
    time.sleep(0.3)
    assert proxy.call("GET", "/v1/models")[0] == 200


def inside(proxy: Proxy, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program of the container's own, which asks the proxy under test."""
    source = (IMAGE / program).read_text(encoding="utf-8")
    assert str(OWN_PORT) in source
    command = [sys.executable, "-IS", "-c", source.replace(str(OWN_PORT), str(proxy.own_port)), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_health_and_proofs_are_answered_while_callers_hold_every_connection(
    proxy: Proxy, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connection.PatientConnection.request_seconds", 120)
    proxy.rotate(PLAIN_KEY)
    before = len(provider.requests)
    with contextlib.ExitStack() as opened:
        for _ in range(MAX_TOGETHER):
            opened.enter_context(socket.create_connection(("127.0.0.1", proxy.port)))
        end = time.monotonic() + 30
        while len(proxy.server.server_state.connections) < MAX_TOGETHER and time.monotonic() < end:
            time.sleep(0.05)
        assert proxy.call("GET", "/health/liveliness")[0] == 503
        assert inside(proxy, "health.py").returncode == 0
        proved = inside(proxy, "probe.py", "prove", "openai")
        assert json.loads(proved.stdout)["status"] == 200, proved.stderr
        assert proxy.call("GET", "/health/liveliness")[0] == 503
    assert len(provider.requests) == before + 1


def test_the_programs_own_door_is_on_loopback_and_keeps_the_same_rules(proxy: Proxy) -> None:
    _, own = proxy.server.servers
    assert [one.getsockname() for one in own.sockets] == [("127.0.0.1", proxy.own_port)]
    client = Client(proxy.own_port)
    assert client.call("POST", "/ocweb/proof?key=openai")[0] == 401
    assert client.call("GET", "/model/info")[0] == 401


def test_a_header_without_end_is_refused(proxy: Proxy) -> None:
    assert proxy.call("GET", "/v1/models", headers={"x": "y" * 60_000})[0] == 200
    with contextlib.suppress(ConnectionError):
        assert proxy.call("GET", "/v1/models", headers={"x": "y" * 200_000})[0] == 400


def test_connections_beyond_all_measure_are_hung_up_on(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connection.MAX_CONNECTIONS", 20)
    with contextlib.ExitStack() as opened:
        held = [opened.enter_context(socket.create_connection(("127.0.0.1", proxy.port), timeout=5)) for _ in range(30)]
        for one in held:
            with contextlib.suppress(OSError):
                one.send(b"GET /v1/models HTTP/1.1\r\nx: ")
        assert [closed(one) for one in held[20:]] == [True] * 10
        held[0].send(b"y\r\nhost: x\r\n\r\n")
        assert held[0].recv(12) == b"HTTP/1.1 200"


def closed(connection: socket.socket) -> bool:
    """Tell whether the other side has hung up."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def test_an_upgrade_opens_no_websocket(proxy: Proxy) -> None:
    upgrade = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13", "sec-websocket-key": "x" * 24}
    assert proxy.call("GET", "/v1/realtime?model=gpt-5", headers=upgrade)[0] == 401


def test_the_address_to_listen_at_is_resolved_or_the_start_ends_in_a_line() -> None:
    assert (
        listen_address({}) == listen_address({"LLM_PROXY_LISTEN": ""}) == listen_address({"LLM_PROXY_LISTEN": "127.0.0.1"}) == "127.0.0.1"
    )
    assert listen_address({"LLM_PROXY_LISTEN": "localhost"}) in ("127.0.0.1", "::1")
    for name in ("no-such-name.invalid", "a..b", "1.2.3.4.5"):
        with pytest.raises(SystemExit) as caught:
            listen_address({"LLM_PROXY_LISTEN": name})
        assert "\n" not in str(caught.value)
        assert name in str(caught.value)


class Launched(Client):
    """server.py as the container runs it, but for its port, writing all that LiteLLM has to say into a file."""

    def __init__(self, folder: Path, provider: Provider) -> None:
        super().__init__(free_port())
        self.keys = folder / "keys"
        self.log = folder / "log"
        environment = {**os.environ, **write_config(folder, provider), "LITELLM_LOG": "DEBUG"}
        del environment["LITELLM_DISABLE_LAZY_ROUTES"]
        program = f"import server; server.PORT, server.OWN_PORT = {self.port}, {free_port()}; server.main()"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", program], cwd=IMAGE, env={**environment, "LLM_PROXY_LISTEN": "localhost"}, stdout=log, stderr=log
            )
        deadline = time.monotonic() + 60
        while self.process.poll() is None and time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        raise AssertionError(self.log.read_text(errors="replace")[-2000:])


@pytest.fixture
def launched(provider: Provider, tmp_path: Path) -> Iterator[Launched]:
    launched = Launched(tmp_path, provider)
    yield launched
    launched.process.terminate()
    assert launched.process.wait(timeout=10) in (0, -15)


def test_no_key_reaches_the_log_even_when_everything_is_logged(launched: Launched, provider: Provider) -> None:
    for key in (ODD_KEY, PLAIN_KEY):
        (launched.keys / "openai").write_text(key, encoding="ascii")
        for reply in REPLIES.values():
            provider.reply = reply
            for stream in (False, True):
                launched.chat("a word to look for", "gpt-5", stream=stream)
            launched.chat("a word to look for", "gpt-5", BEARER)
        assert key in provider.credentials[-1]
    log = launched.log.read_text(errors="replace")
    assert log.count("a word to look for") > 20, "LiteLLM logs nothing"
    assert log.count("[masked]") > 20, "no key was ever on its way into the log"
    assert not [key for key in (ODD_KEY, json.dumps(ODD_KEY)[1:-1], repr(ODD_KEY)[1:-1], PLAIN_KEY, MASTER_KEY) if key in log]
