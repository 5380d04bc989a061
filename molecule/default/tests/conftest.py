"""What the tests look at: the server, and its containers as the engine on it describes them."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from testinfra.backend.base import CommandResult
from testinfra.host import Host

SCENARIO = Path(__file__).resolve().parents[1]
DIR = "/opt/ocweb"
SERVICES = ("egress", "llm-proxy", "backend", "frontend", "gateway")
# Each listens on the network of those who call it alone, under this name.
LISTENS = {
    "egress": ("egress-llm", 3128),
    "llm-proxy": ("llm-proxy-llm", 4000),
    "backend": ("backend-app", 4096),
    "frontend": ("frontend-web", 3000),
    "gateway": ("gateway-edge", 3000),
}
STATUS = "curl --silent --output /dev/null --max-time 10 --write-out '%{http_code}'"


def deploy(variables: dict[str, object], *options: str) -> "subprocess.CompletedProcess[str]":
    """Deploy to the scenario's server with other variables; what was said comes back in `stdout`, in one line."""
    playbook = Path(sys.executable).with_name("ansible-playbook")
    command = [playbook, "--inventory", SCENARIO / "inventory", "--extra-vars", json.dumps(variables), *options, SCENARIO / "converge.yml"]
    plain = {**os.environ, "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1"}
    run = subprocess.run(command, env=plain, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    run.stdout = " ".join(run.stdout.split())
    return run


class Stack:
    """The deployed stack on a server."""

    def __init__(self, server: Host) -> None:
        self.server = server

    def compose(self, command: str) -> str:
        """Run a Compose command on the stack and return what it prints."""
        return str(self.server.check_output(f"cd {DIR} && docker compose {command}"))

    def described(self, kind: str, name: str) -> dict[str, Any]:
        """Return what the engine knows of a container, an image or a network."""
        found: list[dict[str, Any]] = json.loads(self.server.check_output(f"docker {kind} inspect %s", name))
        return found[0]

    def container(self, service: str) -> dict[str, Any]:
        """Return what the engine knows of a service's container."""
        return self.described("container", f"ocweb-{service}-1")

    def inside(self, service: str, script: str) -> CommandResult:
        """Run a shell script in a service's container, as the service's user."""
        return self.server.run("docker exec %s sh -c %s", f"ocweb-{service}-1", script)

    def output(self, service: str, script: str) -> str:
        """Run a shell script that has to succeed in a service's container, and return what it prints."""
        return str(self.server.check_output("docker exec %s sh -c %s", f"ocweb-{service}-1", script))

    def secret(self, path: str) -> str:
        """Read a secret from the stack's folder."""
        return str(self.server.check_output("cat %s", f"{DIR}/{path}"))

    def backend(self, path: str, body: object = None) -> Any:
        """Call OpenCode's API with its password; POST where there is a body."""
        data = "" if body is None else f"--header 'Content-Type: application/json' --data {shlex.quote(json.dumps(body))}"
        sign_in = """printf 'user = "opencode:%s"\\n' "$(cat /run/secrets/backend/password)" | curl --config -"""
        return json.loads(self.output("backend", f"{sign_in} --silent --show-error --fail-with-body {data} http://backend-app:4096{path}"))

    def answer(self, service: str, name: str, port: int) -> str:
        """Return the head of an HTTP answer that a service's container gets, without its date; "" is none.

        Some networks answer every TCP connection, so that only what answers tells who was reached.
        """
        command = f"exec 3<>/dev/tcp/{name}/{port} && printf 'GET /probe HTTP/1.0\\r\\nHost: probe\\r\\n\\r\\n' >&3 && head -c 2000 <&3"
        answered = str(self.server.run("docker exec %s timeout 3 bash -c %s", f"ocweb-{service}-1", command).stdout)
        head = answered.replace("\r", "").partition("\n\n")[0].splitlines()
        return "\n".join(line for line in head if not line.lower().startswith("date:"))

    def from_backend(self, *arguments: str) -> str:
        """Return the HTTP status that curl gets in the backend's container; "000" is no connection."""
        return str(self.inside("backend", f"{STATUS} {shlex.join(arguments)}").stdout)

    def from_server(self, *arguments: str) -> str:
        """Return the HTTP status that curl gets on the server itself; "000" is no connection."""
        return str(self.server.run(f"{STATUS} {shlex.join(arguments)}").stdout)


@pytest.fixture(scope="module")
def stack(host: Host) -> Stack:
    """The stack on the server under test."""
    return Stack(host)
