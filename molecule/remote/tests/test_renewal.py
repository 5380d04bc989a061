"""A certificate of one's own is renewed, and nobody's stream ends for it."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from caller import Caller

SCENARIO = Path(__file__).resolve().parents[1]
FOLDER = Path(os.environ["OCWEB_FOLDER"])
ADDRESS = os.environ["OCWEB_ADDRESS"]
HOST = "ocweb-edge-old"
CALLER = Caller(ADDRESS, ADDRESS, FOLDER / "ca.crt")


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
    before, (_, events) = gateway(), CALLER.stream(45)
    assert CALLER.serial() == "02"
    renew("3")
    deploy()
    end = time.monotonic() + 30
    while CALLER.serial() != "03":
        assert time.monotonic() < end, "the old certificate is still shown"
    # Past what is on its way, the agent's server says each ten seconds that it is there.
    end = time.monotonic() + 25
    while time.monotonic() < end:
        assert events.readline(), "the stream was ended"
    assert gateway() == before
