"""What the engine says of itself and of the project, as the survey tells it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import engine_state

StubCommand = Callable[..., None]


def test_a_running_engine_is_described(stub_command: StubCommand) -> None:
    stub_command("""case "$*" in
        info*) echo "26.1.5+dfsg1 /srv/docker" ;;
        compose*) echo v2.26.1-4 ;;
        buildx*) echo "github.com/docker/buildx 0.13.1+ds1 abc" ;;
        "ps --filter label=com.docker.compose.project=ocweb "*) echo gateway ;;
        "image ls"*) echo localhost/ocweb/base:1; echo localhost/ocweb/backend:2 ;;
        "network ls"*) echo 1 ;;
        "network inspect"*) echo ocweb_llm internal=true ipv6=false ;;
    esac""")
    stub_command("echo docker.io not-installed; echo docker-ce installed; exit 1", "dpkg-query")
    assert engine_state.engine("ocweb") == {
        "state": "running",
        "package": "docker-ce",
        "version": "26.1.5",
        "root": "/srv/docker",
        "compose": "2.26.1",
        "buildx": "0.13.1",
        "images": ["localhost/ocweb/base:1", "localhost/ocweb/backend:2"],
        "running": ["gateway"],
        "networks": {"ocweb_llm": ["internal=true", "ipv6=false"]},
    }


CONTAINER: dict[str, Any] = {
    "Config": {"Labels": {"com.docker.compose.service": "backend"}},
    "HostConfig": {
        "Memory": 2**30,
        "MemorySwap": 2**30,
        "NanoCpus": 1500000000,
        "PidsLimit": 512,
        "RestartPolicy": {"Name": "unless-stopped"},
    },
    "NetworkSettings": {"Networks": {"ocweb_app": {}}},
}


@pytest.mark.parametrize(
    ("part", "other", "differs"),
    [
        ("HostConfig", {}, False),
        ("HostConfig", {"Memory": 2**31}, True),
        ("HostConfig", {"MemorySwap": 2**31}, True),
        ("HostConfig", {"NanoCpus": 1000000000}, True),
        ("HostConfig", {"NanoCpus": 1499999999}, False),
        ("HostConfig", {"PidsLimit": 513}, True),
        ("HostConfig", {"RestartPolicy": {"Name": "no"}}, True),
        # A kernel that knows no such limits.
        ("HostConfig", {"Memory": 0, "MemorySwap": -1, "PidsLimit": None}, False),
        ("NetworkSettings", {"Networks": {"ocweb_app": {}, "bridge": {}}}, True),
        ("NetworkSettings", {"Networks": {}}, True),
    ],
)
def test_a_container_that_was_changed_by_hand_is_told(
    tmp_path: Path, stub_command: StubCommand, part: str, other: dict[str, Any], differs: bool
) -> None:
    limits = {"mem_limit": str(2**30), "memswap_limit": str(2**30), "cpus": 1.5, "pids_limit": 512, "restart": "unless-stopped"}
    model = {"services": {"backend": {**limits, "networks": {"app": None}}}, "networks": {"app": {"name": "ocweb_app"}}}
    container = {**CONTAINER, part: {**CONTAINER[part], **other} if part == "HostConfig" else other}
    stub_command(f"""case "$*" in
        compose*) echo '{json.dumps(model)}' ;;
        ps*) echo 1 ;;
        "container inspect 1") echo '{json.dumps([container])}' ;;
    esac""")
    assert engine_state.by_hand("ocweb", str(tmp_path / "compose.yml")) == []
    (tmp_path / "compose.yml").touch()
    assert engine_state.by_hand("ocweb", str(tmp_path / "compose.yml")) == (["backend"] if differs else [])


def test_an_engine_that_the_user_may_not_use_is_denied(stub_command: StubCommand) -> None:
    stub_command('echo "permission denied while trying to connect to the Docker daemon socket" >&2; exit 1')
    assert engine_state.engine("ocweb")["state"] == "denied"


def test_an_engine_that_does_not_run_is_stopped(stub_command: StubCommand, tmp_path: Path) -> None:
    stub_command('echo "Cannot connect to the Docker daemon" >&2; exit 1')
    daemon = tmp_path / "bin/dockerd"
    daemon.touch(mode=0o755)
    assert engine_state.engine("ocweb")["state"] == "stopped"


def test_no_engine_is_absent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert engine_state.engine("ocweb")["state"] == "absent"


@pytest.mark.parametrize(("text", "number"), [("v2.26.1-4", "2.26.1"), ("github.com/docker/buildx 0.13.1+ds1", "0.13.1"), ("none", "")])
def test_a_version_is_its_first_dotted_number(text: str, number: str) -> None:
    assert engine_state.number(text) == number
