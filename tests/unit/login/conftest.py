"""The login, served to the tests."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from login_bed import PASSWORD, Caddy

import login
import passwords


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> str:
    """A hash that costs next to nothing, as all do from then on."""
    monkeypatch.setattr(passwords, "LOG_BLOCKS", 1)
    return passwords.hashed(PASSWORD)


@pytest.fixture
def caddy(tmp_path: Path, stored: str) -> Iterator[Caddy]:
    users = tmp_path / "users.json"
    users.write_text(json.dumps({"dev": stored, "weak": passwords.hashed("x")}), encoding="utf-8")
    server = login.served(users, tmp_path, 1, ("127.0.0.1", 0))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    handler = cast("type[login.Handler]", server.RequestHandlerClass)
    yield Caddy(server.server_address[1], users, handler)
    server.shutdown()
    thread.join()
    server.server_close()
