"""Somebody on the servers' LAN, who trusts one authority and nobody else."""

import http.client
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

PERSON = {"name": "dev", "password": "correct horse battery"}


@dataclass(frozen=True)
class Caller:
    """Calls a gateway at an address by one of its names, or by the address itself."""

    address: str
    name: str
    trust: Path
    port: int = 443

    def connection(self, seconds: float) -> http.client.HTTPSConnection:
        """Return a connection on which an answer may take so long, once the certificate is proven to be for the name."""
        context = ssl.create_default_context(cafile=self.trust)
        connection = http.client.HTTPSConnection(self.name, self.port, context=context)
        plain = socket.create_connection((self.address, self.port), timeout=seconds)
        connection.sock = context.wrap_socket(plain, server_hostname=self.name)
        return connection

    def serial(self) -> str:
        """Return the serial number of the certificate that who calls now is shown."""
        connection = self.connection(30)
        assert isinstance(connection.sock, ssl.SSLSocket)
        with connection.sock as secure:
            return str((secure.getpeercert() or {})["serialNumber"])

    def stream(self, silence: float) -> tuple[ssl.SSLSocket, http.client.HTTPResponse]:
        """Log in, and return a stream of events that may be silent for so many seconds, with the socket that it comes by."""
        connection = self.connection(silence)
        connection.request("POST", "/-/login", urlencode(PERSON), {"Content-Type": "application/x-www-form-urlencoded"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 303
        cookie = str(answer.headers["Set-Cookie"]).partition(";")[0]
        connection.request("GET", "/api/events?directory=/workspace", headers={"Cookie": cookie, "Accept": "text/event-stream"})
        assert isinstance(connection.sock, ssl.SSLSocket)
        events = connection.getresponse()
        assert events.status == 200
        assert "server.connected" in events.readline().decode()
        return connection.sock, events
