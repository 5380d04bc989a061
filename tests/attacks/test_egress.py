"""The one way out: what the proxy and the agent's tools are let through to, and what not."""

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

import bed as world
import pytest
from bed import Internet, Server
from stack import Stack, soon
from suite import bed, control, secured, thorough

# Refusals: a tunnel's, a request's.
TUNNEL_REFUSED = "407"
REFUSED = "403"
# What is no address, and a name that has none that may be reached.
NOBODY = ("400", "503", "none")

# Asks the guard for a tunnel to a target, says a name as the name inside TLS, and prints what came: a status, or "closed", or "open".
TUNNEL = """
import socket, ssl, sys
port, target, name = sys.argv[1:]
guard = socket.create_connection(("egress", int(port)), timeout=8)
guard.sendall(f"CONNECT {target} HTTP/1.1\\r\\nHost: {target}\\r\\n\\r\\n".encode())
status = guard.recv(4096).split()[1].decode()
if status != "200" or not name:
    print(status)
else:
    trusting = ssl._create_unverified_context()
    try:
        tunnel = trusting.wrap_socket(guard, server_hostname=name)
        print("open")
    except (OSError, ssl.SSLError):
        print("closed")
"""


def tunnels(stack: Stack, *targets: str, name: str = "") -> list[str]:
    """Have the proxy's container ask the guard for tunnels, and say this name inside TLS, if any."""
    commands = [shlex.join(["/app/bin/python", "-IS", "-c", TUNNEL, "3128", target, name]) for target in targets]
    return stack.output("llm-proxy", "\n".join(commands)).split()


def upstream(stack: Stack) -> str:
    """Return the host of a provider that the proxy is configured for."""
    config = stack.server.check_output("cat %s", f"{stack.folder}/egress/config/squid.conf")
    found = [line.split()[-1] for line in config.splitlines() if line.startswith("acl provider_") and "_name " in line]
    if not found:
        pytest.skip("no provider with TLS is configured here")
    return str(found[0])


@control("egress-providers")
def test_the_proxy_is_not_let_through_to_a_stranger(stack: Stack) -> None:
    """Asks for a tunnel to a host that is no provider."""
    targets = ["evil.example:443", "example.com:443", "192.52.193.66:443", "[2001:3::66]:443", "llm-proxy:4000", "egress:3128"]
    assert tunnels(stack, *targets) == [TUNNEL_REFUSED] * len(targets)


@control("egress-providers")
def test_the_proxy_is_not_let_through_to_another_port_of_its_provider(stack: Stack) -> None:
    """Asks for a tunnel to a provider's other ports, and for its plain HTTP."""
    host = upstream(stack)
    assert tunnels(stack, *(f"{host}:{port}" for port in (80, 22, 8443))) == [TUNNEL_REFUSED] * 3
    assert stack.answers("llm-proxy", [("egress", 3128)], f"GET http://{host}/ HTTP/1.0")["egress", 3128].split()[1] == REFUSED


@control("egress-providers", "egress-tls-name")
@secured
def test_the_gateway_is_let_through_to_its_certificate_authority_alone(stack: Stack) -> None:
    """Asks for tunnels to the authority, by another name inside TLS too, to its other ports, and to others."""
    if not stack.acme:
        pytest.skip("no authority elsewhere gives the certificates (frontend_tls: acme)")
    config = stack.server.check_output("cat %s", f"{stack.folder}/egress/config/squid.conf")
    [host] = re.findall(r"^acl authority_1_host dstdomain -n (\S+)$", config, re.MULTILINE)
    [port] = re.findall(r"^acl authority_1_port port (\d+)$", config, re.MULTILINE)

    def tunnel(target: str, name: str = "") -> str:
        return stack.output("gateway", shlex.join(["python3", "-IS", "-c", TUNNEL, "3130", target, name])).strip()

    assert tunnel(f"{host}:{port}", host) == "open"
    assert tunnel(f"{host}:{port}", "evil.example") == "closed"
    others = [f"{host}:22", f"{host}:8080", "evil.example:443", "example.com:443", "backend:4096", f"egress:{port}"]
    assert [tunnel(target) for target in others] == [TUNNEL_REFUSED] * len(others)


@control("egress-tls-name")
@pytest.mark.parametrize("name", ["evil.example", "example.com"])
def test_an_allowed_name_hides_no_other(stack: Stack, name: str) -> None:
    """Asks for a tunnel to a provider, and says another name inside TLS."""
    assert tunnels(stack, f"{upstream(stack)}:443", name=name) == ["closed"]


@control("egress-tls-name")
@bed
def test_a_provider_is_not_reached_under_anothers_name(stack: Stack, internet: Internet) -> None:
    """Mixes up two names that are both allowed."""
    mark = internet.mark()
    assert tunnels(stack, "api.openai.com:443", name="api.anthropic.com") == ["closed"]
    assert [entry for entry in internet.records(mark) if entry["kind"] == "tls"] == []
    assert tunnels(stack, "api.openai.com:443", name="api.openai.com") == ["open"]
    assert internet.wait_for(lambda entry: entry.get("sni") == "api.openai.com", mark)


ADDRESSES = [
    *(
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "198.18.0.1",
        "127.0.0.1",
        "0.0.0.0",
        "169.254.169.254",
        "169.254.170.2",
        "168.63.129.16",
    ),
    *(
        "2130706433",
        "0x7f000001",
        "017700000001",
        "127.1",
        "0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:169.254.169.254]",
        "[fe80::1]",
        "[fd00::1]",
    ),
    *("egress", "egress-llm", "llm-proxy", "backend", "localhost", "metadata.google.internal"),
]


def tools(stack: Stack, *urls: str) -> list[str]:
    """Return what the agent's tools get for each URL: an HTTP status, the guard's to a tunnel that it refused, or "none"."""
    found = stack.statuses([["--globoff", "--noproxy", "", url] for url in urls], "backend")
    return ["none" if status == "000" else status for status in found]


@control("egress-private")
def test_tools_reach_no_private_address(stack: Stack) -> None:
    """Asks for private, metadata and loopback addresses, spelt in every way that means one, and for the stack's own services."""
    plain = [f"http://{address}/" for address in ADDRESSES]
    assert [(url, status) for url, status in zip(plain, tools(stack, *plain), strict=True) if status not in (REFUSED, *NOBODY)] == []
    secure = [f"https://{address}/" for address in ADDRESSES]
    assert [
        (url, status) for url, status in zip(secure, tools(stack, *secure), strict=True) if status not in (TUNNEL_REFUSED, *NOBODY)
    ] == []


@control("egress-private")
@bed
@pytest.mark.parametrize(
    "name", ["private", "private6", "mapped6", "metadata", "loopback", "loopback6", "zero", "cgnat", "mixed", "hostitself"]
)
def test_a_name_does_not_lead_to_a_private_address(stack: Stack, internet: Internet, name: str) -> None:
    """Asks for a name of the attacker's that resolves to a private address, or to the server's own public one."""
    mark = internet.mark()
    assert set(tools(stack, f"http://{name}.example/", f"https://{name}.example/")) <= (
        {REFUSED, TUNNEL_REFUSED, *NOBODY} | ({"200"} if name == "mixed" else set())
    )
    assert [
        entry for entry in internet.records(mark) if entry["kind"] in ("http", "tls", "tcp") and entry["address"] != world.ATTACKER
    ] == []


@control("egress-private")
@bed
def test_a_name_that_changes_its_address_does_not_lead_to_a_private_one(stack: Stack, internet: Internet) -> None:
    """Asks often for a name that is public at one moment and private at the next."""
    mark = internet.mark()
    tools(stack, *(f"http{secure}://rebind.example/{number}" for number in range(15) for secure in ("", "s")))
    assert [entry for entry in internet.records(mark) if entry["kind"] in ("http", "tls") and entry["address"] == world.LAN_SERVICE] == []


@control("egress-private")
@bed
def test_a_name_that_changes_after_the_decision_does_not_lead_to_a_private_address(stack: Stack, internet: Internet) -> None:
    """Takes the guard's own rule away, as a name would that changes between its decision and the connection."""
    config = f"{stack.folder}/egress/config/squid.conf"
    restart = f"docker restart --time 1 {stack.name('egress')}"
    stack.server.check_output(f"cp {config} /run/squid.conf && sed -i '/^http_access/s/!private//' {config} && {restart}")
    try:
        stack.wait_until_healthy()
        mark = internet.mark()
        assert tools(stack, "http://private.example/", "http://mixed.example/", "http://web.example/") == ["503", "200", "200"]
        assert [entry for entry in internet.records(mark) if entry["address"] == world.LAN_SERVICE and entry["kind"] == "http"] == []
    finally:
        stack.server.check_output(f"cp /run/squid.conf {config} && rm /run/squid.conf && {restart}")
        stack.wait_until_healthy()


@control("egress-private")
@bed
def test_what_is_allowed_on_the_lan_is_allowed_to_the_proxy_alone(stack: Stack, internet: Internet) -> None:
    """Uses a model on the LAN through the proxy, and asks for its server directly."""
    mark = internet.mark()
    body = json.dumps({"model": "lan", "messages": [{"role": "user", "content": "hello"}]})
    stack.from_backend(
        "--max-time", "60", "--header", "Content-Type: application/json", "--data", body, "http://llm-proxy:4000/v1/chat/completions"
    )
    asked = internet.wait_for(lambda entry: entry["kind"] == "http" and entry["address"] == world.LAN_SERVICE, mark)
    assert (asked["path"], asked["port"], asked["host"]) == ("/v1/chat/completions", 8000, "inference.example:8000")
    mark = internet.mark()
    assert tools(stack, "http://inference.example/", "https://inference.example/") == [REFUSED, TUNNEL_REFUSED]
    assert [entry for entry in internet.records(mark) if entry["kind"] != "dns"] == []


@control("egress-ports")
def test_tools_reach_no_other_port(stack: Stack) -> None:
    """Asks for mail, database and odd web ports of a public host."""
    ports = (21, 25, 110, 465, 587, 853, 3306, 5432, 6379, 8080, 8443)
    assert tools(stack, *(f"https://example.com:{port}/" for port in ports)) == [TUNNEL_REFUSED] * len(ports)
    assert tools(stack, *(f"http://example.com:{port}/" for port in (8080, 443, 22))) == [REFUSED] * 3
    # Squid speaks these too, and FTP at whatever port the other end names.
    asked = [f"GET {scheme}://example.com:80/x HTTP/1.0" for scheme in ("ftp", "whois", "https", "gopher", "urn", "cache_object")]
    answers = [stack.answers("backend", [("egress", 3129)], request)["egress", 3129].split()[1] for request in asked]
    assert [answer for answer in answers if answer not in ("400", REFUSED, "501")] == []


@control("egress-ways")
@thorough
def test_tools_cannot_take_the_proxys_way(stack: Stack) -> None:
    """Asks the proxy's listener of the guard, at each of its addresses, from the agent's container."""
    assert stack.answered("backend", [(name, 3128) for name in ("egress", *stack.addresses("egress"))]) == []
    assert stack.answered("llm-proxy", [(name, 3129) for name in ("egress", *stack.addresses("egress"))]) == []


def decided(stack: Stack, url: str, host: str) -> tuple[list[str], dict[str, Any]]:
    """Have a tool ask for a URL; return its status, and what is on record of the host since then.

    That is written once it is over, for a tunnel at its end.
    """
    since = stack.server.check_output("date +%s.%N")
    statuses = tools(stack, url)

    def decisions() -> list[dict[str, Any]]:
        lines = stack.server.check_output(f"docker logs --since {since} {stack.name('egress')} 2>/dev/null").splitlines()
        return [decision for line in lines if line.startswith("{") and (decision := json.loads(line))["host"] == host]

    found = soon(decisions)
    assert found, f"nothing of {host} is on record"
    return statuses, found[-1]


@control("egress-log")
def test_each_decision_is_on_record(stack: Stack) -> None:
    """Looks for a refusal in the log, which the agent cannot read."""
    _, last = decided(stack, "http://169.254.169.254/on-record", "169.254.169.254")
    assert {**last, "time": "", "milliseconds": 0} == {
        **{"time": "", "who": "backend", "method": "GET", "host": "169.254.169.254", "port": "80", "tls_name": "-", "verdict": "refused"},
        **{"status": 403, "result": "TCP_DENIED", "sent": last["sent"], "received": last["received"], "milliseconds": 0, "address": "-"},
    }
    assert last["received"] > 0
    driver = stack.containers["egress"]["HostConfig"]["LogConfig"]
    assert (driver["Type"], bool(driver["Config"].get("max-size"))) == ("json-file", True)


@control("egress-log")
@bed
def test_a_tunnels_bytes_are_on_record(stack: Stack) -> None:
    """Looks for what went through an allowed tunnel."""
    statuses, last = decided(stack, "https://web.example/", "web.example")
    assert statuses == ["200"]
    assert (last["who"], last["host"], last["tls_name"], last["verdict"]) == ("backend", "web.example", "web.example", "allowed")
    assert last["sent"] > 300
    assert last["received"] > 300


CLONE = "cd $(mktemp -d) && git clone --quiet {} hello && cat hello/README"


@bed
@pytest.mark.parametrize("address", ["https://git.example/hello.git", "git@git.example:hello.git"])
def test_git_works_through_the_guard(stack: Stack, address: str) -> None:
    """Clones over https and over ssh, as the agent does."""
    cloned = stack.inside("backend", CLONE.format(address))
    assert cloned.stdout.startswith("Hello from the git server."), cloned.stderr


@bed
def test_tools_reach_the_public_internet(stack: Stack) -> None:
    """Asks for public hosts, which the default policy allows."""
    assert tools(stack, "http://web.example/", "https://web.example/", "http://deb.debian.org/debian/") == ["200"] * 3


@control("egress-policy")
def test_the_policy_that_is_set_is_kept(stack: Stack) -> None:
    """Asks for hosts that the policy does not allow; a public one allows names, and no bare addresses."""
    config = stack.server.check_output("cat %s", f"{stack.folder}/egress/config/squid.conf")
    [policy] = re.findall(r"backend_egress_policy is (\w+)", config)
    strangers = ["https://192.0.2.9/", "http://192.0.2.9/"] if policy == "public" else ["https://example.com/", "http://example.org/"]
    assert tools(stack, *strangers) == [TUNNEL_REFUSED, REFUSED]


@pytest.fixture
def redeployed(stack: Stack) -> Iterator[object]:
    """Deploys with other variables for one test, and without them afterwards."""
    changed = []

    def deploy(**variables: object) -> None:
        changed.append(variables)
        done = world.deploy(world.SCENARIO, variables)
        assert done.returncode == 0, done.stdout

    yield deploy
    assert changed
    done = world.deploy(world.SCENARIO, {})
    assert done.returncode == 0, done.stdout
    stack.refresh()


@control("egress-policy")
@bed
def test_a_policy_is_kept(stack: Stack, internet: Internet, redeployed: object) -> None:
    """Deploys with an allow-list, and asks for what is on it, what is not, and what hides behind it."""
    assert callable(redeployed)
    redeployed(backend_egress_policy="allowlist", backend_egress_hosts=["web.example", "git.example", "private.example"])
    assert tools(stack, "http://web.example/", "https://web.example/") == ["200", "200"]
    assert stack.inside("backend", CLONE.format("git@git.example:hello.git")).rc == 0
    mark = internet.mark()
    refused = ["https://evil.example/", "https://sub.web.example/", "https://web.example.evil.example/", "https://web.example:8443/"]
    assert tools(stack, *refused) == [TUNNEL_REFUSED] * len(refused)
    assert tools(stack, "http://evil.example/", "http://private.example/", "https://private.example/") == [REFUSED, "503", "none"]
    hidden = stack.inside(
        "backend", "curl --silent --insecure --max-time 5 --connect-to evil.example:443:web.example:443 https://evil.example/"
    )
    assert (hidden.rc, hidden.stdout) == (35, "")
    assert "nc: Proxy error" in stack.inside("backend", "ssh -o BatchMode=yes git@evil.example").stderr
    assert [entry for entry in internet.records(mark) if entry["kind"] != "dns" and entry["address"] != world.NAMES["git.example"][0]] == []


@control("egress-providers", "inner-networks")
@bed
def test_without_the_guard_nothing_gets_out(stack: Stack, server: Server, internet: Internet) -> None:
    """Stops the guard: everything fails, and fails closed."""
    stack.server.check_output(f"docker stop --time 1 {stack.name('egress')}")
    try:
        mark = internet.mark()
        assert tools(stack, "http://web.example/", "https://web.example/") == ["none", "none"]
        body = json.dumps({"model": "gpt", "messages": [{"role": "user", "content": "hello"}]})
        status = stack.from_backend(
            "--max-time", "60", "--header", "Content-Type: application/json", "--data", body, "http://llm-proxy:4000/v1/chat/completions"
        )
        assert status.startswith("5"), status
        assert [entry for entry in internet.records(mark) if entry["kind"] != "dns"] == []
    finally:
        stack.server.check_output(f"docker start {stack.name('egress')}")
        server.wait_for_stack()


@thorough
def test_the_guard_answers_with_a_reason(stack: Stack) -> None:
    """Reads what a refused tool is told."""
    said = stack.inside("backend", "curl --silent http://169.254.169.254/").stdout
    assert "backend_egress_policy" in said
    assert "squid" not in said.lower()
