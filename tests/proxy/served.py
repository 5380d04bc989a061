"""The proxy under test on loopback, with the real LiteLLM, and a provider that it asks."""

import http.client
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from gate import Gate, create_app
from held import held_here
from server import Server, configured

CONFIG = Path(__file__).parents[1] / "unit/llm_proxy/config.yaml"
MASTER_KEY = "sk-" + "m" * 40
BEARER = {"authorization": f"Bearer {MASTER_KEY}"}

# Status, content type and body of a provider's answer, made of the key that it got and the request.
Reply = Callable[[str, dict[str, Any]], tuple[int, str, str]]


def event(content: Any) -> str:
    return f"data: {json.dumps(content)}\n\n"


def chunk(text: str, finish_reason: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
    return {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def says(text: Callable[[str], str]) -> Reply:
    """A provider whose answer is a text made of the key that it got."""

    def reply(key: str, request: dict[str, Any]) -> tuple[int, str, str]:
        if request.get("stream"):
            return 200, "text/event-stream", event(chunk(text(key))) + event(chunk("", "stop")) + "data: [DONE]\n\n"
        choices = [{"index": 0, "message": {"role": "assistant", "content": text(key)}, "finish_reason": "stop"}]
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        whole = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": choices, "usage": usage}
        return 200, "application/json", json.dumps(whole)

    return reply


class Provider(ThreadingHTTPServer):
    """A provider on loopback that answers every chat as told, and records who asked with what."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), ProviderHandler)
        self.credentials: list[str] = []
        self.requests: list[dict[str, Any]] = []
        self.reply = says(lambda _: "hi")
        self.headers: dict[str, str] = {}
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class ProviderHandler(BaseHTTPRequestHandler):
    """Answers as its server is told."""

    server: Provider

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.credentials.append(" ".join(f"{name}={value}" for name, value in self.headers.items()))
        self.server.requests.append(request)
        status, content_type, body = self.server.reply(self.headers.get("authorization", "").removeprefix("Bearer "), request)
        self.send_response(status)
        self.send_header("content-type", content_type)
        for name, value in {"x-provider-secret": "telltale", **self.server.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


def write_config(folder: Path, provider: Provider) -> dict[str, str]:
    """Lay out in `folder` what the container mounts, and return the environment that names it."""
    for name in ("keys", "secrets", "state"):
        (folder / name).mkdir()
    (folder / "secrets/master_key").write_text(MASTER_KEY, encoding="ascii")
    config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    config["model_list"][1]["litellm_params"]["api_base"] = provider.url
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return {
        "LLM_PROXY_MASTER_KEY_FILE": str(folder / "secrets/master_key"),
        "LLM_PROXY_KEYS_DIR": str(folder / "keys"),
        "LLM_PROXY_STATE_DIR": str(folder / "state"),
        "CONFIG_FILE_PATH": str(folder / "config.yaml"),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        # Otherwise a route exists only once it was asked for, and could not be counted.
        "LITELLM_DISABLE_LAZY_ROUTES": "True",
        # Whatever proxy this machine has its way through, the provider is on loopback.
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        # If anything fell back to the environment, this would reach the provider.
        "OPENAI_API_KEY": "sk-ambient",
    }


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


class Client:
    """Calls a proxy on loopback."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.headers: dict[str, str] = {}

    def call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        content = body if body is None or isinstance(body, bytes) else json.dumps(body)
        connection.request(method, path, content, {"content-type": "application/json", **(headers or {})})
        response = connection.getresponse()
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        return response.status, response.read().decode(errors="replace")

    def chat(self, text: str, model: str = "demo", sent: dict[str, str] | None = None, /, **fields: Any) -> tuple[int, str]:
        body = {"model": model, "messages": [{"role": "user", "content": text}], **fields}
        return self.call("POST", "/v1/chat/completions", body, sent)

    def stream(self, text: str, **fields: Any) -> list[dict[str, Any]]:
        status, body = self.chat(text, stream=True, stream_options={"include_usage": True}, **fields)
        events = [line.removeprefix("data: ") for line in body.splitlines() if line]
        assert (status, events[-1]) == (200, "[DONE]")
        return [json.loads(event) for event in events[:-1]]


class Proxy(Client):
    """The proxy under test, served on loopback from this process."""

    def __init__(self, folder: Path, provider: Provider) -> None:
        super().__init__(free_port())
        self.folder = folder
        self.keys = folder / "keys"
        os.environ.update(write_config(folder, provider))
        self.gate: Gate = create_app(held_here())
        self.own_port = free_port()
        self.server = Server(configured(self.gate, "127.0.0.1", self.port), self.own_port)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        end = time.monotonic() + 180
        while not (self.server.started and len(self.server.servers) == 2):
            assert self.thread.is_alive() and time.monotonic() < end, "the proxy does not start"
            time.sleep(0.05)

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(timeout=10)

    def rotate(self, key: str) -> None:
        (self.keys / "new").write_text(key, encoding="ascii")
        (self.keys / "new").replace(self.keys / "openai")
