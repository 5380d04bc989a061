"""An inventory with a vault to be, and the command that fills it."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret

import vault_keys

ROOT = Path(__file__).parents[3]
# Of each vendor's looks, and no more than looks.
KEYS = {
    "vault_anthropic_api_key": "sk-ant-" + "a" * 20,
    "vault_openai_api_key": "sk-proj-" + "o" * 20,
    "vault_gemini_api_key": "AIza" + "g" * 20,
}


@dataclass
class Bed:
    """An inventory, the password file of its vault, and the command, run in this process."""

    inventory: Path
    password: Path
    capture: pytest.CaptureFixture[str]

    @property
    def vault(self) -> Path:
        """The vault of all hosts."""
        return self.inventory / "group_vars/all/vault.yml"

    def run(self, *words: str, given: Mapping[str, str] | str | None = None, password: Path | None = None) -> tuple[int, str]:
        """Run the command with a vault's password in a file; return its exit code, and all that it said. Values come through a pipe."""
        more = list(words)
        if "--vault-id" not in words:
            more += ["--vault-password-file", str(password or self.password)]
        if given is not None:
            reading, writing = os.pipe()
            text = given if isinstance(given, str) else "".join(f"{name}={value}\n" for name, value in given.items())
            os.write(writing, text.encode())
            os.close(writing)
            more += ["--fd", str(reading)]
        self.capture.readouterr()
        code = vault_keys.main(["-i", str(self.inventory), *more])
        said = self.capture.readouterr()
        return code, said.out + said.err

    def secret(self, path: Path) -> Path:
        """Make a password file of it, kept as it should be."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"the password {path.name}\n", encoding="utf-8")
        path.chmod(0o600)
        return path

    def lib(self, password: Path | None = None) -> VaultLib:
        """Return what opens vaults of a password."""
        return VaultLib([("default", VaultSecret((password or self.password).read_bytes().strip()))])

    def text(self, path: Path | None = None, password: Path | None = None) -> str:
        """Return what is in a vault."""
        return str(self.lib(password).decrypt((path or self.vault).read_bytes()).decode())

    def values(self, path: Path | None = None, password: Path | None = None) -> dict[str, Any]:
        """Return the variables in a vault."""
        return dict(yaml.safe_load(self.text(path, password)))

    def encrypt(self, text: str, path: Path | None = None, label: str | None = None, password: Path | None = None) -> Path:
        """Write a vault with Ansible's own means."""
        place = path or self.vault
        place.parent.mkdir(parents=True, exist_ok=True)
        lib = self.lib(password)
        place.write_bytes(lib.encrypt(text, lib.secrets[0][1], label))
        return place

    def variables(self, given: Mapping[str, Any], place: str = "group_vars/all/main.yml") -> None:
        """Write variables in the clear."""
        path = self.inventory / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(given), encoding="utf-8")


Typing = Callable[[Sequence[str | Path], Sequence[tuple[str, str]]], tuple[int, str]]
