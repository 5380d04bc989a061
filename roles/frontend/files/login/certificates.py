"""Whether the gateway has its certificates: one that an authority elsewhere gives comes some time after the start."""

import socket
import ssl
from collections.abc import Sequence


def missing_certificates(names: Sequence[str], gateway: tuple[str, int], seconds: float = 2) -> str:
    """Return the first of the names that the gateway, at this address, shows no certificate for, "" if it has all.

    Whether browsers trust what it shows is not looked at: that is the authority's part.
    """
    for name in names:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        try:
            with socket.create_connection(gateway, seconds) as connection, context.wrap_socket(connection, server_hostname=name):
                pass
        except OSError:
            return name
    return ""
