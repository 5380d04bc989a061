"""The server: an engine that comes back at boot, and one published port."""

import re

from conftest import DIR, Stack
from testinfra.host import Host


def test_the_engine_runs_and_starts_at_boot(host: Host) -> None:
    assert host.service("docker").is_running
    assert host.service("docker").is_enabled


def test_only_the_gateways_port_is_open_and_only_on_loopback(host: Host) -> None:
    listening = [line.split() for line in host.check_output("ss --no-header --listening --tcp --udp --numeric --processes").splitlines()]
    assert {fields[4] for fields in listening if "docker-proxy" in fields[-1]} == {"127.0.0.1:3000"}
    assert all(fields[4].startswith("127.0.0.1:") for fields in listening)


def test_only_the_gateway_publishes_a_port(stack: Stack) -> None:
    published = stack.compose("ps --format '{{.Service}} {{.Ports}}'").splitlines()
    assert [line for line in published if "->" in line] == ["gateway 127.0.0.1:3000->3000/tcp"]


def test_the_stack_lies_in_one_folder(host: Host) -> None:
    # A deploy that failed, as one has in these tests, leaves the services' last words.
    assert set(host.file(DIR).listdir()) - {"failed.log"} == {
        "backend",
        "build.env",
        "build.log",
        "build.yml",
        "compose.yml",
        "deployed",
        "egress",
        "frontend",
        "gateway",
        "llm-proxy",
    }


def test_the_workspace_was_made_for_a_user_who_is_not_root(host: Host) -> None:
    workspace = host.file("/root/workspace")
    assert workspace.is_directory
    assert (workspace.uid, workspace.gid) == (1000, 1000)


def test_no_certificate_authority_of_the_server_is_in_an_image(host: Host, stack: Stack) -> None:
    for tag in host.check_output("docker image ls --format '{{.Repository}}:{{.Tag}}' 'localhost/ocweb/*'").split():
        bundle = host.check_output("docker run --rm --network none --entrypoint cat %s /etc/ssl/certs/ca-certificates.crt", tag)
        certificates = re.findall("-----BEGIN", bundle)
        assert 100 < len(certificates) < len(re.findall("-----BEGIN", host.file("/etc/ssl/certs/ca-certificates.crt").content_string))


def test_everything_that_builds_an_image_trusts_what_the_server_trusts(host: Host, stack: Stack) -> None:
    environment = stack.secret("build.env")
    for variable in ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "PIP_CERT", "NODE_EXTRA_CA_CERTS"):
        assert f"{variable}=/run/secrets/ca" in environment
    base = host.check_output("docker image ls --format '{{.Repository}}:{{.Tag}}' localhost/ocweb/base").split()[0]
    trusted = host.check_output("docker run --rm --network none %s cat /etc/apt/apt.conf.d/ca", base)
    assert trusted == 'Acquire::https::CAInfo "/run/secrets/ca";'
