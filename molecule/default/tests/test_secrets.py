"""The two generated secrets are where they belong, and nowhere else."""

import pytest
from conftest import DIR, SERVICES, Stack
from testinfra.host import Host

SECRETS = ["llm-proxy/secrets/master_key", "backend/secrets/password"]


@pytest.mark.parametrize(
    ("path", "mode", "user", "group"),
    [
        ("llm-proxy/secrets", 0o700, 59040, 59040),
        ("llm-proxy/secrets/master_key", 0o400, 59040, 59040),
        ("llm-proxy/keys", 0o700, 59040, 59040),
        ("backend/secrets", 0o750, 1000, 59030),
        ("backend/secrets/password", 0o440, 1000, 59030),
        ("backend/home", 0o700, 1000, 1000),
        ("build.env", 0o600, 0, 0),
    ],
)
def test_a_secret_can_be_read_only_by_whom_it_is_for(host: Host, path: str, mode: int, user: int, group: int) -> None:
    file = host.file(f"{DIR}/{path}")
    assert (file.mode, file.uid, file.gid) == (mode, user, group)


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_long_and_random(stack: Stack, secret: str) -> None:
    value = stack.secret(secret)
    assert len(value) >= 48
    assert len(set(value)) > 20


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    "place",
    [
        "docker container inspect $(docker ps --all --quiet)",
        "docker image inspect $(docker image ls --quiet)",
        "for image in $(docker image ls --quiet); do docker image history --no-trunc $image; done",
        "for container in $(docker ps --all --quiet); do docker logs $container 2>&1; done",
        f"cat {DIR}/*.yml {DIR}/*.env {DIR}/*/config/* {DIR}/*/image/*",
        "cat /proc/[0-9]*/cmdline | tr '\\0' ' '",
        "journalctl --no-pager",
    ],
)
def test_a_secret_is_in_no_other_place(stack: Stack, secret: str, place: str) -> None:
    seen = stack.server.check_output(place)
    assert len(seen) > 100
    assert stack.secret(secret) not in seen


@pytest.mark.parametrize("service", SERVICES)
def test_the_master_key_is_in_no_process_environment(stack: Stack, service: str) -> None:
    environments = stack.server.check_output(
        f"for pid in $(docker top ocweb-{service}-1 -o pid | tail -n +2); do tr '\\0' '\\n' < /proc/$pid/environ; done"
    )
    assert "PATH=" in environments
    assert stack.secret("llm-proxy/secrets/master_key") not in environments


def test_the_agent_cannot_read_the_master_key(stack: Stack) -> None:
    read = stack.inside(
        "backend", "cat $(find / -xdev -type f -readable 2>/dev/null) /run/secrets/*/* /proc/[0-9]*/environ 2>/dev/null"
    ).stdout_bytes
    assert stack.secret("backend/secrets/password").encode() in read
    assert stack.secret("llm-proxy/secrets/master_key").encode() not in read
