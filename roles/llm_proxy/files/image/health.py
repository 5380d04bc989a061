"""The container's health check: exit 0 when the proxy answers within two seconds, else 1. Run it with `python3 -IS`."""

import http.client
import sys

# server.py's own door: callers may hold all connections of theirs.
connection = http.client.HTTPConnection("127.0.0.1", 4001, timeout=2)
try:
    connection.request("GET", "/health/liveliness")
    healthy = connection.getresponse().status == 200
except (OSError, http.client.HTTPException):
    healthy = False
sys.exit(not healthy)
