"""What an engine tells is compared with what should be."""

from collections.abc import Callable
from typing import Any

import pytest
from found import found
from samples import recorded, told


def test_a_stack_as_it_should_be_has_no_deviation() -> None:
    seen = found(told())
    assert seen.deviations == []
    assert {network.name: network.members for network in seen.networks}["llm"] == ("backend", "llm-proxy")
    assert {service.name: service.ports for service in seen.services}["gateway"] == ("127.0.0.1:3000",)
    assert [service.built[:2] for service in seen.services] == ["20"] * 5


def publish(service: str, address: str) -> Callable[[dict[str, Any]], None]:
    return lambda stack: stack["containers"][service]["NetworkSettings"]["Ports"].update({"9/tcp": [{"HostIp": address, "HostPort": "9"}]})


def secured(url: str, login: str) -> Callable[[dict[str, Any]], None]:
    def change(stack: dict[str, Any]) -> None:
        publish("gateway", "0.0.0.0")(stack)
        stack["containers"]["gateway"]["Config"]["Labels"] = {"ocweb.url": url, "ocweb.login": login}

    return change


def join(service: str, network: str) -> Callable[[dict[str, Any]], None]:
    return lambda stack: stack["containers"][service]["NetworkSettings"]["Networks"].update({network: {}})


@pytest.mark.parametrize(
    ("change", "deviations"),
    [
        (lambda stack: stack["networks"].pop("app"), ["The network app does not exist"]),
        (
            lambda stack: stack["networks"]["web"].update(Internal=False),
            ["The network web is not internal", "The network web has a way out"],
        ),
        (lambda stack: stack["networks"]["llm"].update(Options={}), ["The host has an address on the network llm"]),
        (lambda stack: stack["networks"]["llm"].update(EnableIPv6=True), ["The network llm carries IPv6"]),
        (lambda stack: stack["networks"]["edge"].update(Options={}), ["The network edge has a way out"]),
        (
            lambda stack: stack["networks"]["web"]["Containers"].update({"f00": {"Name": "stranger"}}),
            ["stranger is on the network web, where it does not belong"],
        ),
        (join("frontend", "ocweb_llm"), ["frontend is on the network llm, where it does not belong"]),
        (join("backend", "bridge"), ["The network bridge is not one of the stack's"]),
        (publish("backend", "127.0.0.1"), ["backend is published at 127.0.0.1:9, and only the gateway may be"]),
        (publish("gateway", "0.0.0.0"), ["The gateway is published at 0.0.0.0:9, beyond this host"]),
        (publish("gateway", "::"), ["The gateway is published at [::]:9, beyond this host"]),
        (publish("gateway", "::1"), []),
        (secured("https://code.example.lan", "true"), []),
        (secured("https://code.example.lan", "false"), ["The gateway is published at 0.0.0.0:9, beyond this host"]),
        (secured("http://code.example.lan", "true"), ["The gateway is published at 0.0.0.0:9, beyond this host"]),
        (lambda stack: stack["containers"]["egress"]["State"].update(Running=False, Status="exited"), ["egress is exited"]),
        (
            lambda stack: stack["containers"].pop("frontend"),
            [
                "The service frontend has no container",
                "ocweb-frontend-1 is on the network web, where it does not belong",
                "frontend is not on the network web",
                "ocweb-frontend-1 is on the network app, where it does not belong",
                "frontend is not on the network app",
            ],
        ),
    ],
)
def test_each_deviation_is_told(change: Callable[[dict[str, Any]], None], deviations: list[str]) -> None:
    stack = recorded()
    change(stack)
    assert found(told(stack)).deviations == deviations


def developed() -> dict[str, Any]:
    """The recorded stack, in development."""
    stack = recorded()
    gateway, frontend, proxy = (stack["containers"][name] for name in ("gateway", "frontend", "llm-proxy"))
    gateway["NetworkSettings"]["Ports"]["4096/tcp"] = [{"HostIp": "127.0.0.1", "HostPort": "4096"}]
    gateway["NetworkSettings"]["Networks"]["ocweb_app"] = {}
    frontend["Mounts"] = [{"Destination": "/app/source", "Source": "/srv/oc-web", "RW": True}]
    proxy["Config"]["Env"] = ["LITELLM_LOG=DEBUG"]
    return stack


def test_what_development_opens_is_told_and_no_deviation() -> None:
    seen = found(told({**developed(), "mode": "development"}))
    assert seen.deviations == []
    assert [[word in line for word in words] for words, line in zip(OPENED, seen.opened, strict=True)] == [[True] * 2] * 3


OPENED = [("agent's server", "127.0.0.1:4096"), ("source code", "/srv/oc-web"), ("log", "DEBUG")]


def test_the_same_in_production_is_a_deviation() -> None:
    seen = found(told(developed()))
    assert seen.opened == ()
    assert seen.deviations == [
        "gateway publishes the agent's server at 127.0.0.1:4096, and only development may",
        "frontend runs from the source code in /srv/oc-web, and only development may",
        "gateway is on the network app, where it does not belong",
    ]


def test_development_allows_no_other_port_and_no_other_network() -> None:
    stack = developed()
    publish("backend", "127.0.0.1")(stack)
    join("gateway", "ocweb_llm")(stack)
    assert found(told({**stack, "mode": "development"})).deviations == [
        "backend is published at 127.0.0.1:9, and only the gateway may be",
        "gateway is on the network llm, where it does not belong",
    ]


def test_in_development_without_the_debug_port_the_gateway_stays_where_it_was() -> None:
    stack = recorded()
    join("gateway", "ocweb_app")(stack)
    assert found(told({**stack, "mode": "development"})).deviations == ["gateway is on the network app, where it does not belong"]


def test_the_way_to_an_authority_is_there_where_one_gives_the_certificates() -> None:
    stack = recorded()
    labels = {"ocweb.url": "https://code.example.org", "ocweb.login": "true", "ocweb.acme": "true"}
    stack["containers"]["gateway"]["Config"]["Labels"] = labels
    assert found(told(stack)).deviations == ["The network acme_out does not exist"]
    inner = stack["networks"]["llm"]
    stack["networks"]["acme_out"] = {**inner, "Containers": {}}
    join("gateway", "ocweb_acme_out")(stack)
    join("egress", "ocweb_acme_out")(stack)
    assert found(told(stack)).deviations == []
    labels["ocweb.acme"] = "false"
    assert found(told(stack)).deviations == ["The network acme_out is not one of the stack's"]
