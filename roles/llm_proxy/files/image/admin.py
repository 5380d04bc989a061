"""Routes of the gate's own, for the master key alone: what is known of the keys, and the proof that one of them works."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

from answer import JSON, Message, Send
from attempt import CURRENT, Attempt
from key_ring import KeyRing, NoKeyError

KEYS = "/ocweb/keys"
PROOF = "/ocweb/proof"
# Asks the first model of a provider; the status, the answer's body.
Ask = Callable[[str, Attempt], Awaitable[tuple[int, bytes]]]


class Admin:
    """Answers GET /ocweb/keys and POST /ocweb/proof?key=FILE.

    `models` tells a model for each provider, `ask` puts a question to one, `ring` has the keys.
    """

    def __init__(self, models: Mapping[str, str], ask: Ask, ring: KeyRing) -> None:
        self._models = models
        self._ask = ask
        self._ring = ring

    async def answer(self, scope: Message, send: Send) -> bool:
        """Answer an admin's request, if it is for one of these routes."""
        route = scope["method"], scope["path"]
        if route == ("GET", KEYS):
            await _say(send, 200, self._ring.usage.keys)
        elif route == ("POST", PROOF):
            await _say(send, *await self._prove(parse_qs(scope["query_string"].decode("latin-1")).get("key", [""])[0]))
        else:
            return False
        return True

    async def _prove(self, file: str) -> tuple[int, Any]:
        """Put a short question to a model with the key of one file; what came of it is the provider's status and words."""
        model = self._models.get(file.partition(".")[0])
        if model is None:
            return 404, {"message": "No model needs this key"}
        attempt = Attempt(self._ring, file)
        try:
            key = attempt.key_for(file.partition(".")[0])
        except NoKeyError as error:
            return 404, {"message": str(error)}
        CURRENT.set(attempt)
        status, body = await self._ask(model, attempt)
        message = "" if status < 400 else _message(body)
        return 200, {"status": status, "fingerprint": key.fingerprint, "model": model, "message": message}


def question(model: str) -> bytes:
    """A question that costs next to nothing."""
    return json.dumps({"model": model, "messages": [{"role": "user", "content": "Reply with the word OK."}]}).encode()


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, LookupError, TypeError):
        return ""


async def _say(send: Send, status: int, content: Any) -> None:
    body = json.dumps(content).encode()
    headers = [JSON, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
