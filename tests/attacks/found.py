"""What stands on the host, as its engine tells it, and where that is not what it should be."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Inspected = Mapping[str, Mapping[str, Any]]

# The networks as they should be, in the order in which a request passes them.
MEMBERS = {
    "edge": ("gateway",),
    "web": ("gateway", "frontend"),
    "app": ("frontend", "backend"),
    "llm": ("backend", "llm-proxy"),
    "llm_out": ("llm-proxy", "egress"),
    "tools_out": ("backend", "egress"),
    "outside": ("egress",),
}
# Where an authority elsewhere gives the certificates, there is one more.
AUTHORITY = {"acme_out": ("gateway", "egress")}
SERVICES = ("gateway", "frontend", "backend", "llm-proxy", "egress")
# Not internal: one for the published port, one for the way out.
OUTER = ("edge", "outside")
WAY_OUT = ("outside",)
# In development alone, the gateway publishes the agent's server, and the page runs from source code of the host's.
DEBUG_PORT = "4096/tcp"
SOURCE = "/app/source"
TALKATIVE = ("INFO", "DEBUG")
BRIDGE = "com.docker.network.bridge"


@dataclass(frozen=True)
class Network:
    """A network of the project; `wrong` says of each aspect, or member, why it is not as it should be."""

    name: str
    members: tuple[str, ...] = ()
    internal: bool = False
    way_out: bool = False
    host_address: bool = False
    ipv6: bool = False
    wrong: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Service:
    """A service's container."""

    name: str
    state: str
    image: str = ""
    built: str = ""
    version: str = ""
    ports: tuple[str, ...] = ()
    wrong: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """What stands on the host."""

    services: tuple[Service, ...]
    networks: tuple[Network, ...]
    engine: str = ""
    opened: tuple[str, ...] = ()
    """What stack_mode: development opens, a sentence each."""

    @property
    def deviations(self) -> list[str]:
        """All that is not as it should be, a sentence each."""
        wrong = [one.wrong for one in self.services] + [one.wrong for one in self.networks]
        return [why for each in wrong for why in each.values()]

    @property
    def unwell(self) -> list[str]:
        """The services that do not run as they should: what is down cannot be attacked, and proves nothing by its silence."""
        return [one.name for one in self.services if {"missing", "state"} & one.wrong.keys()]


def network(
    name: str, seen: Mapping[str, Any] | None, members: tuple[str, ...], wanted: tuple[str, ...] | None, guests: tuple[str, ...] = ()
) -> Network:
    """Return a network as it was found, from what the engine tells of it and of the containers on it.

    `wanted` are those who are to be on it, None where it is not one of the stack's; `guests` may be on it too.
    """
    if seen is None:
        return Network(name, wrong={"missing": f"The network {name} does not exist"})
    options = seen["Options"] or {}
    internal = bool(seen["Internal"])
    hidden = options.get(f"{BRIDGE}.inhibit_ipv4") == "true" or options.get(f"{BRIDGE}.gateway_mode_ipv4") == "isolated"
    one = Network(
        name,
        members=members,
        internal=internal,
        way_out=not internal and options.get(f"{BRIDGE}.enable_ip_masquerade") != "false",
        host_address=not hidden,
        ipv6=bool(seen["EnableIPv6"]),
    )
    if wanted is None:
        return Network(**{**vars(one), "wrong": {"unknown": f"The network {name} is not one of the stack's"}})
    wrong = {
        **{each: f"{each} is on the network {name}, where it does not belong" for each in members if each not in (*wanted, *guests)},
        **{each: f"{each} is not on the network {name}" for each in wanted if each not in members},
    }
    if internal == (name in OUTER):
        wrong["internal"] = f"The network {name} is {'internal' if internal else 'not internal'}"
    if one.way_out and name not in WAY_OUT:
        wrong["way_out"] = f"The network {name} has a way out"
    if one.host_address and name not in OUTER:
        wrong["host_address"] = f"The host has an address on the network {name}"
    if one.ipv6:
        wrong["ipv6"] = f"The network {name} carries IPv6"
    return Network(**{**vars(one), "wrong": wrong})


def ports(container: Mapping[str, Any], port: str = "") -> tuple[str, ...]:
    """Return where a container's ports, or one such as `4096/tcp`, are published on the host, as `address:port`."""
    published = [bindings for name, bindings in (container["NetworkSettings"].get("Ports") or {}).items() if port in ("", name)]
    places = {(one["HostIp"] or "0.0.0.0", one["HostPort"]) for bindings in published for one in bindings or []}
    return tuple(f"[{address}]:{port}" if ":" in address else f"{address}:{port}" for address, port in sorted(places))


def source(container: Mapping[str, Any]) -> str:
    """Return the folder of the host's that a container runs source code from, "" if it does not."""
    return next((str(mount["Source"]) for mount in container.get("Mounts") or [] if mount["Destination"] == SOURCE), "")


def opened(containers: Inspected) -> tuple[str, ...]:
    """Return what development opens, as it was found: a sentence each."""
    gateway, frontend, proxy = (containers.get(name, {}) for name in ("gateway", "frontend", "llm-proxy"))
    places = ports(gateway, DEBUG_PORT) if gateway else ()
    folder = source(frontend)
    level = next((word.partition("=")[2] for word in proxy.get("Config", {}).get("Env") or [] if word.startswith("LITELLM_LOG=")), "")
    return (
        *(f"The agent's server answers at {place}, to programs on the host that have its password" for place in places),
        *(f"The page is what the source code in {one} says at the moment, and may change it" for one in [folder] if one),
        *(f"The proxy's log tells what is asked and answered ({one}), though no key" for one in [level] if one in TALKATIVE),
    )


def service(
    name: str, seen: Mapping[str, Any] | None, image: Mapping[str, Any] | None = None, version: str = "", development: bool = False
) -> Service:
    """Return a service as it was found."""
    if seen is None:
        return Service(name, "missing", wrong={"missing": f"The service {name} has no container"})
    state = seen["State"]
    health = (state.get("Health") or {}).get("Status")
    where = ports(seen)
    wrong = {}
    if name not in SERVICES:
        wrong["unknown"] = f"The service {name} is not one of the stack's"
    if not (state["Running"] and health in ("healthy", None)):
        wrong["state"] = f"{name} is {health if state['Running'] else state['Status']}"
    for place in where:
        if name != "gateway":
            wrong[place] = f"{name} is published at {place}, and only the gateway may be"
        elif not secured(seen) and not ipaddress.ip_address(place.rpartition(":")[0].strip("[]")).is_loopback:
            wrong[place] = f"The gateway is published at {place}, beyond this host"
    if not development:
        wrong |= {place: f"{name} publishes the agent's server at {place}, and only development may" for place in ports(seen, DEBUG_PORT)}
        if folder := source(seen):
            wrong["source"] = f"{name} runs from the source code in {folder}, and only development may"
    return Service(
        name,
        state=health or state["Status"],
        image=seen["Config"]["Image"],
        built=(image or {}).get("Created", "")[:10],
        version=version,
        ports=where,
        wrong=wrong,
    )


def secured(container: Mapping[str, Any]) -> bool:
    """Tell whether the gateway was deployed with TLS and a login, and may be reached from elsewhere."""
    labels = container["Config"].get("Labels") or {}
    return str(labels.get("ocweb.url", "")).startswith("https://") and labels.get("ocweb.login") == "true"


@dataclass(frozen=True)
class Told:
    """What the engine tells of a project: containers by service, networks by their name in the project, images by id."""

    project: str
    containers: Inspected
    networks: Inspected
    images: Inspected = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    engine: str = ""
    mode: str = "production"

    @property
    def services(self) -> tuple[str, ...]:
        return (*SERVICES, *sorted(set(self.containers) - set(SERVICES)))

    @property
    def on(self) -> dict[str, list[str]]:
        """The networks that each service is on."""
        networks = {name: one["NetworkSettings"]["Networks"] for name, one in self.containers.items()}
        return {name: [each.removeprefix(f"{self.project}_") for each in found] for name, found in networks.items()}

    def members(self, network: str) -> tuple[str, ...]:
        """Return who is on a network: the services, and other containers by their names."""
        ours = {one["Id"] for one in self.containers.values()}
        attached = self.networks.get(network, {}).get("Containers") or {}
        strangers = sorted(one["Name"] for key, one in attached.items() if key not in ours)
        return (*(name for name in self.services if network in self.on.get(name, [])), *strangers)

    def image(self, service: str) -> Mapping[str, Any] | None:
        """Return the image of a service."""
        return self.images.get(self.containers[service]["Image"]) if service in self.containers else None


def found(told: Told) -> Found:
    """Compare what the engine tells with what should be."""
    development = told.mode == "development"
    guests = {"app": ("gateway",)} if development and ports(told.containers.get("gateway", NOTHING), DEBUG_PORT) else {}
    labels = told.containers.get("gateway", NOTHING).get("Config", {}).get("Labels") or {}
    wanted = MEMBERS | (AUTHORITY if labels.get("ocweb.acme") == "true" else {})
    foreign = {name for networks in told.on.values() for name in networks} - set(told.networks) - set(wanted)
    seen = {**dict.fromkeys(foreign, FOREIGN), **told.networks}
    return Found(
        services=tuple(
            service(name, told.containers.get(name), told.image(name), told.versions.get(name, ""), development) for name in told.services
        ),
        networks=tuple(
            network(name, seen.get(name), told.members(name), wanted.get(name), guests.get(name, ()))
            for name in (*wanted, *sorted(set(seen) - set(wanted)))
        ),
        engine=told.engine,
        opened=opened(told.containers) if development else (),
    )


NOTHING: dict[str, Any] = {"NetworkSettings": {}}
# A network that the project's containers are on and that is not the project's: of it only its name is known.
FOREIGN: dict[str, Any] = {"Options": {}, "Internal": False, "EnableIPv6": False}
