"""Asks with a key whether it works: `probe.py try` the provider itself, `probe.py prove KEY` through the proxy that runs here.

`try` takes {"litellm", "api_base", "key"} as JSON on standard input, and makes a call that costs nothing. Both print {"status"}, an
HTTP status or 0 where nobody answered, and what else there is to say; never a provider's own words, which may repeat the key.
Standard library only, for it runs beside the proxy.
"""

import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote

SECONDS = 20.0
PROOF_SECONDS = 120.0
# What Gemini says to a wrong key is a 400, as for any other mistake.
WRONG_KEY = b"API_KEY_INVALID"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A key goes where it was sent, and no further."""

    def redirect_request(self, *_: Any) -> None:
        """Follow none."""


def free_call(litellm: str, api_base: str, key: str) -> urllib.request.Request:
    """The request for a provider's list of models; `litellm` is the kind of its API, the rest is OpenAI's."""
    base = api_base.rstrip("/")
    if litellm == "anthropic":
        path = "" if base.endswith("/v1") else "/v1"
        return urllib.request.Request(f"{base}{path}/models", headers={"x-api-key": key, "anthropic-version": "2023-06-01"})
    if litellm == "gemini":
        return urllib.request.Request(f"{base}/models", headers={"x-goog-api-key": key})
    return urllib.request.Request(f"{base}/models", headers={"authorization": f"Bearer {key}"})


def status_of(request: urllib.request.Request) -> int:
    """What comes of a request, by way of the guard that the environment names; a wrong key is a 401 whatever the provider makes of it."""
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        with opener.open(request, timeout=SECONDS) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return 401 if error.code == 400 and WRONG_KEY in error.read(100_000) else error.code
    except (OSError, ValueError):
        return 0


def proof(file: str) -> dict[str, Any]:
    """What the proxy says of a key that is in place."""
    master_key = Path(os.environ["LLM_PROXY_MASTER_KEY_FILE"]).read_text(encoding="ascii").strip()
    # server.py's own door: callers may hold all connections of theirs.
    url = f"http://127.0.0.1:4001/ocweb/proof?key={quote(file)}"
    request = urllib.request.Request(url, b"", {"authorization": f"Bearer {master_key}"}, method="POST")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=PROOF_SECONDS) as response:
            found: dict[str, Any] = json.load(response)
            return {"status": found["status"], "fingerprint": found["fingerprint"], "model": found["model"]}
    except (OSError, ValueError, LookupError):
        return {"status": 0}


if __name__ == "__main__":
    what, *arguments = sys.argv[1:]
    print(json.dumps(proof(*arguments) if what == "prove" else {"status": status_of(free_call(**json.load(sys.stdin)))}))
