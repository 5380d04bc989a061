"""The real OpenCode as a server, in a home and a workspace of its own, and a client of its API."""

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

BINARY = Path(__file__).parents[2] / ".cache/opencode/bin/opencode"
START_SECONDS = 60


class OpenCode:
    """`opencode serve`, configured as roles/backend/templates/opencode.json.j2 does it, with `models` at `url`."""

    def __init__(self, folder: Path, url: str, models: dict[str, Any], **config: Any) -> None:
        self.workspace = folder / "workspace"
        self.workspace.mkdir()
        subprocess.run(["git", "init", "--quiet"], cwd=self.workspace, check=True)
        options = {"baseURL": "{env:OPENCODE_API}", "timeout": 300000}
        provider = {"npm": "@ai-sdk/openai-compatible", "name": "LLM proxy", "options": options, "models": models}
        first = f"litellm-proxy/{next(iter(models))}"
        (folder / "opencode.json").write_text(
            json.dumps(
                {
                    "permission": {"*": "allow"},
                    **config,
                    "provider": {"litellm-proxy": provider},
                    "enabled_providers": ["litellm-proxy"],
                    "model": first,
                    "small_model": first,
                    "autoupdate": False,
                    "share": "disabled",
                }
            ),
            encoding="utf-8",
        )
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "OPENCODE_API": url,
            "OPENCODE_CONFIG": str(folder / "opencode.json"),
            "OPENCODE_DISABLE_AUTOUPDATE": "1",
            "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
            "OPENCODE_DISABLE_MODELS_FETCH": "1",
        }
        self.log = folder / "log"
        with self.log.open("wb") as log:
            command = [str(BINARY), "serve", "--hostname", "127.0.0.1", "--port", str(port)]
            self.process = subprocess.Popen(command, cwd=self.workspace, env=environment, stdout=log, stderr=log)
        self._await_start()

    def _await_start(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while self.process.poll() is None and time.monotonic() < deadline:
            try:
                # What arrives just after the port is bound may wait for ever.
                self.call("GET", "/global/health", seconds=2)
            except OSError:
                time.sleep(0.2)
            else:
                return
        self.stop()
        raise AssertionError(f"OpenCode does not start: {self.log.read_text(errors='replace')[-2000:]}")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def call(self, method: str, path: str, body: Any = None, seconds: float = 60) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"content-type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=seconds) as response:
            return json.loads(response.read() or "null")

    def session(self) -> str:
        session: str = self.call("POST", "/session", {})["id"]
        return session

    def say(self, session: str, text: str, model: str, *files: dict[str, str], **options: Any) -> dict[str, Any]:
        """Send a message and wait for the whole answer to it: {info, parts}."""
        parts = [{"type": "text", "text": text}, *({"type": "file", **file} for file in files)]
        message = {"model": {"providerID": "litellm-proxy", "modelID": model}, "parts": parts, **options}
        answer: dict[str, Any] = self.call("POST", f"/session/{session}/message", message)
        return answer

    def summarize(self, session: str, model: str) -> None:
        """Have the session's conversation made shorter."""
        self.call("POST", f"/session/{session}/summarize", {"providerID": "litellm-proxy", "modelID": model})
