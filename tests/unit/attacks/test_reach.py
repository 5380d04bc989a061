"""testinfra goes the way that Ansible goes, without secrets and without questions."""

import pytest
from reach import Unreachable, options, sudo

SSH = {"connection": "ssh", "address": "web1.example", "port": "", "user": "", "key": "", "arguments": ""}


@pytest.mark.parametrize(
    ("way", "hosts"),
    [
        ({}, "ssh://web1.example"),
        ({"connection": "smart", "user": "admin", "port": "2222"}, "ssh://admin@web1.example:2222"),
        ({"connection": "ansible.builtin.ssh", "address": "2001:db8::1"}, "ssh://[2001:db8::1]"),
        ({"user": "a@b:c"}, "ssh://a%40b%3Ac@web1.example"),
        ({"connection": "community.docker.docker", "address": "box"}, "docker://box"),
        ({"connection": "community.docker.docker_api", "address": "box", "user": "dev"}, "docker://dev@box"),
        ({"connection": "ansible.builtin.local"}, "local://"),
    ],
)
def test_a_connection_becomes_a_host(way: dict[str, str], hosts: str) -> None:
    assert options({**SSH, **way}, "/tmp/x")[0] == f"--hosts={hosts}"


def test_ssh_keeps_its_arguments_and_its_key_and_asks_no_questions() -> None:
    _, arguments, key = options({**SSH, "arguments": "-o ProxyJump=jump", "key": "~/.ssh/id"}, "/tmp/x")
    assert arguments.endswith(" -o ProxyJump=jump")
    assert "-o BatchMode=yes" in arguments
    assert "StrictHostKeyChecking" not in arguments
    assert key.startswith("--ssh-identity-file=/")


def test_another_connection_is_one_clear_error() -> None:
    with pytest.raises(Unreachable, match=r"connection is kubernetes\.core\.kubectl"):
        options({**SSH, "connection": "kubernetes.core.kubectl"}, "/tmp/x")


def test_sudo_is_used_where_ansible_works_as_another_user() -> None:
    assert sudo("0", "0") == []
    assert sudo("1000", "0") == ["--sudo", "--sudo-user=#0"]
