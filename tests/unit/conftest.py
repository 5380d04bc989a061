"""An engine of the tests' own choosing, and never the one that is there."""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import installed

# Some of these tests are about removals, and some run as root: whatever a program finds on its PATH, it does not find an engine behind it.
os.environ |= {"DOCKER_HOST": "unix:///nonexistent/docker.sock", "CONTAINERD_ADDRESS": "/nonexistent/containerd.sock"}

ENGINE = """#!/bin/sh
case "$*" in
  info*) echo "26.1.5 /var/lib/docker" ;;
  compose\\ version*) echo 2.26.1 ;;
  buildx\\ version*) echo buildx 0.13.1 ;;
  ps*|image\\ ls*) ;;
  *) echo "this engine only answers questions: $*" >&2; exit 1 ;;
esac
"""


@pytest.fixture(scope="session")
def engine_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH on which `docker` is an engine that answers questions and does nothing."""
    folder = tmp_path_factory.mktemp("engine")
    (folder / "docker").write_text(ENGINE, encoding="utf-8")
    (folder / "docker").chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The collection as it is built."""
    return installed.build(tmp_path_factory.mktemp("archive"))


@pytest.fixture(scope="session")
def environment(archive: Path, engine_path: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the collection is installed as it is built, and `docker` is an engine that answers questions."""
    return installed.install(archive, tmp_path_factory.mktemp("collections"), engine_path)


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the system's tools, none of which has to do with an engine."""
    folder = tmp_path_factory.mktemp("tools")
    for tool in {path.name: path for place in ("/bin", "/usr/bin") for path in Path(place).iterdir()}.values():
        if not tool.name.startswith(("docker", "containerd", "ctr", "podman", "nerdctl")):
            (folder / tool.name).symlink_to(tool)
    return folder


@pytest.fixture
def stub_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tools: Path) -> Callable[..., None]:
    """What puts a stub of a command on the PATH, a shell script of the given body: of `docker`, unless another is named.

    Besides it, PATH has the system's tools without an engine's.
    """

    def write(body: str, command: str = "docker") -> None:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        (folder / command).write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        (folder / command).chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{tools}")

    return write


@pytest.fixture(scope="module")
def taken_port() -> Iterator[int]:
    """A port of this machine's loopback that these tests listen on."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]
