"""Who reaches whom, tried from inside the containers."""

from itertools import permutations

import pytest
from conftest import LISTENS, SERVICES, Stack

NETWORKS = {
    "egress": {"llm_out", "tools_out", "outside"},
    "llm-proxy": {"llm", "llm_out"},
    "backend": {"app", "llm", "tools_out"},
    "frontend": {"web", "app"},
    "gateway": {"edge", "web"},
}
RELATIONS = [("gateway", "frontend"), ("frontend", "backend"), ("backend", "llm-proxy"), ("llm-proxy", "egress"), ("backend", "egress")]

WITH_THE_MASTER_KEY = """/app/bin/python -IS -c '
import urllib.request
urllib.request.getproxies = dict
key = open("/run/secrets/llm-proxy/master_key").read().strip()
asked = urllib.request.Request("http://llm-proxy-llm:4000{path}", headers={{"Authorization": "Bearer " + key}})
print(urllib.request.urlopen(asked).status)
'"""


def addresses(stack: Stack, service: str) -> list[str]:
    """Return the container's addresses on all its networks."""
    return [network["IPAddress"] for network in stack.container(service)["NetworkSettings"]["Networks"].values()]


@pytest.mark.parametrize("service", SERVICES)
def test_it_is_on_its_own_networks_alone(stack: Stack, service: str) -> None:
    networks = stack.container(service)["NetworkSettings"]["Networks"]
    assert {name.removeprefix("ocweb_") for name in networks} == NETWORKS[service]


@pytest.mark.parametrize("network", ["web", "app", "llm", "llm_out", "tools_out"])
def test_an_inner_network_has_no_way_out_and_no_address_of_the_server(stack: Stack, network: str) -> None:
    described = stack.described("network", f"ocweb_{network}")
    assert described["Internal"] is True
    bridge = f"br-{described['Id'][:12]}"
    assert stack.server.check_output(f"ip -oneline -4 address show dev {bridge}") == ""


@pytest.mark.parametrize(("source", "target"), RELATIONS)
def test_each_link_of_the_chain_reaches_the_next(stack: Stack, source: str, target: str) -> None:
    assert stack.answer(source, target, 3129 if source == "backend" and target == "egress" else LISTENS[target][1]).startswith("HTTP/")


@pytest.mark.parametrize(("source", "target"), [pair for pair in permutations(SERVICES, 2) if not NETWORKS[pair[0]] & NETWORKS[pair[1]]])
def test_who_shares_no_network_reaches_nothing(stack: Stack, source: str, target: str) -> None:
    name, port = LISTENS[target]
    itself = stack.answer(target, name, port)
    assert itself.startswith("HTTP/")
    assert stack.answer(source, target, port) == ""
    for address in addresses(stack, target):
        assert stack.answer(source, address, port) != itself


def test_the_frontend_reaches_nothing_outside(stack: Stack) -> None:
    assert stack.answer("egress", "deb.debian.org", 80)
    assert not stack.answer("frontend", "deb.debian.org", 80)


def test_the_backend_wants_its_password(stack: Stack) -> None:
    for path in ("/session", "/config", "/event", "/file?path=/"):
        assert stack.from_backend(f"http://backend-app:4096{path}") == "401"
    assert stack.backend("/config")["model"] == "litellm-proxy/demo"


def test_the_agent_needs_no_key_for_its_model(stack: Stack) -> None:
    assert stack.from_backend("http://llm-proxy:4000/v1/models") == "200"


@pytest.mark.parametrize("key", ["", "sk-1234", "null"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/ui/"),
        ("GET", "/openapi.json"),
        ("GET", "/metrics"),
        ("GET", "/health"),
        ("GET", "/model/info"),
        ("GET", "/v1/model/info"),
        ("GET", "/get/config/callbacks"),
        ("GET", "/key/list"),
        ("POST", "/key/generate"),
        ("POST", "/model/new"),
        ("POST", "/config/update"),
        ("POST", "/v1/embeddings"),
        ("POST", "/anthropic/v1/messages"),
        ("POST", "/v1/chat/completions/"),
        ("POST", "//v1/chat/completions"),
    ],
)
def test_no_other_route_of_the_proxy_answers_without_the_master_key(stack: Stack, method: str, path: str, key: str) -> None:
    credentials = ["--header", f"Authorization: Bearer {key}"] if key else []
    body = ["--header", "Content-Type: application/json", "--data", "{}"] if method == "POST" else []
    assert stack.from_backend("--request", method, *credentials, *body, f"http://llm-proxy:4000{path}") == "401"


@pytest.mark.parametrize("path", ["/v1/model/info", "/v1/models"])
def test_the_master_key_opens_the_proxy(stack: Stack, path: str) -> None:
    assert stack.output("llm-proxy", WITH_THE_MASTER_KEY.format(path=path)).strip() == "200"
