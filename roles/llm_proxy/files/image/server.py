"""Serves the gate and LiteLLM behind it: `python server.py`, with the environment of the container.

LLM_PROXY_LISTEN is the name or address to listen at, 127.0.0.1 when it is not set. Health and proofs of keys are asked for at a door
of their own on loopback, which stays open when callers hold every connection of theirs.
"""

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Mapping

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.server import ServerState

from connection import PatientConnection
from gate import Gate, create_app
from held import held_here
from output import mask_output

LISTEN = "LLM_PROXY_LISTEN"
PORT = 4000
# On 127.0.0.1, where nobody but the container's own programs is: health.py and probe.py.
OWN_PORT = 4001
LOGGERS = ("LiteLLM", "LiteLLM Proxy", "LiteLLM Router")
# Connections and requests; the next one is answered 503. OpenCode needs a few for each conversation.
MAX_TOGETHER = 256
MAX_HEADER_BYTES = 16_384
# No answer is cut off by a restart that can wait: Compose's stop_grace_period is longer.
SHUTDOWN_SECONDS = 290


def listen_address(environ: Mapping[str, str] = os.environ) -> str:
    """The IP address to listen at. Exits with one line on stderr when the name has none."""
    name = environ.get(LISTEN) or "127.0.0.1"
    try:
        found = socket.getaddrinfo(name, PORT, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        sys.exit(f"llm-proxy: {LISTEN} is {name!r}, which cannot be resolved ({error})")
    return str(found[0][4][0])


def configured(app: Gate, host: str, port: int) -> uvicorn.Config:
    """How Uvicorn serves `app`."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=PatientConnection,
        ws="none",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        log_level="warning",
        limit_concurrency=MAX_TOGETHER,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


class Server(uvicorn.Server):
    """Uvicorn's server, with a second door whose connections are counted by themselves."""

    def __init__(self, config: uvicorn.Config, own_port: int) -> None:
        super().__init__(config)
        self._own_port = own_port

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open both doors once the app is ready. Exits with one line on stderr when the second cannot be opened."""
        await super().startup(sockets)
        state = ServerState()
        try:
            own = await asyncio.get_running_loop().create_server(
                lambda: self.config.http_protocol_class(self.config, state, self.lifespan.state), "127.0.0.1", self._own_port
            )
        except OSError as error:
            sys.exit(f"llm-proxy: the port {self._own_port} on 127.0.0.1 cannot be listened at ({error})")
        self.servers.append(own)


def main() -> None:
    """Serve until SIGTERM. Exits with one line on stderr when an address or the master key is not usable."""
    host = listen_address()
    held = held_here()
    # Before LiteLLM is imported: its loggers keep the output that they find.
    mask_output(held.masker)
    app = create_app(held)
    # LiteLLM itself heeds LITELLM_LOG only where its own command line starts it.
    for logger in LOGGERS:
        logging.getLogger(logger).setLevel(os.environ.get("LITELLM_LOG") or "WARNING")
    server = Server(configured(app, host, PORT), OWN_PORT)
    server.run()
    if not server.started:
        sys.exit(STARTUP_FAILURE)


if __name__ == "__main__":
    main()
