"""Who is in the way of the stack's ports is named."""

import os
import socket
from collections.abc import Callable

import listening

StubCommand = Callable[..., None]


def test_a_free_port_has_no_listener() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert listening.obstacle("127.0.0.1", port, "ocweb") == ""


def test_who_listens_on_a_port_is_named(stub_command: StubCommand, taken_port: int) -> None:
    stub_command("")
    assert f"(process {os.getpid()})" in listening.obstacle("127.0.0.1", taken_port, "ocweb")


def test_a_container_that_listens_is_named(stub_command: StubCommand, taken_port: int) -> None:
    stub_command("echo wiki-web-1 wiki")
    assert listening.obstacle("127.0.0.1", taken_port, "ocweb") == "is used by the container wiki-web-1"


def test_our_own_gateway_does_not_count_as_a_listener(stub_command: StubCommand, taken_port: int) -> None:
    stub_command("echo ocweb-gateway-1 ocweb")
    assert listening.obstacle("127.0.0.1", taken_port, "ocweb") == ""


def test_an_address_that_the_host_has_not_is_named() -> None:
    assert listening.obstacle("203.0.113.1", 3000, "ocweb") == "cannot be listened on (Cannot assign requested address)"
