"""The five services: they are what they are said to be, and they come back."""

import re
from pathlib import Path

import pytest
from conftest import SERVICES, Stack

ROOT = Path(__file__).resolve().parents[3]
LITELLM_VERSION = "/app/bin/python -c 'from importlib.metadata import version; print(version(\"litellm\"))'"


@pytest.mark.parametrize("service", SERVICES)
def test_it_is_healthy(stack: Stack, service: str) -> None:
    assert stack.container(service)["State"]["Health"]["Status"] == "healthy"


@pytest.mark.parametrize(
    ("service", "command", "file", "named"),
    [
        ("llm-proxy", LITELLM_VERSION, "roles/llm_proxy/files/image/requirements.txt", r"^litellm==(\S+)"),
        ("backend", "opencode --version", "files/pins.yml", r"opencode-linux-x64@([\d.]+)#"),
        ("frontend", "bun --version", "files/pins.yml", r"bun-linux-x64@([\d.]+)#"),
    ],
)
def test_it_is_the_version_that_is_pinned(stack: Stack, service: str, command: str, file: str, named: str) -> None:
    version = re.search(named, (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    assert version is not None
    assert stack.output(service, command).strip() == version.group(1)


def test_the_agent_asks_before_it_acts_and_only_what_the_page_can_show(stack: Stack) -> None:
    rules = {agent["name"]: agent["permission"] for agent in stack.backend("/agent")}["build"]
    last = {rule["permission"]: rule["action"] for rule in rules if rule["pattern"] == "*"}
    assert {name: last.get(name) for name in ("bash", "edit", "webfetch", "question")} == {
        "bash": "ask",
        "edit": "ask",
        "webfetch": "ask",
        "question": "deny",
    }


@pytest.mark.parametrize("command", ["git --version", "rg --version", "ssh -V", "curl --version"])
def test_the_agent_has_its_tools(stack: Stack, command: str) -> None:
    assert stack.inside("backend", command).rc == 0


def test_a_terminal_can_be_opened(stack: Stack) -> None:
    """OpenCode's own page has one; its library is loaded from /tmp."""
    assert stack.backend("/pty", {"command": "sh"})["status"] == "running"


@pytest.mark.parametrize("service", SERVICES)
def test_it_starts_again_by_itself(stack: Stack, service: str) -> None:
    assert stack.container(service)["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"


@pytest.mark.parametrize("service", SERVICES)
def test_its_log_is_rotated(stack: Stack, service: str) -> None:
    assert stack.container(service)["HostConfig"]["LogConfig"] == {"Type": "json-file", "Config": {"max-file": "3", "max-size": "10m"}}


@pytest.mark.parametrize("service", SERVICES)
def test_its_image_is_on_the_shared_base(stack: Stack, service: str) -> None:
    tags = stack.server.check_output("docker image ls --format '{{.Repository}}:{{.Tag}}' localhost/ocweb/base").splitlines()
    assert len(tags) == 1
    base = stack.described("image", tags[0])["RootFS"]["Layers"]
    assert stack.described("image", stack.container(service)["Image"])["RootFS"]["Layers"][: len(base)] == base


def test_the_agent_is_offered_the_proxys_models(stack: Stack) -> None:
    offered = stack.backend("/config/providers")["providers"]
    assert {provider["id"]: sorted(provider["models"]) for provider in offered} == {"litellm-proxy": ["demo"]}


def test_the_agents_programs_are_not_in_the_frontend(stack: Stack) -> None:
    names = "-name opencode -o -name '*opencode-linux*' -o -name git -o -name rg -o -name curl"
    assert stack.output("frontend", f"find / -xdev \\( {names} \\) -type f 2>/dev/null || true") == ""
