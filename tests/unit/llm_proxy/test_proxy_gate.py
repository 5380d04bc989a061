"""What the gate in front of LiteLLM lets through, and what of it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from access import load_master_key
from gate import Gate

MASTER_KEY = "sk-" + "m" * 40
BEARER = ("authorization", f"Bearer {MASTER_KEY}")


class Upstream:
    """Stands in for LiteLLM: records each scope and answers 200 with telltale headers."""

    def __init__(self) -> None:
        self.scopes: list[dict[str, Any]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        if scope["type"] == "http":
            headers = [(b"content-type", b"text/plain"), (b"X-LiteLLM-Version", b"1"), (b"llm_provider-server", b"x"), (b"server", b"y")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"answer"})


class Call:
    """One request through a gate, and what came of it."""

    def __init__(self, method: str, path: str, *headers: tuple[str, str], **scope: Any) -> None:
        self.upstream = Upstream()
        self.sent: list[Any] = []
        raw = [(name.lower().encode(), value.encode()) for name, value in headers]
        request = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": ""}
        asyncio.run(Gate(self.upstream, MASTER_KEY)({**request, "headers": raw, **scope}, self.receive, self.send))

    async def receive(self) -> Any:
        return {"type": "http.request", "body": b""}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status

    @property
    def admitted(self) -> bool:
        return bool(self.upstream.scopes)


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
    error = json.loads(Call("GET", "/model/info").sent[1]["body"])["error"]
    assert {name: type(value) for name, value in error.items()} == {"message": str, "type": str, "code": str}


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
    names = ["host", "content-type", "content-length", "accept", "user-agent"]
    call = Call("POST", "/v1/chat/completions", *((name, "x") for name in steering + names), query_string=b"key=x")
    [scope] = call.upstream.scopes
    assert [name.decode() for name, _ in scope["headers"]] == names
    assert scope["query_string"] == b""


def test_the_master_key_opens_every_route_with_what_was_sent() -> None:
    call = Call("GET", "/model/info", BEARER, ("x-litellm-tags", "a"), query_string=b"a=b")
    [scope] = call.upstream.scopes
    assert call.status == 200
    assert len(scope["headers"]) == 2
    assert scope["query_string"] == b"a=b"


def test_a_keyless_caller_learns_no_version_and_no_upstream() -> None:
    assert Call("GET", "/v1/models").sent[0]["headers"] == [(b"content-type", b"text/plain")]


@pytest.mark.parametrize("headers", [[], [BEARER]])
def test_websockets_are_closed_before_they_open(headers: list[tuple[str, str]]) -> None:
    call = Call("GET", "/v1/realtime", *headers, type="websocket")
    assert (call.sent, call.admitted) == ([{"type": "websocket.close", "code": 1008}], False)


def test_litellm_is_started_and_stopped() -> None:
    assert Call("", "", type="lifespan").admitted


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "FileNotFoundError"),
        ("", "fewer than 32"),
        ("short\n", "fewer than 32"),
        (" " * 40, "fewer than 32"),
        ("é" * 40, "UnicodeDecodeError"),
    ],
)
def test_without_a_strong_master_key_it_does_not_start(tmp_path: Path, content: str | None, complaint: str) -> None:
    file = tmp_path / "master_key"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    with pytest.raises(SystemExit) as caught:
        load_master_key({"LLM_PROXY_MASTER_KEY_FILE": str(file)})
    message = str(caught.value)
    assert complaint in message
    assert "\n" not in message
    assert not content or content not in message


def test_without_the_name_of_the_key_file_it_does_not_start() -> None:
    with pytest.raises(SystemExit, match="LLM_PROXY_MASTER_KEY_FILE is not set"):
        load_master_key({})


def test_the_master_key_is_read_without_its_newline(tmp_path: Path) -> None:
    (tmp_path / "master_key").write_text(MASTER_KEY + "\n", encoding="ascii")
    assert load_master_key({"LLM_PROXY_MASTER_KEY_FILE": str(tmp_path / "master_key")}) == MASTER_KEY
