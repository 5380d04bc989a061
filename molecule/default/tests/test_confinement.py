"""What each container may not do, asked of the kernel from the inside."""

import re

import pytest
from conftest import SERVICES, Stack

USERS = {"egress": 59020, "llm-proxy": 59040, "backend": 1000, "frontend": 59030, "gateway": 59010}
MEMORY = {"egress": 256 * 2**20, "llm-proxy": 2**30, "backend": 3 * 2**30, "frontend": 512 * 2**20, "gateway": 256 * 2**20}
PROCESSES = {"egress": 64, "llm-proxy": 256, "backend": 1024, "frontend": 128, "gateway": 128}

# Path in the container, path on the server, and whether it may be written.
MOUNTS = {
    "egress": {("/etc/egress", "/opt/ocweb/egress/config", False)},
    "llm-proxy": {
        ("/etc/llm-proxy", "/opt/ocweb/llm-proxy/config", False),
        ("/run/secrets/llm-proxy", "/opt/ocweb/llm-proxy/secrets", False),
        ("/run/secrets/providers", "/opt/ocweb/llm-proxy/keys", False),
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
def test_no_process_has_or_can_gain_privileges(stack: Stack, service: str) -> None:
    status = stack.output(service, "cat /proc/1/status /proc/self/status")
    assert set(re.findall(r"Cap(?:Inh|Prm|Eff|Bnd|Amb):\s*(\w+)", status)) == {"0000000000000000"}
    assert re.findall(r"NoNewPrivs:\s*(\d)", status) == ["1", "1"]
    assert re.findall(r"Seccomp:\s*(\d)", status) == ["2", "2"]


@pytest.mark.parametrize("service", SERVICES)
def test_its_file_system_is_read_only(stack: Stack, service: str) -> None:
    root = re.search(r"^\S+ / \S+ (\S+)", stack.output(service, "cat /proc/mounts"), re.MULTILINE)
    assert root is not None
    assert "ro" in root.group(1).split(",")


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


@pytest.mark.parametrize("service", SERVICES)
def test_it_can_write_only_what_is_meant_to_be_written(stack: Stack, service: str) -> None:
    meant = {"/tmp", *(target for target, _, written in MOUNTS[service] if written)}
    kernel = "-path /proc -o -path /sys -o -path /dev"
    writable = stack.output(service, f"find / \\( {kernel} \\) -prune -o -type d -writable -print 2>/dev/null || true").split()
    assert {path for path in writable if not any(path.startswith(f"{parent}/") for parent in meant)} == meant


@pytest.mark.parametrize("service", SERVICES)
def test_what_is_mounted_read_only_is_so_to_the_kernel(stack: Stack, service: str) -> None:
    mounted = {line.split()[1]: line.split()[3].split(",") for line in stack.output(service, "cat /proc/mounts").splitlines()}
    for target, _, written in MOUNTS[service]:
        assert ("rw" if written else "ro") in mounted[target], target
