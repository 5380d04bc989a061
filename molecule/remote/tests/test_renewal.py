"""A certificate of one's own is renewed, and nobody's stream ends for it."""

import http.client
import json
import os
import ssl
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlencode

SCENARIO = Path(__file__).resolve().parents[1]
FOLDER = Path(os.environ["OCWEB_FOLDER"])
ADDRESS = os.environ["OCWEB_ADDRESS"]
HOST = "ocweb-edge-old"
PERSON = {"name": "dev", "password": "correct horse battery"}


def context() -> ssl.SSLContext:
    """Trust the authority that signed the certificate, and nobody else."""
    return ssl.create_default_context(cafile=FOLDER / "ca.crt")


def serial() -> str:
    """Return the serial number of the certificate that who calls now is shown."""
    connection = http.client.HTTPSConnection(ADDRESS, timeout=10, context=context())
    connection.connect()
    assert isinstance(connection.sock, ssl.SSLSocket)
    return str((connection.sock.getpeercert() or {})["serialNumber"])


def stream() -> http.client.HTTPResponse:
    """Log in, and return a stream of events."""
    connection = http.client.HTTPSConnection(ADDRESS, timeout=45, context=context())
    connection.request("POST", "/-/login", urlencode(PERSON), {"Content-Type": "application/x-www-form-urlencoded"})
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 303
    cookie = str(answer.headers["Set-Cookie"]).partition(";")[0]
    connection.request("GET", "/api/events?directory=/workspace", headers={"Cookie": cookie, "Accept": "text/event-stream"})
    events = connection.getresponse()
    assert events.status == 200
    assert "server.connected" in events.readline().decode()
    return events


def gateway() -> str:
    """Return which container the gateway is, and since when."""
    inspect = ["docker", "inspect", "--format", "{{.Id}} {{.State.StartedAt}}", "ocweb-gateway-1"]
    return subprocess.run(["docker", "exec", HOST, *inspect], capture_output=True, text=True, check=True).stdout


def renew(number: str) -> None:
    """Have the authority sign a new key for the same names, as prepare.yml did for the first."""
    request = "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x -keyout old.key -out old.csr"
    sign = f"openssl x509 -req -days 2 -in old.csr -CA ca.crt -CAkey ca.key -set_serial {number} -extfile old.conf -out old.crt"
    for command in (request, sign):
        subprocess.run(command.split(), cwd=FOLDER, capture_output=True, check=True)


def deploy() -> None:
    """Deploy to that server, as after each renewal."""
    playbook = [Path(sys.executable).with_name("ansible-playbook"), "--inventory", SCENARIO / "inventory", "--limit", HOST]
    command = [*playbook, SCENARIO / "converge.yml", "--extra-vars", json.dumps({"stack_verify": False})]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_a_renewed_certificate_is_taken_while_a_stream_stays_open() -> None:
    before, events = gateway(), stream()
    assert serial() == "02"
    renew("3")
    deploy()
    end = time.monotonic() + 30
    while serial() != "03":
        assert time.monotonic() < end, "the old certificate is still shown"
    # Past what is on its way, the agent's server says each ten seconds that it is there.
    end = time.monotonic() + 25
    while time.monotonic() < end:
        assert events.readline(), "the stream was ended"
    assert gateway() == before
