"""What the gate in front of LiteLLM lets through, and what of it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from decoy import Decoy
from events import EventLog
from gate import Gate
from held import Held, held_here
from intake import Intake
from key_ring import KeyRing
from secret_files import SecretFiles
from usage import Usage
from watched import WatchedFolder

MASTER_KEY = "sk-" + "m" * 40
BEARER = ("authorization", f"Bearer {MASTER_KEY}")
MODELS = [{"model_name": "demo", "litellm_params": {"model": "demo/demo", "api_base": "https://llm.example/v1"}}]
CHAT: dict[str, Any] = {"model": "demo", "messages": [{"role": "user", "content": "hello"}]}
JSON = ("content-type", "application/json")
NOWHERE = Path("/nonexistent")


class FixedFolder(WatchedFolder):
    """A folder that holds the master key."""

    def texts(self) -> dict[str, str]:
        return {"master_key": MASTER_KEY}


def part(body: bytes, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


class Upstream:
    """Stands in for LiteLLM: records each scope and body, and answers 200 with telltale headers, or as told."""

    def __init__(self, *answer: dict[str, Any]) -> None:
        self.scopes: list[dict[str, Any]] = []
        self.bodies: list[bytes] = []
        self.answer = answer or (start(200, "text/plain"), {"type": "http.response.body", "body": b"answer"})

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        if scope["type"] == "http":
            self.bodies.append((await receive())["body"])
            for message in self.answer:
                await send(message)


def start(status: int, content_type: str) -> dict[str, Any]:
    telltale = [(b"X-LiteLLM-Version", b"1"), (b"llm_provider-server", b"x"), (b"server", b"y"), (b"Access-Control-Allow-Origin", b"*")]
    return {"type": "http.response.start", "status": status, "headers": [(b"Content-Type", content_type.encode()), *telltale]}


def behind(upstream: Upstream | None = None, intake: Intake | None = None, keys: Path = NOWHERE) -> Gate:
    """A gate with what is behind it."""
    ring = KeyRing(WatchedFolder(keys), WatchedFolder(NOWHERE), Usage(NOWHERE))
    files = SecretFiles([WatchedFolder(keys), FixedFolder(NOWHERE)])
    gate = Gate(upstream or Upstream(), MODELS, Held(ring, files.masker, lambda: MASTER_KEY, Decoy(lambda: "", EventLog(NOWHERE))))
    gate.intake = intake or gate.intake
    return gate


class Call:
    """One request through a gate, and what came of it; `content` is its body, or the pieces that it arrives in."""

    def __init__(
        self,
        method: str,
        path: str,
        *headers: tuple[str, str],
        content: Any = CHAT,
        gate: Gate | None = None,
        **scope: Any,
    ) -> None:
        self.gate = gate or behind()
        assert isinstance(self.gate.app, Upstream)
        self.upstream = self.gate.app
        self.sent: list[Any] = []
        self.pieces = list(content) if isinstance(content, list) else [part(content if isinstance(content, bytes) else dumped(content))]
        given = headers if any(name == "content-type" for name, _ in headers) else (*headers, JSON)
        raw = [(name.lower().encode(), value.encode()) for name, value in given]
        request = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": ""}
        asyncio.run(self.gate({**request, "headers": raw, **scope}, self.receive, self.send))

    async def receive(self) -> Any:
        if not self.pieces:
            await asyncio.sleep(10)
        return self.pieces.pop(0)

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)["error"]
        return found

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status

    @property
    def admitted(self) -> bool:
        return bool(self.upstream.scopes)


def dumped(content: Any) -> bytes:
    return json.dumps(content).encode()


def chat(content: Any, *headers: tuple[str, str], **options: Any) -> Call:
    return Call("POST", "/v1/chat/completions", *headers, content=content, **options)


KEYLESS = [("POST", "/v1/chat/completions"), ("GET", "/v1/models"), ("GET", "/health/liveliness")]


@pytest.mark.parametrize(("method", "path"), KEYLESS)
def test_opencode_needs_no_key(method: str, path: str) -> None:
    assert Call(method, path).status == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/v1/chat/completions"),
        ("HEAD", "/v1/models"),
        ("OPTIONS", "/v1/models"),
        ("post", "/v1/chat/completions"),
        ("POST", "/v1/chat/completions/"),
        ("POST", "//v1/chat/completions"),
        ("POST", "/v1//chat/completions"),
        ("POST", "/key/../v1/chat/completions"),
        ("POST", "/v1/chat/completions/../../key/generate"),
        ("POST", "/V1/chat/completions"),
        ("POST", "/chat/completions"),
        ("POST", "/v1/chat/completions\x00"),
        ("POST", "/v1/chat/completions;x"),
        ("GET", "http://other/v1/models"),
        ("GET", "/v1/models/demo"),
        ("GET", "/model/info"),
        ("GET", "/health"),
        ("POST", "/v1/messages"),
        ("POST", "/v1/responses"),
        ("POST", "/v1/embeddings"),
        ("POST", "/key/generate"),
    ],
)
def test_everything_else_is_refused(method: str, path: str) -> None:
    call = Call(method, path)
    assert (call.status, call.admitted) == (401, False)


def test_a_refusal_has_the_shape_of_openais_errors() -> None:
    error = Call("GET", "/model/info").error
    assert {name: type(value) for name, value in error.items()} == {"message": str, "type": str, "param": type(None), "code": str}


@pytest.mark.parametrize("raw_path", [b"/v1%2fchat/completions", b"/v1/chat/completion%73", b"/x/../v1/chat/completions", None])
def test_a_path_is_compared_as_it_was_sent(raw_path: bytes | None) -> None:
    assert Call("POST", "/v1/chat/completions", raw_path=raw_path).status == 401


def test_a_root_path_does_not_shift_what_is_compared() -> None:
    assert Call("GET", "/v1/models", root_path="/v1").status == 401


@pytest.mark.parametrize("path", ["/v1/models", "/model/info"])
@pytest.mark.parametrize(
    "headers",
    [
        [("authorization", "Bearer wrong")],
        [("authorization", MASTER_KEY)],
        [("authorization", f"Basic {MASTER_KEY}")],
        [("authorization", f"Bearer {MASTER_KEY} ")],
        [("authorization", f"Bearer {MASTER_KEY[:-1]}")],
        [("authorization", "")],
        [("authorization", "Bearer é")],
        [BEARER, BEARER],
        [("authorization", "Bearer wrong"), BEARER],
    ],
)
def test_a_wrong_key_is_refused_even_where_none_is_needed(path: str, headers: list[tuple[str, str]]) -> None:
    assert Call("GET", path, *headers).status == 401


@pytest.mark.parametrize("name", ["x-api-key", "api-key", "x-goog-api-key", "x-litellm-api-key", "ocp-apim-subscription-key", "cookie"])
def test_the_master_key_counts_in_the_authorization_header_alone(name: str) -> None:
    assert Call("GET", "/model/info", (name, MASTER_KEY)).status == 401
    assert Call("GET", "/model/info", (name, f"Bearer {MASTER_KEY}")).status == 401
    assert Call("GET", "/model/info", query_string=b"key=" + MASTER_KEY.encode()).status == 401


def test_litellm_sees_no_other_key_or_steering_of_a_keyless_caller() -> None:
    steering = ["x-api-key", "api-key", "x-goog-api-key", "x-litellm-api-key", "x-litellm-timeout", "x-http-method-override", "forwarded"]
    names = ["host", "accept", "user-agent", "origin", "transfer-encoding", "content-encoding"]
    call = chat(CHAT, *((name, "x") for name in steering + names), query_string=b"key=x")
    [scope], [body] = call.upstream.scopes, call.upstream.bodies
    own = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    assert scope["headers"] == [(b"host", b"x"), (b"accept", b"x"), (b"user-agent", b"x"), *own]
    assert scope["query_string"] == b""


def test_the_master_key_opens_every_route_with_what_was_sent() -> None:
    call = Call("POST", "/model/info", BEARER, ("x-litellm-tags", "a"), content=b"anything", query_string=b"a=b")
    [scope] = call.upstream.scopes
    assert call.status == 200
    assert call.upstream.bodies == [b"anything"]
    assert len(scope["headers"]) == 3
    assert scope["query_string"] == b"a=b"


def test_a_keyless_caller_learns_no_version_and_no_upstream() -> None:
    assert Call("GET", "/v1/models").sent[0]["headers"] == [(b"content-type", b"text/plain"), (b"content-length", b"6")]


def test_no_browser_of_another_site_is_let_in() -> None:
    preflight = (("origin", "https://evil.example"), ("access-control-request-method", "POST"))
    for call in (Call("OPTIONS", "/v1/chat/completions", *preflight), chat(CHAT, ("origin", "https://evil.example"))):
        assert not [name for name, _ in call.sent[0]["headers"] if name.lower().startswith(b"access-control")]
    assert Call("OPTIONS", "/v1/chat/completions", *preflight).status == 401


def test_litellm_reads_what_was_checked_and_written_anew() -> None:
    spaced = b'\n{ "model" : "demo",  "messages":[{"role":"user","content":"\\u00fc \\ud83d"}] }'
    [body] = chat(spaced).upstream.bodies
    assert body == '{"model":"demo","messages":[{"role":"user","content":"ü ?"}]}'.encode()


def test_a_body_in_pieces_is_put_together() -> None:
    whole = dumped(CHAT)
    call = chat([part(whole[:10], True), part(b"", True), part(whole[10:])])
    assert [json.loads(body) for body in call.upstream.bodies] == [CHAT]


def test_a_model_that_is_not_there_is_a_404_that_lists_those_that_are() -> None:
    call = chat({**CHAT, "model": "gpt-9"})
    assert (call.status, call.admitted) == (404, False)
    assert call.error["code"] == "model_not_found"
    assert "demo" in call.error["message"]


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "application/jsonx"]
)
def test_another_content_type_is_refused(kind: str) -> None:
    call = chat(CHAT, ("content-type", kind))
    assert (call.status, call.admitted) == (400, False)
    assert call.error["code"] == "invalid_content_type"


def test_two_content_types_are_refused() -> None:
    assert chat(CHAT, JSON, JSON).status == 400
    assert chat(CHAT, ("content-type", "Application/JSON; charset=utf-8")).status == 200


@pytest.mark.parametrize(("size", "status"), [(100, 200), (99, 413)])
def test_a_body_that_is_too_large_is_a_413(size: int, status: int) -> None:
    body = dumped(CHAT).ljust(100)
    assert chat([part(body[:60], True), part(body[60:])], gate=behind(intake=Intake(max_body=size))).status == status


def test_a_body_that_says_it_is_too_large_is_not_even_read() -> None:
    call = chat([part(b"", True)], ("content-length", "101"), gate=behind(intake=Intake(max_body=100, seconds=0.1)))
    assert call.status == 413


def test_a_body_that_does_not_arrive_is_a_408() -> None:
    call = chat([part(b"{", True)], gate=behind(intake=Intake(seconds=0.05)))
    assert (call.status, call.error["code"]) == (408, "request_timeout")


def test_a_client_that_goes_away_gets_no_answer() -> None:
    call = chat([part(b"{", True), {"type": "http.disconnect"}])
    assert (call.sent, call.admitted) == ([], False)


def test_all_the_bodies_together_have_a_limit_which_ends_with_their_requests() -> None:
    intake = Intake(max_together=1000)
    intake.held = 950
    assert chat(CHAT, gate=behind(intake=intake)).status == 503
    intake.held = 0
    for _ in range(3):
        assert chat(CHAT, gate=behind(intake=intake)).status == 200
    assert chat({**CHAT, "api_base": "x"}, gate=behind(intake=Intake(max_together=1000))).gate.intake.held == 0


@pytest.mark.parametrize("parameters", [{"enum": [[]] * 300}, {"$defs": {"a": {"description": "x" * 200}}, "anyOf": [{"$ref": "a"}] * 30}])
def test_what_takes_more_memory_than_its_text_counts_for_more(parameters: dict[str, Any]) -> None:
    body = {**CHAT, "tools": [{"type": "function", "function": {"name": "a", "parameters": parameters}}]}
    assert len(dumped(body)) < 2000
    call = chat(body, gate=behind(intake=Intake(max_together=6_000)))
    assert (call.status, call.gate.intake.held) == (503, 0)
    assert chat(body, gate=behind(intake=Intake(max_together=40_000))).status == 200


def test_an_answer_holds_no_secret_and_says_its_own_length() -> None:
    upstream = Upstream(start(200, "application/json"), {"type": "http.response.body", "body": f'{{"a":"{MASTER_KEY}"}}'.encode()})
    call = chat(CHAT, gate=behind(upstream))
    assert json.loads(call.body) == {"a": "[masked]"}
    assert (b"content-length", str(len(call.body)).encode()) in call.sent[0]["headers"]


def test_a_stream_passes_as_it_comes_and_holds_no_secret() -> None:
    events = [b'data: {"id":"1","a":"sk-mm', b"m" * 38 + b'"}\n\n', b'data: {"id":"2"}\n\n', b"data: [DONE]\n\n"]
    stream = [{"type": "http.response.body", "body": event, "more_body": True} for event in events]
    upstream = Upstream(start(200, "text/event-stream; charset=utf-8"), *stream, {"type": "http.response.body", "body": b""})
    call = chat(CHAT, gate=behind(upstream))
    assert [message["body"] for message in call.sent[1:]] == [
        b'data: {"id":"1","a":"',
        b'[masked]"}\n\n',
        b'data: {"id":"2"}\n\n',
        b"data: [DONE]\n\n",
        b"",
    ]


def test_what_a_stream_ends_with_is_not_lost() -> None:
    upstream = Upstream(
        start(200, "text/event-stream"), {"type": "http.response.body", "body": b'data: {"id":"1"}\n\ndata: {"id":"2"}sk-mm'}
    )
    assert chat(CHAT, gate=behind(upstream)).body.endswith(b'"2"}sk-mm')
    upstream = Upstream(start(200, "text/event-stream"), {"type": "http.response.body", "body": b"data: failed"})
    assert b"failed" in chat(CHAT, gate=behind(upstream)).body


def test_a_key_that_is_replaced_while_the_provider_is_asked_is_masked(tmp_path: Path) -> None:
    old, new = "old-provider-key", "new-provider-key"
    (tmp_path / "openai").write_text(old, encoding="ascii")

    class Rotating(Upstream):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            (tmp_path / "openai").write_text(new + "\n", encoding="ascii")
            await super().__call__(scope, receive, send)

    upstream = Rotating(start(200, "text/plain"), {"type": "http.response.body", "body": f"{old} {new}".encode()})
    assert chat(CHAT, gate=behind(upstream, keys=tmp_path)).body == b"[masked] [masked]"


def test_an_error_in_a_stream_is_made_clean() -> None:
    event = b'data: {"error": {"message": "no sk-mmmmmmmmmmmm at https://llm.example/v1", "code": "429"}}\n\n'
    upstream = Upstream(start(200, "text/event-stream"), {"type": "http.response.body", "body": event})
    [line, _, _] = chat(CHAT, gate=behind(upstream)).body.split(b"\n")
    assert json.loads(line.removeprefix(b"data: "))["error"] == {
        "message": "no [masked] at [address]",
        "type": "rate_limit_error",
        "param": None,
        "code": "429",
    }


@pytest.mark.parametrize("kind", ["text/plain", "text/event-stream", "application/json"])
def test_an_error_is_made_clean_and_keeps_its_status(kind: str) -> None:
    body = b"Traceback (most recent call last):\n  File x"
    call = chat(CHAT, gate=behind(Upstream(start(500, kind), {"type": "http.response.body", "body": body})))
    assert (call.status, call.error["type"]) == (500, "server_error")
    assert b"Traceback" not in call.body
    assert call.sent[0]["headers"][0] == (b"content-type", b"application/json")


@pytest.mark.parametrize("failure", [RuntimeError, TimeoutError])
def test_a_failure_of_litellm_is_an_error_without_its_reason(failure: type[Exception], capsys: pytest.CaptureFixture[str]) -> None:
    class Broken(Upstream):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            raise failure("the reason")

    call = chat(CHAT, gate=behind(Broken()))
    assert (call.status, call.error["code"]) == (500, "proxy_failed")
    assert b"reason" not in call.body
    assert "the reason" in capsys.readouterr().err


@pytest.mark.parametrize("headers", [[], [BEARER]])
def test_websockets_are_closed_before_they_open(headers: list[tuple[str, str]]) -> None:
    call = Call("GET", "/v1/realtime", *headers, type="websocket")
    assert (call.sent, call.admitted) == ([{"type": "websocket.close", "code": 1008}], False)


def test_litellm_is_started_and_stopped() -> None:
    assert Call("", "", type="lifespan").admitted


def environment(file: Path) -> dict[str, str]:
    return {
        "LLM_PROXY_MASTER_KEY_FILE": str(file),
        **dict.fromkeys(("LLM_PROXY_KEYS_DIR", "LLM_PROXY_STATE_DIR", "CONFIG_FILE_PATH"), "/nonexistent/x"),
    }


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "does not exist"),
        ("", "fewer than 32"),
        ("short\n", "fewer than 32"),
        (" " * 40, "fewer than 32"),
        ("é" * 40, "cannot be read"),
    ],
)
def test_without_a_strong_master_key_it_does_not_start(tmp_path: Path, content: str | None, complaint: str) -> None:
    file = tmp_path / "master_key"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    with pytest.raises(SystemExit) as caught:
        held_here(environment(file))
    message = str(caught.value)
    assert complaint in message
    assert "\n" not in message
    assert not content or content not in message


def test_without_the_name_of_the_key_file_it_does_not_start() -> None:
    with pytest.raises(SystemExit, match="LLM_PROXY_MASTER_KEY_FILE is not set"):
        held_here({})


def test_the_master_key_is_read_without_its_newline_and_anew_when_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "master_key"
    file.write_text(MASTER_KEY + "\n", encoding="ascii")
    held = held_here(environment(file))
    assert held.master_key() == MASTER_KEY
    file.write_text(MASTER_KEY[::-1], encoding="ascii")
    assert held.master_key() == MASTER_KEY[::-1]
    file.write_text("short", encoding="ascii")
    assert held.master_key() == ""


def test_without_a_master_key_nobody_is_the_admin() -> None:
    gate = behind()
    gate.held.master_key = lambda: ""
    assert Call("GET", "/model/info", ("authorization", "Bearer "), gate=gate).status == 401


def headers_of(*given: tuple[bytes, bytes]) -> dict[bytes, bytes]:
    """What is left of the headers of an answer."""
    message = start(429, "application/json")
    upstream = Upstream({**message, "headers": [*message["headers"], *given]}, {"type": "http.response.body", "body": b"{}"})
    return dict(chat(CHAT, gate=behind(upstream)).sent[0]["headers"])


@pytest.mark.parametrize("name", [b"retry-after", b"llm_provider-retry-after", b"LLM_Provider-Retry-After"])
@pytest.mark.parametrize("value", [b"7", b"600", b"0"])
def test_the_wait_that_a_provider_names_is_told(name: bytes, value: bytes) -> None:
    assert headers_of((name, value))[b"retry-after"] == value


@pytest.mark.parametrize("name", [b"retry-after", b"llm_provider-retry-after", b"retry-after-ms", b"llm_provider-cache-control"])
@pytest.mark.parametrize("value", [MASTER_KEY.encode(), b"7 " + MASTER_KEY.encode(), b"12345678", b"-1", b"", b"7\n", b"7.5"])
def test_no_other_wait_is_told(name: bytes, value: bytes) -> None:
    assert headers_of((name, value)).keys() == {b"content-type", b"content-length"}


def test_values_of_headers_are_masked() -> None:
    found = headers_of((b"cache-control", b"no-cache, " + MASTER_KEY.encode()))
    assert found[b"cache-control"] == b"no-cache, [masked]"
