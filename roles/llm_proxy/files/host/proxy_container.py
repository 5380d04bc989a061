"""The proxy's container, as far as keys concern it: what it makes of one. Standard library only."""

from __future__ import annotations

import json
import subprocess
from typing import Any

SECONDS = 150
PROBE = ["/app/bin/python", "-IS", "/app/lib/ocweb/probe.py"]


class ProxyContainer:
    """The running container of a Compose project's service ``llm-proxy``; ``name`` is "" where there is none.

    ``trouble`` is what the engine says where it cannot be asked.
    """

    def __init__(self, project: str) -> None:
        found = ["--filter", f"label=com.docker.compose.project={project}", "--filter", "label=com.docker.compose.service=llm-proxy"]
        done = self._run(["docker", "ps", "--quiet", *found])
        self.name = done.stdout.strip()
        self.trouble = done.stderr.strip() if done.returncode else ""

    def try_key(self, litellm: str, api_base: str, key: str) -> int:
        """Return the status of a call with the key that costs nothing, by way of the egress guard; 0 is no answer."""
        return self._probe(["try"], json.dumps({"litellm": litellm, "api_base": api_base, "key": key})).get("status", 0)  # type: ignore[no-any-return]

    def prove(self, name: str) -> dict[str, Any]:
        """Return what came of a request through the proxy with the key in place: ``status``, and ``fingerprint`` where there was one."""
        return self._probe(["prove", name], "")

    def _probe(self, arguments: list[str], given: str) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self._run(["docker", "exec", "--interactive", self.name, *PROBE, *arguments], given).stdout)
        except ValueError:
            return {"status": 0}
        return found

    def _run(self, command: list[str], given: str = "") -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(command, input=given, capture_output=True, text=True, timeout=SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return subprocess.CompletedProcess(command, 99, "", str(error))
