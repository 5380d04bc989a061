"""The egress guard is healthy where each of its listeners refuses."""

import re
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

ROLE = Path(__file__).parents[3] / "roles/llm_proxy"
LISTENERS = re.findall(r"^http_port \S+ .*", (ROLE / "templates/squid.conf.j2").read_text(encoding="utf-8"), re.M)


class Listener(ThreadingHTTPServer):
    """Answers with a status."""

    def __init__(self, status: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = status
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    """Answers as its listener says."""

    server: Listener

    def do_GET(self) -> None:
        self.send_error(self.server.status)

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


def healthy(folder: Path, *lines: str) -> bool:
    """Tell what the health check says where squid.conf has these lines."""
    (folder / "squid.conf").write_text("# Squid's.\n" + "".join(f"{line}\n" for line in lines), encoding="utf-8")
    script = (ROLE / "files/egress/health").read_text(encoding="utf-8").replace("/etc/egress", str(folder))
    return subprocess.run(["bash", "-c", script], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("statuses", [(403, 403, 403), (200, 403, 403), (403, 200, 403), (403, 403, 200)])
def test_every_listener_is_asked(tmp_path: Path, statuses: tuple[int, ...]) -> None:
    """Those of the proxy, the agent's tools, and the gateway."""
    listeners = [Listener(status) for status in statuses]
    lines = [
        re.sub(r"egress-\w+:\d+", f"127.0.0.1:{listener.server_port}", line) for line, listener in zip(LISTENERS, listeners, strict=True)
    ]
    assert healthy(tmp_path, *lines) == (set(statuses) == {403})
    listeners[-1].shutdown()
    listeners[-1].server_close()
    assert not healthy(tmp_path, *lines)
    for listener in listeners[:-1]:
        listener.shutdown()
        listener.server_close()


def test_without_a_listener_there_is_no_guard(tmp_path: Path) -> None:
    assert not healthy(tmp_path)
