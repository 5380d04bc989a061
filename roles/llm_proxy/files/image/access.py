"""Who may do what: the one list of routes that need no key. Standard library only."""

import hmac
from collections.abc import Mapping
from enum import Enum
from typing import Any

# What OpenCode's provider package @ai-sdk/openai-compatible calls, and the container's health check.
KEYLESS_ROUTES = frozenset(
    {
        ("POST", "/v1/chat/completions"),
        ("GET", "/v1/models"),
        ("GET", "/health/liveliness"),
    }
)

# Where the gate tells auth.py, in the ASGI scope, whom it has admitted: a client can put nothing there.
ADMITTED = "ocweb.admitted"


class Caller(Enum):
    """Whom a request comes from, as far as it concerns what it may do."""

    ADMIN = "admin"
    KEYLESS = "keyless"
    STRANGER = "stranger"


def identify(scope: Mapping[str, Any], master_key: str) -> Caller:
    """Tell the caller of an ASGI http `scope`; with the master key "", nobody is the admin.

    A request that presents any Authorization is judged by that alone: a wrong key is not taken for no key.
    """
    credentials = [value for name, value in scope["headers"] if name.lower() == b"authorization"]
    if credentials:
        expected = b"Bearer " + master_key.encode()
        right = master_key != "" and len(credentials) == 1 and hmac.compare_digest(credentials[0], expected)
        return Caller.ADMIN if right else Caller.STRANGER
    return Caller.KEYLESS if is_keyless_route(scope) else Caller.STRANGER


def is_keyless_route(scope: Mapping[str, Any]) -> bool:
    """Compare method and path exactly; a path that means one of ours only once decoded or normalised is not ours."""
    path = scope["path"]
    literal = scope.get("raw_path") == path.encode() and not scope.get("root_path")
    return literal and (scope["method"], path) in KEYLESS_ROUTES
