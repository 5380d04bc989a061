"""What the roles' variables give each container, exactly; what none may ever have is in tests/attacks."""

import pytest
from conftest import SERVICES, Stack

USERS = {"egress": 59020, "llm-proxy": 59040, "backend": 1000, "frontend": 59030, "gateway": 59010}
MEMORY = {"egress": 256 * 2**20, "llm-proxy": 2**30, "backend": 3 * 2**30, "frontend": 512 * 2**20, "gateway": 256 * 2**20}
PROCESSES = {"egress": 128, "llm-proxy": 256, "backend": 1024, "frontend": 128, "gateway": 128}

# Path in the container, path on the server, and whether it may be written.
MOUNTS = {
    "egress": {("/etc/egress", "/opt/ocweb/egress/config", False)},
    "llm-proxy": {
        ("/etc/llm-proxy", "/opt/ocweb/llm-proxy/config", False),
        ("/run/secrets/llm-proxy", "/opt/ocweb/llm-proxy/secrets", False),
        ("/run/secrets/providers", "/opt/ocweb/llm-proxy/keys", False),
        ("/var/lib/llm-proxy", "/opt/ocweb/llm-proxy/state", True),
        ("/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/certs/ca-certificates.crt", False),
    },
    "backend": {
        ("/workspace", "/root/workspace", True),
        ("/home/opencode", "/opt/ocweb/backend/home", True),
        ("/home/opencode/.gitconfig", "/home/dev/.gitconfig", False),
        ("/home/opencode/.ssh", "/home/dev/.ssh", False),
        ("/etc/opencode/opencode.json", "/opt/ocweb/backend/config/opencode.json", False),
        ("/etc/passwd", "/opt/ocweb/backend/config/passwd", False),
        ("/run/secrets/backend", "/opt/ocweb/backend/secrets", False),
        ("/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/certs/ca-certificates.crt", False),
    },
    "frontend": {("/run/secrets/backend", "/opt/ocweb/backend/secrets", False)},
    "gateway": {("/etc/caddy", "/opt/ocweb/gateway/config", False)},
}


@pytest.mark.parametrize("service", SERVICES)
def test_every_process_is_the_services_user(stack: Stack, service: str) -> None:
    users = set(stack.server.check_output(f"docker top ocweb-{service}-1 -o pid,uid").split()[3::2])
    assert users == {str(USERS[service])}


@pytest.mark.parametrize("service", SERVICES)
def test_it_sees_of_the_server_what_it_needs_and_no_more(stack: Stack, service: str) -> None:
    mounts = {(mount["Destination"], mount["Source"], mount["RW"]) for mount in stack.container(service)["Mounts"]}
    assert mounts == MOUNTS[service]


@pytest.mark.parametrize("service", SERVICES)
def test_its_memory_and_processes_are_limited(stack: Stack, service: str) -> None:
    limits = stack.container(service)["HostConfig"]
    assert (limits["Memory"], limits["PidsLimit"]) == (MEMORY[service], PROCESSES[service])


@pytest.mark.parametrize("service", SERVICES)
def test_an_init_reaps_what_it_leaves_behind(stack: Stack, service: str) -> None:
    assert "docker-init" in stack.output(service, "cat /proc/1/cmdline | tr '\\0' ' '")
