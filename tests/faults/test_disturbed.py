"""What happens to a running stack: services that die, files and networks changed by hand, a disk that is full, an engine that restarts."""

import pytest
from faulty import DIR, SERVER, SERVICES, Stack, deploy


def healthy(stack: Stack, service: str) -> None:
    """Wait until a service is healthy."""
    name = f"ocweb-{service}-1"
    SERVER.output(f"until [ \"$(docker inspect -f '{{{{.State.Health.Status}}}}' {name})\" = healthy ]; do sleep 0.2; done", timeout=120)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_that_dies_comes_back(stack: Stack, service: str) -> None:
    before = stack.container(service)["State"]
    stack.server.check_output("kill -KILL %d", before["Pid"])
    SERVER.output(f"until [ $(docker inspect -f '{{{{.RestartCount}}}}' ocweb-{service}-1) -gt 0 ]; do sleep 0.1; done", timeout=60)
    healthy(stack, service)
    assert stack.container(service)["State"]["Pid"] != before["Pid"]
    for other in SERVICES:
        healthy(stack, other)
    assert stack.from_server("http://localhost:3000/") == "200"


@pytest.mark.parametrize(
    ("what", "change", "again"),
    [
        ("a file", f"echo '# mine' >>{DIR}/gateway/config/Caddyfile", f"! grep -q mine {DIR}/gateway/config/Caddyfile"),
        ("a mode", f"chmod 755 {DIR}/llm-proxy/keys", f"[ $(stat -c %a {DIR}/llm-proxy/keys) = 700 ]"),
        ("a description", f"sed -i 's/cap_drop: .*/cap_drop: []/' {DIR}/compose.yml", f"grep -q 'cap_drop: .ALL' {DIR}/compose.yml"),
        ("a container that was removed", "docker rm --force ocweb-frontend-1", "docker inspect ocweb-frontend-1"),
        (
            "a container that was stopped",
            "docker stop ocweb-gateway-1",
            "docker inspect -f '{{.State.Running}}' ocweb-gateway-1 | grep true",
        ),
        (
            "a network",
            "cd /opt/ocweb && docker compose down && docker network create --label com.docker.compose.project=ocweb "
            "--label com.docker.compose.network=app ocweb_app && docker compose up --detach",
            "docker network inspect -f '{{.Internal}}' ocweb_app | grep true",
        ),
    ],
)
def test_what_was_changed_by_hand_is_as_before_after_a_deploy(stack: Stack, what: str, change: str, again: str) -> None:
    SERVER.output(change, timeout=120)
    mended = deploy({})
    assert mended.returncode == 0, mended.stdout
    assert "changed=0 " not in mended.stdout
    SERVER.output(again)
    assert "changed=0 " in deploy({}).stdout
    assert stack.from_server("http://localhost:3000/") == "200"


def test_a_full_disk_is_one_clear_error_and_loses_nothing(stack: Stack) -> None:
    before = SERVER.output(
        f"cd {DIR} && find . -path ./backend/home -prune -o -path ./llm-proxy/state -prune -o -type f -print0 | xargs -0 sha256sum"
    )
    SERVER.output(f"dd if=/dev/zero of={DIR}/filler bs=1M 2>/dev/null; sync")
    failed = deploy({"llm_proxy_log_level": "INFO", "backend_memory_limit": "1111m"})
    SERVER.output(f"rm {DIR}/filler")
    assert failed.returncode == 2
    assert "No space left on device" in failed.stdout or "stack_minimum_free_gib" in failed.stdout
    after = SERVER.output(
        f"cd {DIR} && find . -path ./backend/home -prune -o -path ./llm-proxy/state -prune -o -type f -print0 | xargs -0 sha256sum"
    )
    assert after == before
    assert stack.from_server("http://localhost:3000/") == "200"
    assert "changed=0 " in deploy({}).stdout


def test_an_engine_that_restarts_brings_the_stack_back(stack: Stack) -> None:
    SERVER.output("systemctl restart docker", timeout=120)
    for service in SERVICES:
        healthy(stack, service)
    assert stack.from_server("http://localhost:3000/") == "200"
