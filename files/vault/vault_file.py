"""One vault file: what is in it, a variable of it changed, and it written again without ever being on the disk in the clear."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleError
from ansible.parsing.vault import VaultLib, VaultSecret

from vault_check import MAGIC, variable_files
from vault_passwords import DEFAULT, Passwords, Refused

HEADER = "# The keys of the model providers: `make keys` changes them (docs/keys.md).\n"


class Loader(yaml.SafeLoader):
    """Reads the YAML of a vault, whatever tags Ansible has in it; what is tagged is only kept."""


def tagged(_: Loader, tag: str, node: yaml.Node) -> tuple[str, str]:
    """Keep a value that has one of Ansible's tags, such as !unsafe."""
    return tag, str(node.value)


Loader.add_multi_constructor("!", tagged)


@dataclass
class Vault:
    """A vault file: its text in the clear, and the label and password that it is encrypted with (None: not yet)."""

    path: Path
    text: str = HEADER
    label: str = DEFAULT
    secret: VaultSecret | None = None

    def values(self) -> dict[str, Any]:
        """Return its variables.

        Raises:
            Refused: it holds anything else. Where, is said; what, is not.
        """
        try:
            found = yaml.load(self.text, Loader)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
            raise Refused(f"{self.path}: what is encrypted in it is not YAML{place}. Mend it with ansible-vault edit") from None
        if not isinstance(found or {}, dict):
            raise Refused(f"{self.path}: what is encrypted in it is not a list of `name: value`. Mend it with ansible-vault edit")
        return dict(found or {})

    def set(self, new: Mapping[str, str]) -> None:
        """Change or add variables. Everything else in the file stays as it is, comments too.

        Raises:
            Refused: a variable is written in a way that cannot be changed line by line.
        """
        wanted = {**self.values(), **new}
        for name, value in new.items():
            line = f"{name}: {json.dumps(value)}\n"
            pattern = re.compile(rf"^{re.escape(name)}[ \t]*:.*\n?", re.M)
            if found := pattern.search(self.text):
                self.text = self.text[: found.start()] + line + self.text[found.end() :]
            else:
                self.text = self.text + ("" if self.text.endswith("\n") or not self.text else "\n") + line
        try:
            same = self.values() == wanted
        except Refused:
            same = False
        if not same:
            raise Refused(f"{self.path}: {', '.join(new)} stands there twice, or over several lines. Change it with ansible-vault edit")

    def encrypted(self) -> bytes:
        """Return what its file is to hold."""
        content = self.text.encode(errors="surrogateescape")
        return bytes(VaultLib().encrypt(content, self.secret, None if self.label == DEFAULT else self.label))


def write(vaults: Sequence[Vault]) -> None:
    """Encrypt vaults and put them in their places, readable by their owner alone: all, or none where one cannot be written.

    Nothing but what is encrypted gets to the disk, and each file is replaced at once.
    """
    staged: list[tuple[str, Path]] = []
    try:
        for vault in vaults:
            place = vault.path.resolve()
            place.parent.mkdir(parents=True, exist_ok=True)
            # Ansible reads no file of variables whose name begins with a dot.
            handle, name = tempfile.mkstemp(prefix=".vault-", dir=place.parent)
            staged.append((name, place))
            with os.fdopen(handle, "wb") as file:
                file.write(vault.encrypted())
                file.flush()
                os.fsync(file.fileno())
        while staged:
            os.replace(*staged[0])
            del staged[0]
    finally:
        for name, _ in staged:
            os.unlink(name)


def opened(path: Path, passwords: Passwords) -> Vault:
    """Decrypt a vault file.

    Raises:
        Refused: none of the passwords opens it, or it was tampered with.
    """
    content = path.read_bytes()
    try:
        text, _, secret = VaultLib(secrets=passwords).decrypt_and_get_vault_id(content)
    except AnsibleError as error:
        ids = ", ".join(dict.fromkeys(each for each, _ in passwords))
        raise Refused(
            f"{path}: no password that was given opens it (vault id {label(content)}; given: {ids}). Nothing was changed"
        ) from error
    # Whatever it is, it is written again as it was: a vault may hold a keystore as well as variables.
    return Vault(path, bytes(text).decode(errors="surrogateescape"), label(content), secret)


def encrypted_files(folder: Path) -> dict[Path, str]:
    """Return the vault files beside an inventory, by what they begin with and not by their name, each with the label of its vault id."""
    heads = {path: path.read_bytes() for path in variable_files(folder)}
    return {path: label(content) for path, content in heads.items() if content.startswith(MAGIC)}


def label(content: bytes) -> str:
    """Return the label of the vault id that the content of a vault file is encrypted with."""
    head = content.split(b"\n", 1)[0].decode(errors="replace").strip().split(";")
    return head[3] if len(head) > 3 else DEFAULT
