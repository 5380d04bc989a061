"""A default-deny gate in front of LiteLLM: `uvicorn --factory gate:create_app`.

LiteLLM has about a thousand routes and many headers that steer a request. Without the master key only the routes in
access.py answer, and only with the headers named here; everything else is a 401 that LiteLLM never sees.
"""

import gc
import json
import os
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from access import Caller, identify, load_master_key

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]

# LiteLLM reads keys, tags, timeouts and addresses from other headers, and forwards some to the provider.
REQUEST_HEADERS = frozenset({b"host", b"accept", b"content-type", b"content-length", b"transfer-encoding", b"user-agent"})
# LiteLLM's own tell its version and the provider's address, and it passes the provider's headers on.
RESPONSE_HEADERS = frozenset({b"content-type", b"content-length", b"cache-control", b"retry-after", b"retry-after-ms"})


class Gate:
    """ASGI middleware that lets `app` see only what the caller may ask for."""

    def __init__(self, app: App, master_key: str) -> None:
        self.app = app
        self.master_key = master_key

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
        else:
            caller = identify(scope, self.master_key)
            if caller is Caller.ADMIN:
                await self.app(scope, receive, send)
            elif caller is Caller.KEYLESS:
                await self.app(restricted(scope), receive, discreet(send))
            else:
                await refuse(send)


def restricted(scope: Message) -> Message:
    """The keyless request as LiteLLM is to see it: no query (it may hold `key=`), and only harmless headers."""
    return {**scope, "query_string": b"", "headers": only(scope["headers"], REQUEST_HEADERS)}


def discreet(send: Send) -> Send:
    """A `send` that drops the response headers that a keyless caller need not see."""

    async def send_discreetly(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": only(message.get("headers", ()), RESPONSE_HEADERS)}
        await send(message)

    return send_discreetly


def only(headers: Iterable[tuple[bytes, bytes]], names: frozenset[bytes]) -> list[tuple[bytes, bytes]]:
    """Those of the raw ASGI `headers` whose lower-case name is in `names`."""
    return [(name, value) for name, value in headers if name.lower() in names]


async def refuse(send: Send) -> None:
    """Answer 401 with a body in OpenAI's error shape."""
    message = "This route needs the proxy's master key, or the key is wrong. Without a key: chat completions and the list of models."
    body = json.dumps({"error": {"message": message, "type": "authentication_error", "code": "invalid_api_key"}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 401, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def create_app() -> Gate:
    """LiteLLM behind the gate. Exits when there is no usable master key (see access.load_master_key)."""
    master_key = load_master_key()
    # LiteLLM takes it from the environment at import; set here, it never stands in the container's configuration.
    os.environ["LITELLM_MASTER_KEY"] = master_key
    # Importing makes millions of objects that stay; not looking for garbage among them saves a fifth of the start.
    gc.disable()
    from litellm.proxy.proxy_server import app  # noqa: PLC0415

    gc.freeze()
    gc.enable()
    return Gate(app, master_key)
