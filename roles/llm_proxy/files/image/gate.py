"""A default-deny gate in front of LiteLLM; server.py serves it.

LiteLLM has about a thousand routes, and many headers and fields that steer a request. Without the master key only the
routes in access.py answer, only with the headers named here and the fields in fields.py; LiteLLM never sees the rest. What
it answers passes through answer.py.
"""

import asyncio
import gc
import os
import secrets
import sys
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import yaml

from access import ADMITTED, Caller, identify
from admin import Admin, question
from answer import JSON, Answer, Message, Send, only
from attempt import CURRENT, Attempt
from body import checked_chat
from errors import ErrorCleaner
from held import Held
from intake import GoneError, Intake, Receive
from refusal import RefusedError

App = Callable[[Message, Receive, Send], Awaitable[None]]

# LiteLLM reads keys, tags, timeouts and addresses from other headers, and forwards some to the provider.
REQUEST_HEADERS = frozenset({b"host", b"accept", b"user-agent"})


class Gate:
    """ASGI middleware that lets `app` see only what the caller may ask for.

    `model_list` is that of LiteLLM's configuration.
    """

    def __init__(self, app: App, model_list: list[dict[str, Any]], held: Held) -> None:
        self.app = app
        self.models = tuple(entry["model_name"] for entry in model_list)
        self.held = held
        self.cleaner = ErrorCleaner([entry["litellm_params"].get("api_base") or "" for entry in model_list])
        self.intake = Intake()
        first: dict[str, str] = {}
        for entry in model_list:
            if provider := entry.get("model_info", {}).get("provider"):
                first.setdefault(provider, entry["model_name"])
        self.admin = Admin(first, self._prove, held.ring)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
        else:
            self.held.decoy.look(scope)
            caller = identify(scope, self.held.master_key())
            if caller is not Caller.ADMIN:
                await self._answer_keyless(caller, scope, receive, self._answer(send))
            elif not await self.admin.answer(scope, send):
                CURRENT.set(Attempt(self.held.ring))
                await self.app({**scope, ADMITTED: caller}, receive, send)

    def _answer(self, send: Send, attempt: Attempt | None = None) -> Answer:
        return Answer(send, self.held.masker, self.cleaner, attempt)

    async def _answer_keyless(self, caller: Caller, scope: Message, receive: Receive, answer: Answer) -> None:
        try:
            if caller is Caller.STRANGER:
                raise _not_admitted()
            # A look now, so that a key which is replaced while the provider is asked is known.
            self.held.masker()
            if scope["method"] == "POST":
                async with self.intake.body(scope["headers"], receive) as (raw, count):
                    self.held.decoy.look({**scope, "headers": [], "query_string": b""}, raw)
                    checked = checked_chat(raw, self.models, count)
                    # An answer may take minutes; what was checked is kept for LiteLLM, and nothing else.
                    del raw
                    await self._ask(scope, checked, receive, answer)
            else:
                await self.app(*_restricted(scope, b"", receive), answer)
        except GoneError:
            return
        except RefusedError as refused:
            await _refuse(answer, refused)
        except Exception:
            if answer.started:
                raise
            traceback.print_exc(file=sys.stderr)
            await _refuse(answer, RefusedError("The proxy failed; its log says why", status=500, kind="server_error", code="proxy_failed"))

    async def _ask(self, scope: Message, body: bytes, receive: Receive, answer: Answer) -> None:
        """Have LiteLLM answer, and answer once more for each further key while the provider turns keys down."""
        answer.attempt = Attempt(self.held.ring)
        CURRENT.set(answer.attempt)
        answer.again = True
        while answer.again:
            answer.again = False
            await self.app(*_restricted(scope, body, receive), answer)

    async def _prove(self, model: str, attempt: Attempt) -> tuple[int, bytes]:
        """What comes of a question to a model, with the key of an attempt."""
        said: list[Message] = []

        async def keep(message: Message) -> None:
            said.append(message)

        async def wait() -> Message:
            return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

        path = "/v1/chat/completions"
        known = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "method": "POST", "root_path": ""}
        named = {"path": path, "raw_path": path.encode(), "headers": [(b"host", b"llm-proxy")], "client": None, "server": None}
        await self.app(*_restricted({**known, **named}, question(model), wait), self._answer(keep, attempt))
        return said[0]["status"], b"".join(message.get("body", b"") for message in said)


def _restricted(scope: Message, body: bytes, receive: Receive) -> tuple[Message, Receive]:
    """The keyless request as LiteLLM is to see it: no query (it may hold `key=`), only harmless headers, and `body`."""
    headers = only(scope["headers"], REQUEST_HEADERS)
    if body:
        headers += [JSON, (b"content-length", str(len(body)).encode())]
    unread = [body]

    async def receive_checked() -> Message:
        if unread:
            return {"type": "http.request", "body": unread.pop(), "more_body": False}
        # What else the client sends is not LiteLLM's business; that it has gone is.
        while (message := await receive())["type"] != "http.disconnect":
            pass
        return message

    return {**scope, "query_string": b"", "headers": headers, ADMITTED: Caller.KEYLESS}, receive_checked


def _not_admitted() -> RefusedError:
    message = "This route needs the proxy's master key, or the key is wrong. Without a key: chat completions and the list of models."
    return RefusedError(message, status=401, kind="authentication_error", code="invalid_api_key")


async def _refuse(answer: Answer, refused: RefusedError) -> None:
    await answer.whole(refused.status, [JSON], refused.body())


def create_app(held: Held) -> Gate:
    """LiteLLM, as the file that CONFIG_FILE_PATH names configures it, behind the gate."""
    # LiteLLM wants a master key in the environment when it is imported. It gets one that nobody knows: who is the admin, the gate decides.
    os.environ["LITELLM_MASTER_KEY"] = f"sk-{secrets.token_hex(32)}"
    config = yaml.safe_load(Path(os.environ["CONFIG_FILE_PATH"]).read_text(encoding="utf-8"))
    # Importing makes millions of objects that stay; not looking for garbage among them saves a fifth of the start.
    gc.disable()
    from litellm.proxy.proxy_server import app  # noqa: PLC0415

    gc.freeze()
    gc.enable()
    return Gate(app, config["model_list"], held)
