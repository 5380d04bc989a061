"""The word of a proxy in front on who it has let in."""

import hmac
import ipaddress
import re
from collections.abc import Mapping, Sequence
from email.message import Message
from hashlib import sha256
from pathlib import Path

# What a proxy shows that it is the one.
SECRET = "X-Ocweb-Proxy"
# A name in braces is what some proxies say for one that they were not told.
NAME = re.compile(r"[^\x00-\x1f\x7f{}]{1,128}")


class Voucher:
    """A proxy that asks people who they are, and says so in a header.

    `digest` is the file with its secret's SHA-256, in hexadecimal digits, read anew each time; `header` is where it names the user,
    and `trusted` are the addresses or networks that it calls from.
    """

    def __init__(self, digest: Path, header: str, trusted: Sequence[str]) -> None:
        self._digest = digest
        self._header = header
        self._trusted = [ipaddress.ip_network(one, strict=False) for one in trusted]

    def digest(self) -> str:
        """Return the digest as it is in the file now. Raises OSError where there is none."""
        return self._digest.read_text(encoding="ascii").strip()

    def user(self, headers: Mapping[str, str] | Message) -> str | None:
        """Return who it vouches for, None where the request is not its, or names nobody, or two."""
        # Of two, one may be the visitor's own.
        if isinstance(headers, Message) and any(len(headers.get_all(name, [])) > 1 for name in (self._header, SECRET)):
            return None
        named = headers.get(self._header, "").strip()
        if not self._calls(headers.get("X-Forwarded-For", "")) or not NAME.fullmatch(named):
            return None
        shown = sha256(headers.get(SECRET, "").encode("utf-8", "surrogateescape")).hexdigest()
        return named if hmac.compare_digest(shown, self.digest()) else None

    def _calls(self, forwarded: str) -> bool:
        # The last one is the gateway's own word; what stands before it came with the request.
        try:
            address = ipaddress.ip_address(forwarded.rpartition(",")[2].strip())
        except ValueError:
            return False
        return any(address in network for network in self._trusted)
