"""A server that reaches a registry and a proxy alone builds and works by way of them, and their passwords are where they have to be."""

import os
import re
import subprocess
import time
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


# The agent's tools reach one host, and the model of a vendor who would know that the key is none.
BEHIND: dict[str, object] = {
    "llm_proxy_egress_proxy": "http://10.213.79.20:3128",
    "backend_egress_policy": "allowlist",
    "backend_egress_hosts": ["pypi.org"],
    "llm_proxy_models": [{"name": "gpt", "provider": "openai"}],
    "llm_proxy_keys": {"openai": f"sk-proj-{'a1' * 24}"},
}


def reached(stack: Stack, url: str) -> str:
    """Return the status of a proxy's answer and of what is behind it, as the agent's tools get them."""
    ask = f"curl --silent --max-time 30 --output /dev/null --write-out '%{{http_connect}} %{{http_code}}' {url}"
    return str(stack.server.run(f"docker exec ocweb-backend-1 {ask}").stdout)


def test_the_agent_and_the_models_get_out_by_way_of_the_proxy_and_no_further(stack: Stack, base: None) -> None:
    done = deploy({**proxied(), **BEHIND, "llm_proxy_egress_proxy_login": f"{USER}:wrong"})
    assert done.returncode == 0, done.stdout
    stack.refresh()
    assert reached(stack, "https://pypi.org/simple/six/") == "200 000"
    since = stack.server.check_output("docker inspect --format '{{.Id}} {{.State.StartedAt}}' ocweb-egress-1")
    done = deploy({**proxied(), **BEHIND, "llm_proxy_egress_proxy_login": f"{USER}:{PASSWORD}", "stack_verify": True})
    assert done.returncode == 0, done.stdout
    end = time.monotonic() + 30
    while (answer := reached(stack, "https://pypi.org/simple/six/")) != "200 200":
        assert time.monotonic() < end, answer
    # A new login needs no restart.
    assert stack.server.check_output("docker inspect --format '{{.Id}} {{.State.StartedAt}}' ocweb-egress-1") == since

    before = WALLS.output("cat /walls/proxy.log")
    assert reached(stack, "https://registry.npmjs.org/") == "407 000"
    question = '{"model": "gpt", "messages": [{"role": "user", "content": "hello"}]}'
    chat = f"curl --silent --max-time 60 --header 'Content-Type: application/json' --data '{question}' http://llm-proxy:4000/v1/chat/completions"
    assert '"error"' in stack.server.run(f"docker exec ocweb-backend-1 {chat}").stdout
    log = WALLS.output("cat /walls/proxy.log").removeprefix(before)
    assert "CONNECT api.openai.com:443" in log
    assert "registry.npmjs.org" not in log

    assert PASSWORD not in done.stdout
    holds = stack.server.run(f"grep --recursive --files-with-matches {PASSWORD} /opt/ocweb /etc /var/log").stdout.split()
    assert [re.sub("upstream-[0-9a-f]{12}", "upstream", path) for path in holds] == ["/opt/ocweb/egress/secrets/upstream.conf"]
    assert stack.server.check_output(f"stat --format '%a %u' {holds[0]}") == "400 59020"
    everything = "docker inspect $(docker ps --all --quiet) && for id in $(docker ps --quiet); do docker logs $id; done"
    assert PASSWORD not in stack.server.check_output(f"({everything}) 2>&1")


def test_a_proxy_that_wants_no_password_is_told_none(stack: Stack, base: None) -> None:
    done = deploy({**proxied(), **BEHIND, "llm_proxy_egress_proxy": "http://10.213.79.20:3129"})
    assert done.returncode == 0, done.stdout
    stack.refresh()
    end = time.monotonic() + 60
    while (answer := reached(stack, "https://pypi.org/simple/six/")) != "200 200":
        assert time.monotonic() < end, answer
    assert "CONNECT pypi.org:443" in WALLS.output("cat /walls/open.log")
    [upstream] = re.findall(r"^include /run/secrets/egress/(\S+)$", stack.secret("egress/config/squid.conf"), re.MULTILINE)
    assert "login=" not in stack.secret(f"egress/secrets/{upstream}")
