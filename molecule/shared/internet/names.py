"""A name server: the world's own names, and for all others what the engine's resolver says."""

import ipaddress
import itertools
import socket
import struct
import threading
from collections.abc import Iterator

A, AAAA = 1, 28
TYPES = {A: "A", AAAA: "AAAA", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 15: "MX", 16: "TXT", 33: "SRV", 65: "HTTPS", 255: "ANY"}
NO_SUCH_NAME = 3
UPSTREAM = ("127.0.0.11", 53)


class Names:
    """Answers to questions in DNS's wire format."""

    def __init__(self, names: dict[str, list[str]], rebinding: dict[str, list[str]]) -> None:
        self.names = names
        self.turns: dict[str, Iterator[str]] = {name: itertools.cycle(addresses) for name, addresses in rebinding.items()}
        self.lock = threading.Lock()

    def answer(self, query: bytes, over_tcp: bool) -> tuple[bytes, str, str, list[str]]:
        """Return the answer, and what was asked and said: name, type and addresses.

        Raises:
            ValueError: it is no question.
        """
        name, kind, end = question(query)
        type_name = TYPES.get(kind, str(kind))
        addresses = self.look_up(name, kind)
        if addresses is None and kind != AAAA and not name.endswith(".example"):
            return forward(query, over_tcp), name, type_name, ["forwarded"]
        # Real names have no IPv6 here: there is no way to it.
        missing = addresses is None and name.endswith(".example")
        packed = [ipaddress.ip_address(address).packed for address in addresses or []]
        lifetime = 0 if name in self.turns else 60
        records = [struct.pack("!HHHIH", 0xC00C, kind, 1, lifetime, len(data)) + data for data in packed]
        header = query[:2] + struct.pack("!HHHHH", 0x8580 | (NO_SUCH_NAME if missing else 0), 1, len(records), 0, 0)
        return header + query[12:end] + b"".join(records), name, type_name, addresses or []

    def look_up(self, name: str, kind: int) -> list[str] | None:
        """Return a name's addresses of a kind; None where the name is not of this world."""
        if name in self.turns:
            with self.lock:
                return [next(self.turns[name])] if kind == A else []
        found = self.names.get(name)
        parent = name
        while found is None and "." in parent:
            parent = parent.partition(".")[2]
            found = self.names.get(f"*.{parent}")
        if found is None:
            return None
        return [address for address in found if kind == (AAAA if ":" in address else A)]


def question(query: bytes) -> tuple[str, int, int]:
    """Return the name in lower case, the type, and where the question ends."""
    labels, at = [], 12
    try:
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode("latin-1"))
            at += 1 + query[at]
        return ".".join(labels).lower(), int(struct.unpack("!H", query[at + 1 : at + 3])[0]), at + 5
    except (IndexError, struct.error) as error:
        raise ValueError("not a DNS question") from error


def forward(query: bytes, over_tcp: bool) -> bytes:
    """Ask the engine's resolver."""
    if not over_tcp:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.settimeout(5)
            udp.sendto(query, UPSTREAM)
            return udp.recv(65535)
    with socket.create_connection(UPSTREAM, 5) as tcp, tcp.makefile("rb") as stream:
        tcp.sendall(struct.pack("!H", len(query)) + query)
        return stream.read(struct.unpack("!H", stream.read(2))[0])
