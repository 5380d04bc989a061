"""What a deploy with other variables says and does: a dry one, one that fails, and one by a user who is not root."""

from collections.abc import Iterator

import pytest
from conftest import DIR, Stack, deploy

BUILD = "An image could not be built; the stack is as it was before."
FAILURES = [
    ("a package that there is not", {"backend_packages": ["no-such-package"]}, [BUILD, "Unable to locate package no-such-package"]),
    (
        "a base image that cannot be pulled",
        {"stack_base_image": "registry.invalid/debian:13"},
        ["stack_base_image: registry.invalid/debian:13 cannot be had", "Name an image that the host can pull"],
    ),
    (
        "a base image that cannot be made",
        {"stack_base_image": "bootstrap", "stack_debian_mirror": "http://debian.invalid/debian"},
        ["stack_base_image: no base image. Bootstrap from http://debian.invalid/debian"],
    ),
]


def state(stack: Stack) -> str:
    """Return what runs on the server, which images there are, and how the stack is described."""
    containers = "docker ps --no-trunc --format '{{.ID}} {{.Image}} {{.Status}}' | sed 's/Up [^(]*/Up /'"
    return str(stack.server.check_output(f"{containers}; docker images --quiet | sort; cat {DIR}/compose.yml"))


@pytest.mark.parametrize(("variables", "said"), [failure[1:] for failure in FAILURES], ids=[failure[0] for failure in FAILURES])
def test_a_failed_one_says_why_and_the_old_stack_runs_on(stack: Stack, variables: dict[str, object], said: list[str]) -> None:
    before = state(stack)
    failed = deploy(variables)
    assert failed.returncode == 2
    assert [part for part in said if part not in failed.stdout] == []
    assert state(stack) == before


def test_a_dry_one_names_the_change_and_the_restart(stack: Stack) -> None:
    before = state(stack)
    dry = deploy({"backend_memory_limit": "1234m"}, "--check", "--diff").stdout
    assert "+ mem_limit: 1234m" in dry
    assert "changed=2 " in dry
    assert state(stack) == before


def test_one_whose_services_do_not_come_up_says_where_to_look_and_the_one_before_is_back(stack: Stack) -> None:
    before = stack.server.check_output(f"cat {DIR}/compose.yml")
    # LiteLLM wants five times as much before it says its first word.
    failed = deploy({"llm_proxy_memory_limit": "48m", "stack_start_timeout": 5})
    assert failed.returncode == 2
    assert "Not healthy within 5 seconds (stack_start_timeout): llm-proxy" in failed.stdout
    assert f"is back and healthy. Why the new one failed: {DIR}/failed.log" in failed.stdout
    assert stack.server.check_output(f"cat {DIR}/compose.yml") == before


def test_one_mends_what_was_lost(stack: Stack) -> None:
    stack.server.check_output(f"rm {DIR}/backend/secrets/password {DIR}/gateway/config/Caddyfile")
    stack.server.check_output(f"chown root {DIR}/llm-proxy/secrets {DIR}/llm-proxy/secrets/master_key")
    stack.server.check_output("docker kill ocweb-frontend-1")
    mended = deploy({})
    assert mended.returncode == 0, mended.stdout
    assert "changed=0 " in deploy({}).stdout
    assert stack.backend("/config")["model"] == "litellm-proxy/demo"
    assert stack.from_server("http://localhost:3000/") == "200"


@pytest.fixture
def user(stack: Stack) -> Iterator[str]:
    """A user who may talk to the engine, and has no other right. What they deployed is removed at the end."""
    stack.server.check_output("usermod --append --groups docker dev")
    yield "dev"
    stack.server.check_output("cd ~dev/.local/share/ocweb && docker compose down && cd / && rm -r ~dev/.local/share/ocweb ~dev/workspace")
    stack.server.check_output("gpasswd --delete dev docker")


def test_one_by_a_user_needs_no_root(stack: Stack, user: str) -> None:
    variables = {"ansible_user": user, "stack_project": "second", "frontend_port": 3001}
    first = deploy(variables)
    assert first.returncode == 0, first.stdout
    assert "changed=0 " in deploy(variables).stdout
    assert stack.from_server("http://localhost:3001/") == "200"
    # The engine makes the empty files and folders that something is mounted on.
    assert stack.server.check_output("find ~dev/.local/share/ocweb ! -user dev ! -empty") == ""
    users = stack.server.check_output(
        "docker ps --filter label=com.docker.compose.project=second --quiet | xargs docker inspect --format {{.Config.User}}"
    )
    assert users.split() == ["1000:1000"] * 5
    # The same packages make the same layers, so that what another project has built is not built again.
    layers = "docker image inspect --format '{{json .RootFS.Layers}}' $(docker image ls --quiet 'localhost/%s/llm-proxy')"
    assert stack.server.check_output(layers % "second") == stack.server.check_output(layers % "ocweb")
