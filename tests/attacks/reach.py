"""How testinfra gets to a host as Ansible does: from the connection's options as Ansible worked them out, none of which is a secret."""

import os
from collections.abc import Mapping
from urllib.parse import quote

KINDS = {"smart": "ssh", "paramiko": "ssh", "paramiko_ssh": "ssh", "docker_api": "docker"}
KNOWN = ("ssh", "local", "docker", "podman")


class Unreachable(Exception):
    """The audit cannot get to the host; the message says what would be right."""


def options(way: Mapping[str, str], folder: str) -> list[str]:
    """Return the options that lead pytest's testinfra to a host; `folder` is for the ssh connection that its commands share.

    Raises:
        Unreachable: by such a connection it cannot.
    """
    kind = str(way["connection"]).rpartition(".")[2]
    kind = KINDS.get(kind, kind)
    if kind not in KNOWN:
        raise Unreachable(f"The audit reaches hosts by {', '.join(KNOWN)}, and this one's connection is {way['connection']}")
    if kind == "local":
        return ["--hosts=local://"]
    user = f"{quote(way['user'])}@" if way["user"] else ""
    address = f"[{way['address']}]" if ":" in way["address"] else way["address"]
    if kind != "ssh":
        return [f"--hosts={kind}://{user}{address}"]
    port = f":{way['port']}" if way["port"] else ""
    # ssh takes the first value of each option: it asks no questions, and all commands share one connection that ends soon after the last.
    shared = f"-o BatchMode=yes -o ControlMaster=auto -o ControlPersist=10s -o ControlPath={folder}/%C"
    found = [f"--hosts=ssh://{user}{address}{port}", f"--ssh-extra-args={shared} {way['arguments']}"]
    return [*found, f"--ssh-identity-file={os.path.expanduser(way['key'])}"] if way["key"] else found


def sudo(uid: str, wanted: str) -> list[str]:
    """Return the options with which testinfra's commands run as the user `wanted` where it logs in as `uid`."""
    return [] if uid == wanted else ["--sudo", f"--sudo-user=#{wanted}"]
