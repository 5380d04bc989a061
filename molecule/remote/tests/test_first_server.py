"""What docs/first-server.md has one do by hand: log in, make a folder for the agent, and open a tunnel to the page.

A second stack on the server is deployed as that page has it: without TLS or a login, on the loopback address alone.
"""

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from documents import commands

SCENARIO = Path(__file__).resolve().parents[1]
FOLDER = Path(os.environ["OCWEB_FOLDER"])
ADDRESS = os.environ["OCWEB_ADDRESS"]
HOST = "ocweb-edge-new"
LOG_IN, MAKE, TUNNEL = [line for line in commands("first-server") if line.startswith("ssh ")]
# What the page leaves as it is, where the scenario has it otherwise.
USUAL = {"frontend_listen_address": "127.0.0.1", "frontend_port": 3000, "frontend_tls": "none", "frontend_hosts": [], "frontend_users": {}}
# A bundle is made for one project's name.
FIRST = {"stack_project": "first", "stack_dir": "/opt/first", "stack_bundle": "", "backend_workspace": "/srv/workspace", **USUAL}
# What a reader has in ~/.ssh.
CONFIG = f"""
Host workbench1.example.org
  HostName {ADDRESS}
  IdentityFile {FOLDER}/id_ed25519
  IdentitiesOnly yes
  ConnectTimeout 60
  UserKnownHostsFile {FOLDER}/known_hosts
  GlobalKnownHostsFile /dev/null
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A reader's environment, in which `ssh` knows the server by the name that the page gives it."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "config").write_text(CONFIG, encoding="utf-8")
    (folder / "ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/config "$@"\n', encoding="utf-8")
    (folder / "ssh").chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}


def typed(command: str, environment: dict[str, str], then: str = "") -> str:
    """Run a command of the page's, and what is typed then; return what was said."""
    done = subprocess.run(["sh", "-c", command], env=environment, input=then, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def on_server(*command: str) -> str:
    """Run a command on the server, by way of the engine that it runs on."""
    return subprocess.run(["docker", "exec", HOST, *command], capture_output=True, text=True, check=True).stdout.strip()


def deploy(*options: str) -> str:
    """Deploy that stack; return what was said, in one line."""
    variables = json.dumps({"stack_verify": False, "stack_check_network": False, **FIRST})
    playbook = [Path(sys.executable).with_name("ansible-playbook"), "--inventory", SCENARIO / "inventory", "--limit", HOST]
    command = [*playbook, SCENARIO / "converge.yml", "--extra-vars", variables, *options]
    done = subprocess.run(command, env={**os.environ, "ANSIBLE_NOCOLOR": "1"}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    return " ".join(done.stdout.split())


@pytest.fixture(scope="module")
def deployed(environment: dict[str, str]) -> None:
    """A stack whose agent works in the folder that was made by hand. Its images are the ones that run: each works without a login, too."""
    typed(MAKE, environment)
    wanted = set(re.findall(r"would appear image (localhost/first/([\w-]+):\w+)", deploy("--check")))
    assert len(wanted) == 5
    for tag, service in wanted:
        on_server("docker", "tag", on_server("docker", "inspect", "--format", "{{.Config.Image}}", f"ocweb-{service}-1"), tag)
    deploy()


def test_a_person_logs_in(environment: dict[str, str]) -> None:
    assert "admin" in typed(LOG_IN, environment, "id --user --name\n").split()


def test_the_agent_works_in_the_folder_as_its_owner(deployed: None) -> None:
    agent = on_server("id", "--user", "agent")
    assert on_server("stat", "--format", "%U:%G", "/srv/workspace") == "agent:agent"
    assert on_server("docker", "exec", "first-backend-1", "stat", "--format", "%u", "/workspace") == agent
    assert on_server("docker", "exec", "first-backend-1", "id", "--user") == agent


@pytest.fixture
def tunnel(environment: dict[str, str]) -> Iterator[int]:
    """The port of this machine at which the page's tunnel begins: a free one in place of 3000, which may be taken."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = TUNNEL.replace("ssh -L 3000:", f"exec ssh -L {port}:")
    assert command != TUNNEL
    with subprocess.Popen(["sh", "-c", command], env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        end = time.monotonic() + 60
        while not reached("localhost", port):
            assert process.poll() is None and time.monotonic() < end, "there is no tunnel"
            time.sleep(0.2)
        yield port
    # The end of the session on the server is the tunnel's.
    assert process.returncode == 0
    assert not reached("localhost", port)


def reached(host: str, port: int) -> bool:
    """Tell whether something listens there."""
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError:
        return False
    return True


def test_the_tunnel_leads_to_the_page_and_nothing_else_does(deployed: None, tunnel: int) -> None:
    with closing(http.client.HTTPConnection("localhost", tunnel, timeout=60)) as connection:
        connection.request("GET", "/", headers={"Host": "localhost:3000", "Accept": "text/html"})
        answer = connection.getresponse()
        assert (answer.status, b"<title>" in answer.read()) == (200, True)
    # That another port of the server is reached shows that this one would be.
    assert (reached(ADDRESS, 443), reached(ADDRESS, 3000)) == (True, False)
