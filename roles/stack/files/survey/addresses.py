"""Addresses that are the host's own, or not the internet's."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

SECONDS_FOR_NAMES = 3


def seen(question: dict[str, Any]) -> dict[str, Any]:
    """Return what the survey says of addresses."""
    return {"addresses": addresses(question["private_ranges"]), "private_upstreams": private(question["upstreams"])}


def addresses(known: list[str]) -> list[str]:
    """Return the host's own IPv4 addresses that are in none of the ``known`` ranges."""
    ranges = [ipaddress.IPv4Network(one) for one in known]
    found, last = set(), ""
    with open("/proc/net/fib_trie", encoding="ascii") as lines:
        for line in lines:
            if leaf := re.search(r"-- ([0-9.]+)", line):
                last = leaf.group(1)
            elif "/32 host LOCAL" in line and not any(ipaddress.IPv4Address(last) in one for one in ranges):
                found.add(last)
    return sorted(found)


def private(hosts: list[str]) -> list[str]:
    """Return those of the host names that resolve to an address which is not the internet's; one that cannot be resolved is none."""

    def resolves_to_private(host: str) -> bool:
        with contextlib.suppress(OSError, UnicodeError):
            found = {entry[4][0] for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
            return any(not ipaddress.ip_address(str(address).partition("%")[0]).is_global for address in found)
        return False

    pool = ThreadPoolExecutor()
    asked = {host: pool.submit(resolves_to_private, host) for host in hosts}
    wait(asked.values(), timeout=SECONDS_FOR_NAMES)
    pool.shutdown(wait=False, cancel_futures=True)
    return sorted(host for host, answer in asked.items() if answer.done() and answer.result())
