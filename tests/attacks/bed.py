"""The world around the server under attack: the fake internet with its record, the neighbour, and who is where in it.

A conftest.py gets the fixtures `server`, `internet`, `neighbour` and `canaries` with `bed.fixtures(globals())`.
"""

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from stack import until_healthy

Record = dict[str, Any]

# Each scenario in the bed has a world of its own, and calls it after itself.
NAME = os.environ.get("OCWEB_WORLD", "ocweb-isolation")
SCENARIO = Path(__file__).resolve().parents[2] / "molecule" / NAME.removeprefix("ocweb-")
# Molecule's inventories link to it. It lies here because these modules are read on any controller, with or without the bed.
WORLD_FILE = Path(__file__).with_name("world.yml")
WORLD: dict[str, Any] = yaml.safe_load(WORLD_FILE.read_text(encoding="utf-8").replace("{{ world_name }}", NAME))["world"]
SERVER: dict[str, str] = WORLD["server"]
NAMES: dict[str, list[str]] = WORLD["names"]
HOST_SERVICE: dict[str, Any] = WORLD["host_service"]
ATTACKER = NAMES["evil.example"][0]
ATTACKER6 = NAMES["evil6.example"][0]
LAN_SERVICE = NAMES["private.example"][0]
LAN_SERVICE6 = NAMES["private6.example"][0]
METADATA = NAMES["metadata.example"][0]
PROVIDERS = {
    "openai": "api.openai.com",
    "anthropic": "api.anthropic.com",
    "gemini": "generativelanguage.googleapis.com",
    "house": "models.example",
}


class Companion:
    """A container next to the server's."""

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, *command: str, timeout: float = 60) -> "subprocess.CompletedProcess[str]":
        """Run a command in it; one word alone is a shell script. It may fail."""
        words = ["sh", "-c", *command] if len(command) == 1 else command
        full = ["docker", "exec", self.name, *words]
        return subprocess.run(full, check=False, capture_output=True, text=True, timeout=timeout)

    def output(self, *command: str, timeout: float = 60) -> str:
        """Run a command that has to succeed, and return what it prints."""
        done = self.run(*command, timeout=timeout)
        if done.returncode:
            raise RuntimeError(f"{shlex.join(command)} in {self.name}: {done.stderr or done.stdout}")
        return done.stdout


class Server(Companion):
    """The server itself, seen from the engine that it runs on; the tests' `host` is the same one."""

    def __init__(self) -> None:
        super().__init__(WORLD["containers"]["server"])

    def subnets(self) -> list[str]:
        """Return the subnets of all networks of the server's engine."""
        names = self.output("docker network ls --quiet --filter driver=bridge").split()
        networks = json.loads(self.output("docker", "network", "inspect", *names))
        return [config["Subnet"] for network in networks for config in network["IPAM"]["Config"]]

    def restart(self) -> None:
        """Restart the server as a whole, and wait until it and the stack are up again."""
        subprocess.run(["docker", "restart", self.name], check=True, capture_output=True, timeout=120)
        self.output("until systemctl is-system-running --wait >&2; do sleep 0.1; done", timeout=120)
        self.wait_for_stack()

    def restart_engine(self) -> None:
        """Restart the engine on the server, and wait until the stack is up again."""
        self.output("systemctl restart docker", timeout=120)
        self.wait_for_stack()

    def wait_for_stack(self) -> None:
        """Wait until all services are healthy."""
        self.output(until_healthy("ocweb"), timeout=300)


class Internet(Companion):
    """The fake internet. Whatever reaches it is in its record; see molecule/shared/internet."""

    def __init__(self) -> None:
        super().__init__(WORLD["containers"]["internet"])

    def records(self, since: int = 0, wait: float = 0) -> list[Record]:
        """Return the record after its first `since` entries; where there is none yet, wait `wait` seconds for one."""
        url = f"http://127.0.0.1:{WORLD['records_port']}/records?since={since}&wait={wait}"
        lines = self.output("curl", "--silent", "--show-error", "--fail", url, timeout=wait + 30)
        return [json.loads(line) for line in lines.splitlines()]

    def mark(self) -> int:
        """Return how long the record is now, for `since`."""
        url = f"http://127.0.0.1:{WORLD['records_port']}/count"
        return int(self.output("curl", "--silent", "--show-error", "--fail", url))

    def wait_for(self, wanted: Callable[[Record], bool], since: int = 0, timeout: float = 10) -> Record:
        """Return the first entry after `since` that is wanted, as soon as it is there.

        Raises:
            TimeoutError: it did not come in time.
        """
        end = time.monotonic() + timeout
        seen: list[Record] = []
        while (left := end - time.monotonic()) > 0:
            new = self.records(since + len(seen), left)
            if found := next(filter(wanted, new), None):
                return found
            seen += new
        raise TimeoutError(f"Among {len(seen)} entries in {timeout} s was none that was wanted: {seen[-5:]}")

    def ask(self, path: str, wish: object = None) -> Any:
        """Ask those who run the fake internet; POST where something is wished for. See RecordsHandler in internet.py."""
        sent = [] if wish is None else ["--data", "@-"]
        url = f"http://127.0.0.1:{WORLD['records_port']}{path}"
        command = ["docker", "exec", "--interactive", self.name, "curl", "--silent", "--show-error", "--fail", *sent, url]
        said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60, input=json.dumps(wish)).stdout
        return json.loads(said)

    def accounts(self) -> dict[str, Any]:
        """Return how each provider's keys were used: {provider: {"keys": {fingerprint: use}}}."""
        return dict(self.ask("/accounts"))

    def change(self, **wishes: dict[str, Any]) -> None:
        """Change what providers accept; see Account.change in molecule/shared/internet/accounts.py."""
        self.ask("/accounts", wishes)

    def fresh(self, *providers: str) -> list[str]:
        """Return a new key for each of the providers, in its vendor's shape."""
        return list(self.ask("/keys", providers))

    def canaries(self) -> dict[str, str]:
        """Return the providers' keys that the stack was first deployed with."""
        keys: dict[str, str] = json.loads(self.output("cat", "/world/keys.json"))
        return keys


class Neighbour(Companion):
    """Another machine on the server's LAN, with python3, curl and the right to change its network."""

    def __init__(self) -> None:
        super().__init__(WORLD["containers"]["neighbour"])

    def route(self, subnets: Sequence[str]) -> None:
        """Send what is for these subnets, such as those of the server's containers, to the server."""
        for subnet in subnets:
            via = SERVER["lan6" if ":" in subnet else "lan"]
            self.output("ip", "route", "replace", subnet, "via", via)

    def answer(self, address: str, port: int, timeout: float = 3) -> str:
        """Return the answer to an HTTP request, with its head; "" is none."""
        host = f"[{address}]" if ":" in address else address
        return self.run("curl", "--silent", "--include", "--max-time", str(timeout), f"http://{host}:{port}/probe").stdout


def deploy(
    scenario: Path, variables: dict[str, object], *options: str, play: str | Path = "converge.yml"
) -> "subprocess.CompletedProcess[str]":
    """Deploy to a Molecule scenario's server with other variables, by one of its plays or another, and without the audit at the end.

    What was said comes back in `stdout`, in one line.
    """
    playbook = Path(sys.executable).with_name("ansible-playbook")
    settings: list[str | Path] = ["--inventory", scenario / "inventory", "--extra-vars", json.dumps({"stack_verify": False, **variables})]
    command: list[str | Path] = [playbook, *settings, *options, scenario / play]
    plain = {**os.environ, "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(command, env=plain, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    done.stdout = " ".join(done.stdout.split())
    return done


# A test that asks for one of these is for the bed, marked so or not: some of them restart the server.
FIXTURES = ("server", "internet", "neighbour", "canaries")


def fixtures(namespace: dict[str, object]) -> None:
    """Put the fixtures `server`, `internet`, `neighbour` and `canaries` into a module's namespace."""

    @pytest.fixture(scope="session")
    def server() -> Server:
        return Server()

    @pytest.fixture(scope="session")
    def internet() -> Internet:
        return Internet()

    @pytest.fixture(scope="session")
    def neighbour() -> Neighbour:
        return Neighbour()

    @pytest.fixture(scope="session")
    def canaries(internet: Internet) -> dict[str, str]:
        return internet.canaries()

    namespace.update(server=server, internet=internet, neighbour=neighbour, canaries=canaries)
