"""An inventory of two hosts that are two stacks on the server, with their keys in a vault, and the playbooks that are run on it."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from ansible.parsing.vault import VaultLib, VaultSecret
from bed import NAME, SCENARIO, Internet, Server

ROOT = SCENARIO.parents[1]
PASSWORD = "the password of the tests' vault"
FIRST = NAME
SECOND = f"{NAME}-second"
KEYED = ("anthropic", "openai", "gemini", "house")
Keys = dict[str, Any]


@dataclass
class Run:
    """A playbook that was run: its exit code, what it said in one line, and from when to when it ran, in seconds since the epoch."""

    code: int
    said: str
    begin: float
    end: float

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.end - self.begin

    def changed(self, host: str) -> int:
        """How many tasks changed a host, as the recap says."""
        return int(self.said.rpartition(f"{host} : ok=")[2].partition("changed=")[2].split()[0])


class Fleet:
    """The hosts; `keys` are what their vaults hold.

    A host's keys are written into a vault file of its own, which is encrypted before it is on disk.
    """

    providers = KEYED

    def __init__(self, folder: Path, server: Server, internet: Internet) -> None:
        self.folder = folder
        self.server = server
        self.internet = internet
        self.keys: dict[str, Keys] = {FIRST: internet.canaries(), SECOND: dict(zip(KEYED, internet.fresh(*KEYED), strict=True))}
        self.inventory = folder / "inventory"
        self.password = folder / "password"
        self.password.write_text(PASSWORD, encoding="utf-8")
        self.password.chmod(0o600)
        self.vault = VaultLib([("default", VaultSecret(PASSWORD.encode()))])
        reached = {"ansible_connection": "community.docker.docker", "ansible_host": NAME}
        second = {"stack_project": "second", "stack_dir": "/opt/second", "frontend_port": 3001, "backend_workspace": "/srv/second"}
        hosts = {FIRST: reached, SECOND: {**reached, **second}}
        references = {name: f"{{{{ vault_{name}_api_key }}}}" for name in KEYED}
        self.write("hosts.yml", {"all": {"hosts": hosts}})
        self.write("group_vars/all/keys.yml", {"llm_proxy_keys": references, "stack_verify": False})
        for host, keys in self.keys.items():
            self.put(host, keys)

    def write(self, path: str, content: object) -> None:
        """Write a file of the inventory."""
        file = self.inventory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(content), encoding="utf-8")

    def put(self, host: str, keys: Keys) -> None:
        """Write a host's keys into its vault; `keys` may be those of some providers."""
        self.keys[host] = {**self.keys[host], **keys}
        # A key may look like a template, and is none; JSON is YAML.
        text = "".join(f"vault_{name}_api_key: !unsafe {json.dumps(key)}\n" for name, key in self.keys[host].items())
        file = self.inventory / "host_vars" / host / "vault.yml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(self.vault.encrypt(text))

    def renew(self, host: str, *providers: str) -> Keys:
        """Put new keys of these providers into a host's vault, which the providers accept from now on too; return them."""
        new = dict(zip(providers, self.internet.fresh(*providers), strict=True))
        self.put(host, new)
        return new

    def command(self, playbook: str, *options: str, hosts: Sequence[str] = (FIRST,), **variables: object) -> list[str]:
        """Return the command that runs one of the project's playbooks on hosts."""
        playbooks = "" if playbook == "site" else "playbooks/"
        words = [str(Path(sys.executable).with_name("ansible-playbook")), f"{playbooks}{playbook}.yml"]
        words += [f"--inventory={SCENARIO}/inventory", f"--inventory={self.inventory}", f"--limit={','.join(hosts)}"]
        words += [f"--vault-password-file={self.password}", f"--extra-vars={json.dumps(variables)}"]
        return [*words, *options]

    def play(self, playbook: str, *options: str, hosts: Sequence[str] = (FIRST,), **variables: object) -> Run:
        """Run one of the project's playbooks on hosts. It may fail."""
        begin = time.time()
        command = self.command(playbook, *options, hosts=hosts, **variables)
        done = subprocess.run(
            command, env=environment(), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        return Run(done.returncode, " ".join(done.stdout.split()), begin, time.time())


def environment(**more: str) -> dict[str, str]:
    """Return the environment in which playbooks are run."""
    return {**os.environ, "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1", **more}


def fingerprint(key: str) -> str:
    """Return what the stack calls a key where it must not say it."""
    return hashlib.sha256(b"ocweb key " + key.encode()).hexdigest()[:12]
