"""The container's health check: exit 0 when the proxy answers within two seconds, else 1. Run it with `python3 -IS`."""

import http.client
import os
import sys

connection = http.client.HTTPConnection(os.environ.get("LLM_PROXY_LISTEN") or "127.0.0.1", 4000, timeout=2)
try:
    connection.request("GET", "/health/liveliness")
    healthy = connection.getresponse().status == 200
except (OSError, UnicodeError, http.client.HTTPException):
    healthy = False
sys.exit(not healthy)
