"""A server that reaches a registry and a proxy alone builds by way of them, and their passwords are not in what it builds."""

import os
import re
import subprocess
from collections.abc import Iterator
from functools import partial

import bed
import pytest
from conftest import ROOT, SCENARIO, Stack

REGISTRY = "registry.example.lan:5000"
USER, PASSWORD = "someone", "open-sesame-4711"
WALLS = bed.Companion("ocweb-offline-walls")
BASE = f"{REGISTRY}/debian:13"
deploy = partial(bed.deploy, SCENARIO, play=ROOT / "site.yml")


def proxied(password: str = PASSWORD) -> dict[str, object]:
    """Return the variables of a deploy behind the walls: the base from the registry, all else through the proxy."""
    proxy = f"http://{USER}:{password}@10.213.79.20:3128"
    names = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
    return {"stack_bundle": "", "stack_base_image": BASE, "ansible_docker_extra_env": dict.fromkeys(names, proxy)}


@pytest.fixture(scope="module")
def base(stack: Stack) -> Iterator[None]:
    """A Debian in the registry, and on the server no more of it than its address: whoever wants it has to log in."""
    server = stack.server.backend.host
    save = subprocess.Popen(["docker", "save", os.environ["OCWEB_BASE_IMAGE"]], stdout=subprocess.PIPE)
    subprocess.run(["docker", "exec", "--interactive", server, "docker", "load", "--quiet"], stdin=save.stdout, check=True, timeout=300)
    assert save.wait() == 0
    certificate = WALLS.output("cat /walls/registry.crt")
    stack.server.check_output(f"mkdir -p /etc/docker/certs.d/{REGISTRY} && echo %s >/etc/docker/certs.d/{REGISTRY}/ca.crt", certificate)
    log_in(stack)
    image = os.environ["OCWEB_BASE_IMAGE"]
    stack.server.check_output(f"docker tag {image} {BASE} && docker push --quiet {BASE} && docker rmi {BASE} {image}")
    stack.server.check_output(f"docker logout {REGISTRY}")
    yield


def log_in(stack: Stack) -> None:
    """Let the server's engine into the registry."""
    stack.server.check_output(f"echo %s | docker login --username {USER} --password-stdin {REGISTRY}", PASSWORD)


def test_a_registry_without_a_login_is_told(stack: Stack, base: None) -> None:
    failed = deploy(proxied())
    assert failed.returncode == 2
    assert f"stack_base_image: {BASE} cannot be had" in failed.stdout


def test_a_proxy_that_does_not_know_the_password_is_told(stack: Stack, base: None) -> None:
    log_in(stack)
    failed = deploy(proxied("wrong"))
    assert failed.returncode == 2
    # By its version, the proxy calls it one or the other.
    assert re.search(r"stack_base_image: no base image\. .* 40(1 Unauthorized|7 Proxy Authentication Required)", failed.stdout)


def test_it_is_built_by_way_of_both_and_the_passwords_are_nowhere(stack: Stack, base: None) -> None:
    before = set(stack.server.check_output("docker ps --format '{{.Image}}'").split())
    done = deploy(proxied())
    assert done.returncode == 0, done.stdout
    after = set(stack.server.check_output("docker ps --format '{{.Image}}'").split())
    assert len(after) == 5
    assert after & before == set()
    log = WALLS.output("cat /walls/proxy.log")
    assert [host for host in ("deb.debian.org", "pypi.org", "registry.npmjs.org") if host not in log] == []
    assert PASSWORD not in done.stdout
    assert stack.server.run(f"grep -r {PASSWORD} /opt/ocweb /etc /var/log").stdout == ""
    # An archive that could not be written would hold nothing, either.
    stack.server.check_output(f"docker save --output /var/tmp/images.tar {' '.join(after)}")
    assert stack.server.run(f"grep --text --quiet {PASSWORD} /var/tmp/images.tar").rc == 1
    stack.server.check_output("rm /var/tmp/images.tar")
