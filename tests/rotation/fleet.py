"""An inventory of two hosts that are two stacks on the server, with their keys in a vault, and the playbooks that are run on it."""

import base64
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
# The first host's machine once more, under another name.
ALIAS = f"{NAME}-alias"
Keys = dict[str, str]
KEYED = ("anthropic", "openai", "gemini", "house")
STACKS = {FIRST: ("ocweb", "/opt/ocweb"), SECOND: ("second", "/opt/second"), ALIAS: ("ocweb", "/opt/ocweb")}


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
    """The hosts; `keys` are what their vaults hold, by the names of their files on the host.

    A host's keys are written into a vault file of its own, which is encrypted before it is on disk. The first host has two keys of
    `house`, of which one is for when the other is turned down.
    """

    def __init__(self, folder: Path, server: Server, internet: Internet) -> None:
        self.folder = folder
        self.server = server
        self.internet = internet
        self.inventory = folder / "inventory"
        self.password = folder / "password"
        self.password.write_text(PASSWORD, encoding="utf-8")
        self.password.chmod(0o600)
        self.vault = VaultLib([("default", VaultSecret(PASSWORD.encode()))])
        reached = {"ansible_connection": "community.docker.docker", "ansible_host": NAME}
        second = {"stack_project": "second", "stack_dir": "/opt/second", "frontend_port": 3001}
        hosts = {FIRST: reached, SECOND: {**reached, **second}, ALIAS: reached}
        self.write("hosts.yml", {"all": {"hosts": hosts}})
        self.write("group_vars/all/deploy.yml", {"stack_verify": False, "llm_proxy_canary": True, "stack_start_timeout": 300})
        canaries = internet.canaries()
        main, spare = canaries.pop("house"), internet.fresh("house")[0]
        self.keys: dict[str, Keys] = {FIRST: {**canaries, "house.main": main, "house.spare": spare}}
        self.keys[SECOND] = dict(zip(KEYED, internet.fresh(*KEYED), strict=True))
        # Every key that was ever in a vault.
        self.known: set[str] = set()
        for host, keys in self.keys.items():
            self.put(host, keys)

    def write(self, path: str, content: object) -> None:
        """Write a file of the inventory."""
        file = self.inventory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(content), encoding="utf-8")

    def put(self, host: str, keys: Keys) -> None:
        """Write a host's keys into its vault; `keys` may be some of them."""
        self.keys[host] = {**self.keys.get(host, {}), **keys}
        self.known |= set(keys.values())
        references: dict[str, Any] = {}
        for name in self.keys[host]:
            provider, _, which = name.partition(".")
            reference = f"{{{{ vault_{name.replace('.', '_')}_api_key }}}}"
            if not which:
                references[provider] = reference
            else:
                references.setdefault(provider, []).append({"name": which, "key": reference, "weight": 0 if which == "spare" else 1})
        self.write(f"host_vars/{host}/keys.yml", {"llm_proxy_keys": references})
        # A key may look like a template, and is none; JSON is YAML.
        lines = (f"vault_{name.replace('.', '_')}_api_key: !unsafe {json.dumps(key)}\n" for name, key in self.keys[host].items())
        (self.inventory / "host_vars" / host / "vault.yml").write_bytes(self.vault.encrypt("".join(lines)))

    def renew(self, host: str, *names: str) -> Keys:
        """Put new keys under these names into a host's vault, and return them."""
        new = dict(zip(names, self.internet.fresh(*(name.partition(".")[0] for name in names)), strict=True))
        self.put(host, new)
        return new

    def placed(self, host: str) -> dict[str, tuple[str, float]]:
        """Return the keys on a host, each with the moment at which it came into its place."""
        script = "cd $0/llm-proxy/keys; for name in *; do stat --format '%.9Z' $name; base64 --wrap 0 $name; echo; echo $name; done"
        lines = self.server.output("bash", "-euc", script, STACKS[host][1]).splitlines()
        found = zip(lines[::3], lines[1::3], lines[2::3], strict=True)
        return {name: (base64.b64decode(key).decode(), float(moment)) for moment, key, name in found}

    def containers(self, host: str) -> str:
        """Return the host's containers, and when each was started."""
        ids = f"$(docker ps --all --quiet --no-trunc --filter label=com.docker.compose.project={STACKS[host][0]} | sort)"
        return self.server.output(f"docker inspect --format '{{{{.Id}}}} {{{{.State.StartedAt}}}}' {ids}")

    def records(self, host: str) -> dict[str, Any]:
        """Return what the host knows of who did what to which key."""
        return dict(json.loads(self.server.output("cat", f"{STACKS[host][1]}/llm-proxy/records/keys.json")))

    def uses(self, provider: str) -> dict[str, Any]:
        """Return how the provider's keys were used, by their fingerprints."""
        return dict(self.internet.accounts()[provider]["keys"])

    def command(self, playbook: str, *options: str, hosts: Sequence[str] = (FIRST,), **variables: object) -> list[str]:
        """Return the command that runs one of the project's playbooks on hosts."""
        playbooks = "" if playbook == "site" else "playbooks/"
        words = [str(Path(sys.executable).with_name("ansible-playbook")), f"{playbooks}{playbook}.yml"]
        words += [f"--inventory={SCENARIO}/inventory", f"--inventory={self.inventory}", f"--limit={','.join(hosts)}"]
        words += [f"--vault-password-file={self.password}", f"--extra-vars={json.dumps(variables)}"]
        return [*words, *options]

    def play(
        self, playbook: str, *options: str, hosts: Sequence[str] = (FIRST,), settings: dict[str, str] | None = None, **variables: object
    ) -> Run:
        """Run one of the project's playbooks on hosts, with settings of Ansible's. It may fail."""
        begin = time.time()
        command = self.command(playbook, *options, hosts=hosts, **variables)
        done = subprocess.run(
            command, env=environment(settings), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        return Run(done.returncode, " ".join(done.stdout.split()), begin, time.time())

    def leaks(self, text: str) -> list[str]:
        """Return where in a text a key stands that was ever in a vault, and what is said around it."""
        found = []
        for key in self.known:
            for spelling in {key, json.dumps(key)[1:-1], key[5:40]}:
                at = text.find(spelling)
                if at >= 0:
                    found.append(text[max(0, at - 200) : at].strip()[-150:])
        return found


def environment(settings: dict[str, str] | None = None) -> dict[str, str]:
    """Return the environment in which playbooks are run."""
    return {**os.environ, "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1", **(settings or {})}
