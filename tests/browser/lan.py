"""What is asked from the LAN, and answered, without a browser."""

import http.client
import ssl
from collections.abc import Mapping
from urllib.parse import urlsplit

from conftest import TRUST, URL

HOST = str(urlsplit(URL).hostname)
NAME, PASSWORD = "dev", "correct horse battery"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
Answer = tuple[int, http.client.HTTPMessage, str]


def ask(method: str, path: str, headers: Mapping[str, str] | None = None, body: str | None = None, host: str = HOST) -> Answer:
    """Return status, headers and text of an answer, from a server whose certificate is proven where it is the one at URL."""
    context = ssl.create_default_context(cafile=TRUST)
    if host != HOST:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection(host, timeout=30, context=context)
    connection.request(method, path, body, dict(headers or {}))
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read().decode(errors="replace")
