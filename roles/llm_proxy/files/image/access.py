"""Who may do what: the one list of routes that need no key, and the master key. Standard library only."""

import hmac
import os
import sys
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

MASTER_KEY_FILE = "LLM_PROXY_MASTER_KEY_FILE"
MASTER_KEY_MIN_CHARS = 32

# What OpenCode's provider package @ai-sdk/openai-compatible calls, and the container's health check.
KEYLESS_ROUTES = frozenset(
    {
        ("POST", "/v1/chat/completions"),
        ("GET", "/v1/models"),
        ("GET", "/health/liveliness"),
    }
)


class Caller(Enum):
    """Whom a request comes from, as far as it concerns what it may do."""

    ADMIN = "admin"
    KEYLESS = "keyless"
    STRANGER = "stranger"


def identify(scope: Mapping[str, Any], master_key: str) -> Caller:
    """Tell the caller of an ASGI http `scope`.

    A request that presents any Authorization is judged by that alone: a wrong key is not taken for no key.
    """
    credentials = [value for name, value in scope["headers"] if name.lower() == b"authorization"]
    if credentials:
        expected = b"Bearer " + master_key.encode()
        return Caller.ADMIN if len(credentials) == 1 and hmac.compare_digest(credentials[0], expected) else Caller.STRANGER
    return Caller.KEYLESS if is_keyless_route(scope) else Caller.STRANGER


def is_keyless_route(scope: Mapping[str, Any]) -> bool:
    """Compare method and path exactly; a path that means one of ours only once decoded or normalised is not ours."""
    path = scope["path"]
    literal = scope.get("raw_path") == path.encode() and not scope.get("root_path")
    return literal and (scope["method"], path) in KEYLESS_ROUTES


def load_master_key(environ: Mapping[str, str] = os.environ) -> str:
    """Read the master key from the file that LLM_PROXY_MASTER_KEY_FILE names.

    Exits the process with one line on stderr when there is none, or one shorter than 32 characters.
    """
    try:
        key = Path(environ[MASTER_KEY_FILE]).read_text(encoding="ascii").strip()
    except KeyError:
        sys.exit(f"llm-proxy: {MASTER_KEY_FILE} is not set; it names the file that holds the master key")
    except (OSError, UnicodeDecodeError) as error:
        sys.exit(f"llm-proxy: the master key in {environ[MASTER_KEY_FILE]} cannot be read ({type(error).__name__})")
    if len(key) < MASTER_KEY_MIN_CHARS:
        sys.exit(f"llm-proxy: the master key in {environ[MASTER_KEY_FILE]} has fewer than {MASTER_KEY_MIN_CHARS} characters")
    return key
