"""The gateway is healthy when it shows a certificate for each of its names."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from certificates import missing_certificates


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """Something that shows a certificate to who says a.example, and hangs up on anyone else, as Caddy does while it has none."""
    made = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x", "-keyout", "key", "-out", "crt")
    subprocess.run(["openssl", "req", "-x509", *made], cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    context.sni_callback = lambda _connection, name, _context: None if name == "a.example" else ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                try:
                    context.wrap_socket(connection, server_side=True).close()
                except OSError:
                    connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_a_name_without_a_certificate_is_told(gateway: tuple[str, int]) -> None:
    assert missing_certificates(["a.example"], gateway) == ""
    assert missing_certificates(["a.example", "b.example"], gateway) == "b.example"


def test_nobody_there_is_no_certificate() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
    assert missing_certificates(["a.example"], address) == "a.example"


def test_who_brought_a_certificate_is_asked_for_none() -> None:
    assert missing_certificates([], ("127.0.0.1", 0)) == ""
