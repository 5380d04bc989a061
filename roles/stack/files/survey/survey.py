"""Looks at a host in one round trip and changes nothing. Run by host/run.py, with all that lies here.

The question has
``listen`` ({address, port, redirect}: ports, 0 is none), ``project`` (Compose project name), ``workspace_owner`` (a user id or "auto"),
``stack_dir``, ``workspace``, ``gitconfig`` and ``ssh_dir`` (paths, or "auto" to have them chosen), ``ca_bundle`` ("auto" or a path),
``upstreams`` (host names), ``private_ranges`` (of addresses),
``debug_port`` (a port on loopback; 0 is none), ``source`` (the folder of the page's source code; "" is none),
``networks`` (of each of the project's networks, the words that are to be said of it),
``fetched`` (what a deploy may fetch from: URL by the variable that names it),
``given`` and ``known`` (names of variables: those that the user set, and those that there are).

In the answer, sizes are bytes, ids are numbers, a path that does not apply is "".
"""

from __future__ import annotations

import difflib
from typing import Any

import addresses
import engine_state
import listening
import machine
import mirrors
import mounts
import room
import source
import stack_folder


def main(question: dict[str, Any]) -> dict[str, Any]:
    """Return what is to be known of this host. Each part stands on those before it."""
    host = {**machine.seen(), "misspelt": misspelt(question["given"], question["known"])}
    host |= stack_folder.seen(question, host)
    host |= engine_state.seen(question, host)
    host |= listening.seen(question)
    host |= mounts.seen(question, host)
    host |= source.seen(question, host)
    host |= addresses.seen(question)
    host |= mirrors.seen(question, host)
    host |= room.seen(host)
    return host


def misspelt(given: list[str], known: list[str]) -> dict[str, str]:
    """Return which names are so near to a known one that it will have been meant, and which that is."""
    nearest = {name: difflib.get_close_matches(name, known, 1, 0.85) for name in sorted(given) if name not in known}
    return {name: found[0] for name, found in nearest.items() if found}
