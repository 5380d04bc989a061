"""The ports that the stack is to listen on, and who is there before it."""

from __future__ import annotations

import errno
import glob
import os
import socket
from typing import Any

from command import run


def seen(question: dict[str, Any]) -> dict[str, Any]:
    """Return what is in the way of each port that is wanted."""
    address, port, redirect = (question["listen"][name] for name in ("address", "port", "redirect"))
    project, debug = question["project"], question["debug_port"]
    return {
        "obstacle": obstacle(address, port, project),
        "redirect_obstacle": obstacle(address, redirect, project) if redirect else "",
        "debug_obstacle": obstacle("127.0.0.1", debug, project) if debug else "",
    }


def obstacle(address: str, port: int, project: str) -> str:
    """Say why address:port cannot be listened on; "" if it can, or if our own gateway already does."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except (PermissionError, OverflowError):  # a low port, which the engine may use all the same, or no port at all
            return ""
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                return f"cannot be listened on ({error.strerror})"
        else:
            return ""
    row = '{{.Names}} {{.Label "com.docker.compose.project"}}'
    _, listed, _ = run("docker", "ps", "--filter", f"publish={port}", "--format", row)
    for line in listed.splitlines():
        name, _, owner = line.partition(" ")
        return "" if owner == project else f"is used by the container {name}"
    return f"is used by {process_on(port) or 'another process (as root, `ss -ltnp` names it)'}"


def process_on(port: int) -> str:
    """Name the process that listens on a TCP port, as far as this user may see; "" if it cannot be told."""
    sockets = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table, encoding="ascii") as lines:
                rows = [line.split() for line in lines][1:]
        except OSError:
            continue
        sockets |= {f"socket:[{row[9]}]" for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port}
    for link in glob.glob("/proc/[0-9]*/fd/*"):
        try:
            if os.readlink(link) in sockets:
                pid = link.split("/")[2]
                with open(f"/proc/{pid}/comm", encoding="utf-8") as name:
                    return f"{name.read().strip()} (process {pid})"
        except OSError:
            continue
    return ""
