#!/usr/bin/env python3
"""Puts the providers' keys into a vault: finds which are wanted, asks for them without echo, and encrypts them before anything else.

    vault_keys.py -i INVENTORY                     the keys that are missing, for all hosts
    vault_keys.py -i INVENTORY --for HOST|GROUP    for one host or group alone
    vault_keys.py -i INVENTORY --only PROVIDER     new ones of a provider
    vault_keys.py -i INVENTORY --set VARIABLE      a new value of one variable
    vault_keys.py -i INVENTORY --stdin             no questions: lines of name=value or JSON objects
    vault_keys.py -i INVENTORY --rekey             another password for all vaults

Needs ansible-core and nothing else, so it is run with the Python that Ansible runs in. Exit codes: 0 done, 2 refused and nothing changed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

try:
    from ansible.parsing.dataloader import DataLoader

    import vault_passwords
    from key_inventory import Inventory, Keys, did_you_mean, is_missing
    from vault_check import MAGIC, inventory_problems, variable_files
    from vault_file import Vault, encrypted_files, opened, write
    from vault_passwords import Passwords, Refused, hidden
except ModuleNotFoundError as error:
    if not (error.name or "").startswith(("ansible", "jinja2", "yaml")):
        raise
    sys.exit(f"{sys.executable} has no Ansible. Run this with the Python that Ansible runs in: `ansible --version` names it")

import key_rules

# As roles/stack/files/host/sealed.py wants it, in characters.
BACKUP_PASSWORD = 12
NAME = re.compile(r"[a-z_][a-z0-9_]{0,63}")


def options() -> argparse.ArgumentParser:
    """Return the command line's parser. It takes no value of a key: other users of the machine can read command lines."""
    parser = argparse.ArgumentParser(description="Puts the providers' keys into a vault", allow_abbrev=False)
    parser.add_argument("-i", "--inventory", required=True, help="an inventory: its folder, or its hosts' file")
    parser.add_argument("--for", dest="entity", metavar="HOST|GROUP", default="all", help="whose keys (default: all)")
    parser.add_argument(
        "--only", metavar="PROVIDER", action="append", default=[], help="ask for this provider's keys, also where there are some"
    )
    parser.add_argument(
        "--set", dest="names", metavar="VARIABLE", action="append", default=[], help="ask for this variable, also where it has a value"
    )
    scripts = parser.add_mutually_exclusive_group()
    scripts.add_argument(
        "--stdin", dest="fd", action="store_const", const=0, help="read name=value or JSON, a line each, from standard input"
    )
    scripts.add_argument("--fd", type=int, metavar="N", help="the same from an open file descriptor")
    scripts.add_argument("--rekey", action="store_true", help="encrypt all vaults of the inventory with another password")
    parser.add_argument(
        "--new-vault-id", metavar="LABEL@SOURCE", help="with --rekey: where the new password comes from, and whose vaults to change"
    )
    parser.add_argument("--new-vault-password-file", metavar="FILE", help="with --rekey: the file that has the new password")
    vault_passwords.options(parser)
    return parser


def read_values(lines: Iterable[str]) -> dict[str, str]:
    """Read lines of ``name=value``, or JSON objects of such. A key is taken as it is, so that what is wrong with it shows.

    Raises:
        Refused: a line is neither. It is not shown, as it may hold a key.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        name, equals, value = line.removesuffix("\n").partition("=")
        given: object = {name.strip(): value}
        if line.lstrip().startswith("{"):
            try:
                given = json.loads(line)
            except ValueError:
                given = None
        elif not line.strip():
            continue
        elif not equals:
            given = None
        if not isinstance(given, dict) or not all(isinstance(each, str) for each in given.values()) or not all(map(NAME.fullmatch, given)):
            raise Refused(
                f"Line {number} of what was given is neither name=value nor a JSON object of such. It is not shown, since it may hold a key"
            )
        found |= given
    return found


def place(inventory: Path, folder: str, entity: str) -> Path:
    """Return the vault file of a host or group.

    Raises:
        Refused: Ansible would not read it there, or not read what is there already.
    """
    parent = inventory / folder
    in_the_way = [parent / f"{entity}{ending}" for ending in ("", ".yml", ".yaml", ".json") if (parent / f"{entity}{ending}").is_file()]
    if in_the_way:
        old, new = in_the_way[0], parent / entity
        raise Refused(
            f"{old}: Ansible would not read it any more once there is a folder {new}. Make it one: "
            f"mv {old} {old}.old && mkdir {new} && mv {old}.old {new}/main.yml"
        )
    named = [path for ending in ("yml", "yaml", "json") if (path := parent / entity / f"vault.{ending}").exists()]
    return named[0] if named else parent / entity / "vault.yml"


def vault_at(path: Path, passwords: Passwords, wanted: str | None) -> Vault:
    """Return the vault in a file, or a new one where there is none or only placeholders.

    Raises:
        Refused: the file is not encrypted and holds something, or it is not said which password a new one gets.
    """
    if path.exists() and path.read_bytes().startswith(MAGIC):
        return opened(path, passwords)
    there = Vault(path)
    if path.exists():
        there.text = path.read_bytes().decode(errors="surrogateescape")
        if real := [name for name, value in there.values().items() if not is_missing(value)]:
            raise Refused(
                f"{path}: it is not encrypted, and holds {', '.join(map(str, real))}. Keys that lay in the clear count as lost: use "
                f"`ansible-vault encrypt {path}`, then change them with --set"
            )
    labels = list(dict.fromkeys(each for each, _ in passwords))
    if wanted is None and len(labels) > 1:
        raise Refused(f"There are several vault ids. Say which one encrypts {path}: --encrypt-vault-id {' or '.join(labels)}")
    chosen = wanted or labels[0]
    if chosen not in labels:
        raise Refused(f"--encrypt-vault-id {chosen}: there is no such vault id among {', '.join(labels)}")
    there.label, there.secret = chosen, dict(reversed(passwords))[chosen]
    vault_passwords.check_new(there.secret)
    return there


def wanted(given: argparse.Namespace, inventory: Inventory, keys: Keys) -> list[str]:
    """Return the variables to ask for.

    Raises:
        Refused: a provider or variable was named that there is not, or something is wrong with how keys are referred to.
    """
    if any("=" in name for name in given.names):
        raise Refused(
            "--set takes a name alone. Everyone on the machine can read a command line, so the value counts as lost if it was a key"
        )
    for provider in given.only:
        if provider not in keys.variables.values():
            known = sorted(set(filter(None, keys.variables.values())))
            raise Refused(
                keys.wrong() or f"--only {provider}: no model is from it. Those in use want keys of: {', '.join(known) or 'none'}"
            )
    referred = inventory.referred()
    for name in given.names:
        if name not in referred:
            shown = name if NAME.fullmatch(name) and not key_rules.found_in(name) else "a name that is not shown"
            raise Refused(
                f"{shown}: nothing in the inventory refers to such a variable."
                + ((did_you_mean(name, referred) or " Refer to it first, beside what it is for") if shown == name else "")
            )
    if given.names or given.only:
        return list(dict.fromkeys([*given.names, *(name for name, provider in keys.variables.items() if provider in given.only)]))
    if wrong := keys.wrong():
        raise Refused(wrong)
    return [name for name in keys.variables if name in keys.missing]


Rule = Callable[[str, str], str]


def rule(inventory: Inventory, keys: Keys) -> Rule:
    """Return what says of a variable's value what is wrong with it, without any part of it; "" if nothing is."""
    replaced, for_backups = inventory.replaced(), inventory.behind("stack_backup_password")

    def problem(name: str, value: str) -> str:
        if name not in keys.variables:
            return key_rules.text_problem(value, BACKUP_PASSWORD if name in for_backups else 1)
        provider = keys.variables[name]
        return key_rules.problem(value, "" if provider in replaced else provider)

    return problem


def ask(name: str, provider: str, problem: Rule) -> str:
    """Ask for a value until it can be one."""
    while True:
        value = hidden(f"{name}{f' (a key of {provider})' if provider else ''}: ")
        if not (wrong := problem(name, value)):
            return value
        print(f"That {wrong}. Once more, or Ctrl-C to change nothing", file=sys.stderr)


def rekey(given: argparse.Namespace, paths: dict[Path, str], passwords: Passwords, folder: Path, loader: DataLoader) -> list[str]:
    """Encrypt vaults with another password: all of them, or none.

    Raises:
        Refused: one cannot be opened, or it is not said which of several passwords is to be changed.
    """
    chosen, _, source = (given.new_vault_id or "").rpartition("@")
    labels = sorted(set(paths.values()))
    if len(labels) > 1 and not chosen:
        raise Refused(
            f"The vaults have several passwords: {', '.join(labels)}. Say which is changed: --new-vault-id LABEL@SOURCE or LABEL@prompt"
        )
    vaults = [opened(path, passwords) for path, label in paths.items() if len(labels) == 1 or label == chosen]
    if not vaults:
        raise Refused(f"--new-vault-id {chosen}: no vault has that label. There are: {', '.join(labels)}")
    secret = vault_passwords.from_source(chosen or vaults[0].label, source or given.new_vault_password_file or "prompt", True, loader)
    vault_passwords.check_new(secret)
    if any(secret.bytes == old.secret.bytes for old in vaults if old.secret):
        raise Refused("The new password is the old one. Nothing was changed")
    for vault in vaults:
        vault.secret, vault.label = secret, chosen or vault.label
    write(vaults)
    in_place = [path for path in variable_files(folder) if path not in paths and b"!vault" in path.read_bytes()]
    return [
        *(f"{vault.path}: encrypted with the new password" for vault in vaults),
        *(f"{path}: has values that are encrypted in place, and keep the old password. Move them into a vault" for path in in_place),
    ]


def entered(names: list[str], keys: Keys, problem: Rule, given: dict[str, str] | None) -> dict[str, str]:
    """Return a value for each variable: asked for, or of those that were given.

    Raises:
        Refused: one that was given is not what it has to be, or missing.
    """
    if given is None:
        return {name: ask(name, keys.variables.get(name, ""), problem) for name in names}
    problems = [f"{name}: no value was given for it" for name in names if name not in given]
    problems += [f"{name}: what was given {wrong}" for name, value in given.items() if (wrong := problem(name, value))]
    if problems:
        raise Refused("\n".join(problems))
    return {name: given[name] for name in names}


def fill(given: argparse.Namespace, folder: Path, passwords: Passwords, vaults: list[Vault]) -> list[str]:
    """Put keys into the vault of a host or group; return what was done, in lines. Without passwords, there is no vault yet."""
    inventory = Inventory(given.inventory, DataLoader(), passwords)
    kind, hosts = inventory.entity(given.entity)
    keys = inventory.keys(hosts)
    values = None
    if given.fd is not None:
        with os.fdopen(given.fd, encoding="utf-8", newline="\n", closefd=given.fd != 0) as lines:
            values = read_values(lines)
        given.names += [name for name in values if name not in given.names]
    names = wanted(given, inventory, keys)
    path = place(folder, kind, given.entity)
    if not names:
        nothing = "No model wants a key from a vault. Choose models first: docs/models.md"
        complete = "No key is missing. Change one with --only PROVIDER or --set VARIABLE; with --for, a host or group gets its own"
        return [complete if keys.variables else nothing, *remarks(folder, vaults, inventory), *inventory_problems([given.inventory])]

    passwords = passwords or vault_passwords.load(vault_passwords.identities(given), (), DataLoader())
    vault = vault_at(path, passwords, given.encrypt_vault_id)
    new = entered(names, keys, rule(inventory, keys), values)
    # Before anything is written: what cannot be read is an error.
    remarked = [*remarks(folder, vaults, inventory, new), *inventory_problems([given.inventory])]
    vault.set(new)
    write([vault])

    # A fingerprint tells a long random key from another, and gives a short password away.
    prints = {name: f", fingerprint {key_rules.fingerprint(value)}" for name, value in new.items() if name in keys.variables}
    said = [f"{path}: {name} is set{prints.get(name, '')}" for name in new]
    for other in vaults:
        named, owner = other.path.relative_to(folder).parts[:2]
        of_one = named == "host_vars" and any(owner == host or owner.startswith(f"{host}.") for host in hosts)
        nearer = (named, owner) != ("group_vars", "all") if given.entity == "all" else of_one and kind == "group_vars"
        if nearer and (own := [name for name in new if name in other.values()]):
            said.append(f"{other.path} has its own {', '.join(own)}, which goes first for its hosts")
    return [*said, *remarked]


def remarks(folder: Path, vaults: list[Vault], inventory: Inventory, new: Collection[str] = ()) -> list[str]:
    """Return a line for each variable without a value, besides keys, and for each value without a use."""
    lacking = inventory.without_value() - set(new)
    return [
        *(f"{name}: the inventory refers to it, and it has no value. Give it one with --set {name}" for name in sorted(lacking)),
        *unknown(folder, vaults, inventory, lacking),
    ]


def unknown(folder: Path, vaults: list[Vault], inventory: Inventory, lacking: Collection[str]) -> list[str]:
    """Return a line for each variable of a vault that nothing refers to."""
    referred = inventory.referred()
    names = [(vault.path, str(name)) for vault in vaults for name in vault.values() if str(name).startswith("vault_")]
    # Also where nothing is worked out now: in variables of groups without hosts, or as a text that a lookup is given.
    files = {path for path in folder.iterdir() if path.is_file()} | set(variable_files(folder))
    everything = [*(path.read_text(encoding="utf-8", errors="replace") for path in sorted(files)), *(vault.text for vault in vaults)]
    remedy = " Unless something else uses it, remove it with ansible-vault edit"
    return [
        f"{path}: nothing in the inventory refers to {name}.{did_you_mean(name, lacking) or remedy}"
        for path, name in names
        if name not in referred and not any(re.search(rf"\b{re.escape(name)}\b(?![ \t]*:)", text) for text in everything)
    ]


def run(given: argparse.Namespace) -> list[str]:
    """Do what the command line says; return what was done, in lines.

    Raises:
        Refused: it cannot be done, and nothing was changed.
    """
    source = Path(given.inventory)
    if not source.exists():
        raise Refused(f"{given.inventory}: there is no such inventory")
    folder = source if source.is_dir() else source.parent
    paths = encrypted_files(folder)
    if given.rekey and not paths:
        raise Refused(f"{given.inventory}: there is no vault beside it")
    passwords = vault_passwords.load(vault_passwords.identities(given), paths.values(), DataLoader()) if paths else []
    if given.rekey:
        return rekey(given, paths, passwords, folder, DataLoader())
    vaults = [opened(path, passwords) for path in paths]
    for vault in vaults:  # Before Ansible reads them: what it says of a vault that is no YAML may quote from it.
        vault.values()
    return fill(given, folder, passwords, vaults)


def main(words: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    try:
        print("\n".join(run(options().parse_args(words))))
    except (Refused, OSError) as refusal:
        print(refusal, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nNothing was changed", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
