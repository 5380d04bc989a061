"""Nobody's stream ends because nothing is said on it, or because the certificate of the server's own authority is renewed meanwhile.

OpenCode says every ten seconds that it is there. So a second page and gateway run beside the stack, of its images and described as its
own are. Their agent's server says one thing, nothing for longer than anything on the way waits by default, and another thing.
"""

import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from caller import Caller

HOST = "ocweb-edge-new"
STACK, FOLDER = "/opt/ocweb", "/srv/silence"
PORT = 8443
CALLER = Caller(os.environ["OCWEB_ADDRESS"], os.environ["OCWEB_NAME"], Path(os.environ["OCWEB_FOLDER"]) / f"roots/{HOST}/root.crt", PORT)
# Longer than five minutes, which is the longest: Bun waits so long for an answer, and 255 s at most for a browser.
SILENCE = 330
# Caddy takes a minute of it for clocks that are slow, and renews after two thirds.
RENEWALS = {"admin off\n": "admin off\n\trenew_interval 2s\n", "ca ocweb\n\t\t}": "ca ocweb\n\t\t\tlifetime 2m\n\t\t}"}
AGENT = """
const said = (type) => new TextEncoder().encode("data: " + JSON.stringify({ type, properties: {} }) + "\\n\\n");
const later = (out) => setTimeout(() => out.enqueue(said("after.silence")), SECONDS * 1000);
const events = { start(out) { out.enqueue(said("server.connected")); later(out); } };
const stream = () => new Response(new ReadableStream(events), { headers: { "Content-Type": "text/event-stream" } });
const fetch = (asked) => (new URL(asked.url).pathname === "/event" ? stream() : Response.json([]));
Bun.serve({ hostname: "0.0.0.0", port: 4096, idleTimeout: 0, fetch });
"""


def on_server(script: str, given: str = "") -> str:
    """Run a shell script that has to succeed on the server, and return what it prints."""
    command = ["docker", "exec", "--interactive", HOST, "sh", "-euc", script]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def beside(described: dict[str, Any]) -> dict[str, Any]:
    """Return the description of a page and a gateway like the stack's, with files, networks, a port and an agent's server of their own."""
    services = {name: described["services"][name] for name in ("frontend", "gateway")}
    for service in services.values():
        # The labels say whose it is.
        # Compose itself writes a limit of 0 so that it does not read it.
        for name in ("depends_on", "labels", "ulimits"):
            service.pop(name, None)
        for volume in service["volumes"]:
            volume["source"] = volume["source"].replace(STACK, FOLDER, 1)
    services["gateway"]["ports"] = [f"{PORT}:3000"]
    agent = ["bun", "--eval", AGENT.replace("SECONDS", str(SILENCE))]
    services["backend"] = {"image": services["frontend"]["image"], "pull_policy": "never", "command": agent, "networks": {"app": None}}
    networks = {name: {**described["networks"][name], "name": f"silence_{name}"} for name in ("edge", "web", "app")}
    return {"name": "silence", "services": services, "networks": networks}


@pytest.fixture
def caller() -> Iterator[Caller]:
    """Who calls the second gateway, once it answers with a certificate that is soon renewed."""
    on_server(
        f"mkdir -p {FOLDER}/backend && cp -a {STACK}/gateway {FOLDER}/ && cp -a {STACK}/backend/secrets {FOLDER}/backend/"
        f" && find {FOLDER}/gateway/state -mindepth 1 -delete"
    )
    caddyfile = f"{FOLDER}/gateway/config/Caddyfile"
    text = on_server(f"cat {caddyfile}")
    for old, new in RENEWALS.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    on_server(f"cat >{caddyfile}", text)
    described = json.loads(on_server(f"cd {STACK} && docker compose config --format json"))
    on_server(f"cat >{FOLDER}/compose.yml", json.dumps(beside(described)))
    compose = f"docker compose --file {FOLDER}/compose.yml"
    try:
        on_server(f"{compose} up --detach --wait --wait-timeout 150 2>&1")
        yield CALLER
    finally:
        on_server(f"{compose} down --timeout 5 2>&1; rm -r {FOLDER}")


def test_a_stream_outlasts_silence_and_renewals(caller: Caller) -> None:
    shown = [caller.serial()]
    began = time.monotonic()
    way, events = caller.stream(SILENCE + 120)
    assert events.readline() == b"\n"
    # Until something comes, there is time to look at the certificate.
    while not select.select([way], [], [], 5)[0]:
        if (serial := caller.serial()) not in shown:
            shown.append(serial)
    assert "after.silence" in events.readline().decode()
    assert time.monotonic() - began >= SILENCE
    assert len(shown) >= 3, shown
