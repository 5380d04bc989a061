"""A default-deny gate in front of LiteLLM; server.py serves it.

LiteLLM has about a thousand routes, and many headers and fields that steer a request. Without the master key only the
routes in access.py answer, only with the headers named here and the fields in fields.py; LiteLLM never sees the rest. What
it answers passes through answer.py.
"""

import gc
import os
import sys
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import yaml

from access import Caller, identify
from answer import JSON, Answer, Message, Send, only
from body import checked_chat
from errors import ErrorCleaner
from intake import GoneError, Intake, Receive
from refusal import RefusedError
from secret_files import SecretFiles

App = Callable[[Message, Receive, Send], Awaitable[None]]

# LiteLLM reads keys, tags, timeouts and addresses from other headers, and forwards some to the provider.
REQUEST_HEADERS = frozenset({b"host", b"accept", b"user-agent"})


class Gate:
    """ASGI middleware that lets `app` see only what the caller may ask for.

    `model_list` is that of LiteLLM's configuration.
    """

    def __init__(self, app: App, master_key: str, model_list: list[dict[str, Any]], secrets: SecretFiles) -> None:
        self.app = app
        self.master_key = master_key
        self.models = tuple(entry["model_name"] for entry in model_list)
        self.secrets = secrets
        self.cleaner = ErrorCleaner([entry["litellm_params"].get("api_base") or "" for entry in model_list])
        self.intake = Intake()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
        else:
            caller = identify(scope, self.master_key)
            if caller is Caller.ADMIN:
                await self.app(scope, receive, send)
            else:
                await self._answer_keyless(caller, scope, receive, Answer(send, self.secrets.masker, self.cleaner))

    async def _answer_keyless(self, caller: Caller, scope: Message, receive: Receive, answer: Answer) -> None:
        try:
            if caller is Caller.STRANGER:
                raise _not_admitted()
            # A look now, so that a key which is replaced while the provider is asked is known.
            self.secrets.masker()
            if scope["method"] == "POST":
                async with self.intake.body(scope["headers"], receive) as raw:
                    checked = _restricted(scope, checked_chat(raw, self.models), receive)
                    # An answer may take minutes; what was checked is kept for LiteLLM, and nothing else.
                    del raw
                    await self.app(*checked, answer)
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

    return {**scope, "query_string": b"", "headers": headers}, receive_checked


def _not_admitted() -> RefusedError:
    message = "This route needs the proxy's master key, or the key is wrong. Without a key: chat completions and the list of models."
    return RefusedError(message, status=401, kind="authentication_error", code="invalid_api_key")


async def _refuse(answer: Answer, refused: RefusedError) -> None:
    await answer.whole(refused.status, [JSON], refused.body())


def create_app(master_key: str, secrets: SecretFiles) -> Gate:
    """LiteLLM, as the file that CONFIG_FILE_PATH names configures it, behind the gate."""
    # LiteLLM takes it from the environment at import; set here, it never stands in the container's configuration.
    os.environ["LITELLM_MASTER_KEY"] = master_key
    config = yaml.safe_load(Path(os.environ["CONFIG_FILE_PATH"]).read_text(encoding="utf-8"))
    # Importing makes millions of objects that stay; not looking for garbage among them saves a fifth of the start.
    gc.disable()
    from litellm.proxy.proxy_server import app  # noqa: PLC0415

    gc.freeze()
    gc.enable()
    return Gate(app, master_key, config["model_list"], secrets)
