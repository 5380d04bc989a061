"""A deployed stack, as the tests look at it: what the engine says of it, and what is to be had from inside its containers."""

import base64
import json
import shlex
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, TypeVar

from testinfra.backend.base import CommandResult
from testinfra.host import Host

SERVICES = ("egress", "llm-proxy", "backend", "frontend", "gateway")
# Each listens on the network of those who call it alone, under this name.
LISTENS = {
    "egress": ("egress-llm", 3128),
    "llm-proxy": ("llm-proxy-llm", 4000),
    "backend": ("backend-app", 4096),
    "frontend": ("frontend-web", 3000),
    "gateway": ("gateway-edge", 3000),
}
# Every port that any of them listens on.
PORTS = (2020, 2021, 3000, 3080, 3128, 3129, 3130, 4000, 4001, 4096)
STATUS = "curl --silent --output /dev/null --max-time 10 --write-out '%{http_code}'"

# For each HOST PORT, a few at once, asks over TCP what HTTP servers answer, and prints "HOST PORT ANSWER", the answer in base64.
ASK = r"""
ask() { timeout 3 bash -c 'exec 3<>"/dev/tcp/$0/$1" && printf "$2\r\nHost: probe\r\n\r\n" >&3 && head -c 2000 <&3' "$@" 2>/dev/null; }
width=$1 request=$2 n=0; shift 2
while [ $# -gt 0 ]; do
  { printf '%s %s %s\n' "$1" "$2" "$(ask "$1" "$2" "$request" | base64 -w0)"; } & shift 2
  n=$((n + 1)); [ $((n % width)) -ne 0 ] || wait
done
wait
"""

# What a look into a container shows, each part under its name.
LOOK = """
part() { echo "== $1"; }
part status; cat /proc/1/status /proc/self/status
part core; ulimit -Hc; ulimit -Sc
part left; for folder in /usr/local/bin /etc /app /usr/lib /var /root; do touch $folder/left 2>/dev/null && echo $folder; done
part mounts; cat /proc/mounts
part sockets; find / -xdev -type s 2>/dev/null
part ipv6; cat /proc/net/if_inet6 2>/dev/null
part route; cat /proc/net/route
part routed; cat /proc/sys/net/ipv4/conf/all/accept_source_route
part tcp; cat /proc/net/tcp /proc/net/tcp6 2>/dev/null
part environment; tr '\\0' '\\n' </proc/self/environ
"""

# Prints how many bytes a command says, and which secrets are in them; each file of secrets is a secret, and none of them leaves the server.
SEARCH = r"""
umask 077; said=$(mktemp -p /dev/shm); trap 'rm -f "$said"' EXIT
sh -c "$1" >"$said" 2>&1; shift
stat --format %s "$said"
for secret in "$@"; do if [ -s "$secret" ] && grep --quiet --text --fixed-strings --file="$secret" "$said"; then echo "$secret"; fi; done
"""


Found = TypeVar("Found")


def soon(look: Callable[[], Found], seconds: float = 10) -> Found:
    """Return what a look finds, as soon as that is something; after so many seconds, whatever it is."""
    end = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < end:
        time.sleep(0.2)
    return found


def until_healthy(project: str) -> str:
    """Return a command of the shell that waits until all services of a stack are healthy.

    Compose gives up at the first word of being unwell, which is what the engine calls one that has just died.
    """
    ids = f"docker ps --all --quiet --filter label=com.docker.compose.project={project}"
    states = f"docker inspect --format '{{{{.State.Running}}}} {{{{.State.Health.Status}}}}' $({ids}) | sort --unique"
    loop = f'until [ "$({states})" = "true healthy" ]; do sleep 0.2; done'
    return f"timeout 280 sh -c {shlex.quote(loop)}"


class Stack:
    """The stack of one Compose project on a server."""

    def __init__(self, server: Host, project: str = "ocweb", mode: str = "production") -> None:
        self.server = server
        self.project = project
        self.mode = mode

    @property
    def debugged(self) -> bool:
        """Whether the agent's server has a port on loopback, which development alone opens."""
        return self.mode == "development" and "4096/tcp" in (self.containers["gateway"]["HostConfig"]["PortBindings"] or {})

    @cached_property
    def containers(self) -> dict[str, dict[str, Any]]:
        """What the engine knows of each service's container; `refresh` asks anew."""
        ids = f"docker ps --all --quiet --filter label=com.docker.compose.project={self.project}"
        found = json.loads(self.server.check_output(f"docker container inspect $({ids})"))
        return {one["Config"]["Labels"]["com.docker.compose.service"]: one for one in found}

    @cached_property
    def networks(self) -> dict[str, dict[str, Any]]:
        """What the engine knows of each of the project's networks, by its name in the project."""
        ids = f"docker network ls --quiet --filter label=com.docker.compose.project={self.project}"
        found = json.loads(self.server.check_output(f"docker network inspect $({ids})"))
        return {one["Name"].removeprefix(f"{self.project}_"): one for one in found}

    @cached_property
    def inner(self) -> dict[str, dict[str, str]]:
        """What a look into each service's container shows, by the parts of LOOK."""
        with ThreadPoolExecutor() as pool:
            looks = dict(zip(SERVICES, pool.map(lambda service: self.inside(service, LOOK).stdout, SERVICES), strict=True))
        found: dict[str, dict[str, str]] = {}
        for service, text in looks.items():
            parts = [part.partition("\n") for part in text.split("== ")[1:]]
            found[service] = {name: lines for name, _, lines in parts}
        return found

    @cached_property
    def folder(self) -> str:
        """The stack's folder on the server."""
        return self.labels["com.docker.compose.project.working_dir"]

    @property
    def labels(self) -> dict[str, str]:
        """The gateway's labels; those of ours say how it was deployed, which is not how it behaves."""
        labels: dict[str, str] = self.containers["gateway"]["Config"]["Labels"]
        return labels

    @property
    def secured(self) -> bool:
        """Whether the gateway was deployed with TLS and a login."""
        return self.labels.get("ocweb.url", "").startswith("https://") and self.labels.get("ocweb.login") == "true"

    @property
    def acme(self) -> bool:
        """Whether the gateway gets its certificates from an authority elsewhere."""
        return self.labels.get("ocweb.acme") == "true"

    @property
    def published_page(self) -> bool:
        """Whether the page is oc-web as it is published, and neither OpenCode's nor built from a source."""
        return self.labels.get("ocweb.page") == "published"

    @property
    def files(self) -> list[str]:
        """The paths of the Compose files that describe the stack as it runs."""
        return self.labels["com.docker.compose.project.config_files"].split(",")

    def refresh(self) -> None:
        """Forget what was asked, because something was changed."""
        for name in ("containers", "networks", "inner"):
            self.__dict__.pop(name, None)

    def name(self, service: str) -> str:
        """Return the name of a service's container."""
        return str(self.containers[service]["Name"].removeprefix("/"))

    def addresses(self, service: str) -> list[str]:
        """Return the container's addresses on all its networks."""
        networks = self.containers[service]["NetworkSettings"]["Networks"].values()
        return [network["IPAddress"] for network in networks if network["IPAddress"]]

    def members(self, service: str) -> set[str]:
        """Return the networks that a container is on, by their names in the project."""
        return {name.removeprefix(f"{self.project}_") for name in self.containers[service]["NetworkSettings"]["Networks"]}

    def compose(self, command: str) -> str:
        """Run a Compose command on the stack and return what it prints."""
        files = shlex.join(f"--file={path}" for path in self.files)
        return str(self.server.check_output(f"cd {shlex.quote(self.folder)} && docker compose {files} {command}"))

    def wait_until_healthy(self) -> None:
        """Wait until all services are, as they come back by themselves."""
        self.server.check_output(until_healthy(self.project))

    def described(self, kind: str, name: str) -> dict[str, Any]:
        """Return what the engine knows now of a container, an image or a network."""
        found: list[dict[str, Any]] = json.loads(self.server.check_output(f"docker {kind} inspect %s", name))
        return found[0]

    def container(self, service: str) -> dict[str, Any]:
        """Return what the engine knows now of a service's container."""
        return self.described("container", self.name(service))

    def inside(self, service: str, script: str, *arguments: str) -> CommandResult:
        """Run a bash script in a service's container, as the service's user.

        Where the engine could not start it, which it now and then cannot under load, nothing was tried: it is started again.
        """
        for _ in range(3):
            done = self._exec(service, script, *arguments)
            if not (done.rc == 126 and "OCI runtime exec failed" in done.stdout + done.stderr):
                break
        return done

    def _exec(self, service: str, script: str, *arguments: str) -> CommandResult:
        return self.server.run(shlex.join(["docker", "exec", self.name(service), "bash", "-c", script, "bash", *arguments]))

    def output(self, service: str, script: str) -> str:
        """Run a bash script that has to succeed in a service's container, and return what it prints."""
        done = self.inside(service, script)
        assert done.rc == 0, done.stderr
        return str(done.stdout.rstrip("\n"))

    def answers(self, service: str, targets: Iterable[tuple[str, int]], request: str = "GET /probe HTTP/1.0") -> dict[tuple[str, int], str]:
        """Ask all targets (name or address, port) at once from a service's container; return the answers' heads, "" where none came.

        Some networks accept every TCP connection, so that only an answer tells that someone was reached.
        """
        words = [word for name, port in targets for word in (name, str(port))]
        found = {}
        # Each takes a handful of processes, which are limited.
        width = self.containers[service]["HostConfig"]["PidsLimit"] // 8
        for line in self.inside(service, ASK, str(width), request, *words).stdout.splitlines():
            name, port, answer = [*line.split(" "), ""][:3]
            text = base64.b64decode(answer).decode(errors="replace").replace("\r", "")
            found[name, int(port)] = text.partition("\n\n")[0]
        return found

    def answered(self, service: str, targets: Iterable[tuple[str, int]]) -> list[str]:
        """Return those of the targets that answer a service's container, as `name:port`."""
        return [f"{name}:{port}" for (name, port), answer in self.answers(service, targets).items() if answer]

    def secret(self, path: str) -> str:
        """Read a secret from the stack's folder. Only for servers of the tests' own."""
        return str(self.server.check_output("cat %s", f"{self.folder}/{path}"))

    def key_files(self) -> list[str]:
        """Return the paths of the files on the server that hold what only the proxy may have: providers' keys, and the master key."""
        folders = shlex.join(f"{self.folder}/llm-proxy/{name}" for name in ("keys", "secrets"))
        # A decoy lies in the proxy's folder to be known there, and elsewhere to be found.
        return str(self.server.check_output(f"find {folders} -type f ! -name canary")).splitlines()

    def leaked(self, command: str, secrets: Sequence[str] | None = None) -> tuple[int, list[str]]:
        """Run a command on the server; return how many bytes it printed, and the names of the secrets that were among them."""
        paths = self.key_files() if secrets is None else list(secrets)
        words = shlex.join(["sh", "-c", SEARCH, "sh", command, *paths])
        size, *found = self.server.check_output(words).splitlines()
        return int(size), [path.removeprefix(f"{self.folder}/") for path in found]

    def backend(self, path: str, body: object = None) -> Any:
        """Call OpenCode's API with its password; POST where there is a body."""
        data = "" if body is None else f"--header 'Content-Type: application/json' --data {shlex.quote(json.dumps(body))}"
        sign_in = """printf 'user = "opencode:%s"\\n' "$(cat /run/secrets/backend/password)" | curl --config -"""
        return json.loads(
            self.output("backend", f"{sign_in} --silent --show-error --fail-with-body {data} 'http://backend-app:4096{path}'")
        )

    def ask(self, session: str, text: str, query: str = "") -> str:
        """Send a message to a session of OpenCode's, and return the text of the answer."""
        answer = self.backend(f"/session/{session}/message{query}", {"parts": [{"type": "text", "text": text}]})
        return "".join(part["text"] for part in answer["parts"] if part["type"] == "text")

    def from_backend(self, *arguments: str) -> str:
        """Return the HTTP status that curl gets in the backend's container; "000" is no connection."""
        return str(self.inside("backend", f"{STATUS} {shlex.join(arguments)}").stdout)

    def from_server(self, *arguments: str) -> str:
        """Return the HTTP status that curl gets on the server itself; "000" is no connection."""
        return str(self.server.run(f"{STATUS} {shlex.join(arguments)}").stdout)

    def statuses(self, requests: Sequence[Sequence[str]], place: str = "") -> list[str]:
        """Return the HTTP statuses that curl gets for several requests, on the server or in a service's container; "000" is none.

        Where a proxy refuses a tunnel, its status is the request's.
        """
        # One process for all of them: they cost a tenth of what as many processes do.
        said = "--silent --output /dev/null --max-time 10 --write-out"
        blocks = [f"{said} '{number} %{{http_code}} %{{http_connect}}\\n' {shlex.join(one)}" for number, one in enumerate(requests)]
        script = f"curl --parallel --parallel-max 20 {' --next '.join(blocks)}"
        done = self.inside(place, script) if place else self.server.run(shlex.join(["bash", "-c", script]))
        found = {}
        for number, code, connect in map(str.split, done.stdout.splitlines()):
            found[number] = connect if code == "000" and connect != "200" else code
        return [found.get(str(number), "none") for number in range(len(requests))]
