"""The vault's passwords, from where Ansible would take them: its options, its environment, its configuration, or a prompt."""

from __future__ import annotations

import argparse
import getpass
import warnings
from collections.abc import Collection
from pathlib import Path

from ansible import constants
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultSecret, get_file_vault_secret

import vault_check

DEFAULT = "default"
# A vault is copied, and kept in git: whoever has one can try passwords without end.
MIN_LENGTH = 12
# A password, by the label of its vault id.
Passwords = list[tuple[str, VaultSecret]]


class Refused(Exception):
    """What was asked for is not done; the message says why, and never holds a secret."""


def hidden(prompt: str) -> str:
    """Ask on the terminal, without echo.

    Raises:
        Refused: there is no terminal. Asking on standard input instead would show what is typed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", getpass.GetPassWarning)
            return getpass.getpass(prompt)
    except (getpass.GetPassWarning, EOFError) as error:
        raise Refused(
            "There is no terminal to ask on. Give the keys with --stdin or --fd, and the vault's password with --vault-id or a file"
        ) from error


def check_new(secret: VaultSecret) -> None:
    """See that a password is good enough for a vault that is to get it. What is there opens with whatever password it has.

    Raises:
        Refused: it is not.
    """
    if len(secret.bytes.decode(errors="replace")) < MIN_LENGTH:
        raise Refused(f"The vault's new password is shorter than {MIN_LENGTH} characters. Choose another, such as four words at random")


def prompted(label: str, new: bool) -> VaultSecret:
    """Ask for a vault's password; twice where it is a new one."""
    whose = "" if label == DEFAULT else f" ({label})"
    password = hidden(f"{'New vault' if new else 'Vault'} password{whose}: ").strip()
    if not password:
        raise Refused("The vault's password is empty")
    if new and hidden("The same again: ").strip() != password:
        raise Refused("The two passwords are not the same")
    return VaultSecret(password.encode())


def from_source(label: str, source: str, new: bool, loader: DataLoader) -> VaultSecret:
    """Return a vault's password from a file, a client script or a prompt.

    Raises:
        Refused: the file is not kept as a password should be, or has none.
    """
    if not vault_check.source(source):
        return prompted(label, new)
    path = Path(source).expanduser().absolute()
    if problems := list(vault_check.password_file_problems(path)):
        raise Refused("\n".join(problems))
    try:
        secret = get_file_vault_secret(filename=str(path), vault_id=label, loader=loader)
        secret.load()
    except AnsibleError as error:
        raise Refused(f"{path}: there is no password to be had from it. {error.message}") from error
    return secret


def identities(given: argparse.Namespace) -> list[tuple[str, str]]:
    """Return the vault ids that are in use, each with the source of its password, in Ansible's order."""
    named = [*constants.DEFAULT_VAULT_IDENTITY_LIST, *given.vault_ids]
    found = [(label or DEFAULT, source) for label, at, source in (each.rpartition("@") for each in named)]
    files = [*given.vault_password_files, *filter(None, [constants.DEFAULT_VAULT_PASSWORD_FILE])]
    found += [(DEFAULT, file) for file in files]
    return [*found, (DEFAULT, "prompt")] if given.ask_vault_pass or not found else found


def load(wanted: list[tuple[str, str]], known: Collection[str], loader: DataLoader) -> Passwords:
    """Return the passwords of vault ids. One whose label no vault has yet is a new one."""
    return [(label, from_source(label, place, label not in known, loader)) for label, place in wanted]


def options(parser: argparse.ArgumentParser) -> None:
    """Add Ansible's own options for the vault's password."""
    parser.add_argument("--vault-id", dest="vault_ids", metavar="LABEL@SOURCE", action="append", default=[], help="as Ansible's own")
    parser.add_argument(
        "--encrypt-vault-id", metavar="LABEL", default=constants.DEFAULT_VAULT_ENCRYPT_IDENTITY, help="which of them a new vault gets"
    )
    more = parser.add_mutually_exclusive_group()
    more.add_argument("--ask-vault-pass", "--ask-vault-password", "-J", action="store_true", default=constants.DEFAULT_ASK_VAULT_PASS)
    more.add_argument(
        "--vault-password-file", "--vault-pass-file", dest="vault_password_files", metavar="FILE", action="append", default=[]
    )
