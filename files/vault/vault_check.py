#!/usr/bin/env python3
"""Refuses what would undo a vault: vault files in the clear, passwords that others can read, keys and placeholders outside of vaults.

    vault_check.py --staged         look at what the next commit would hold (as a pre-commit hook does)
    vault_check.py --install        make that the pre-commit hook of the repository that it is called in
    vault_check.py INVENTORY...     look at inventories, and at the password files that are in use
    vault_check.py --play QUESTION  the same for a play: the JSON of roles/stack/tasks/vault.yml, and exit code 0

Prints a line a problem, which never has a secret in it. Exit codes: 0 none, 1 some, 2 it could not look.
Needs nothing but Python and, for commits, git.
"""

from __future__ import annotations

import argparse
import configparser
import contextlib
import glob
import json
import os
import re
import shlex
import stat
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import key_rules

HERE = Path(__file__).resolve()
MAGIC = b"$ANSIBLE_VAULT;"
VARIABLES = {"group_vars", "host_vars"}
VAULT_NAME = re.compile(r"(vault.*|.*\.vault)\.(yml|yaml|json)")
PASSWORD_NAME = re.compile(r"(?i)(\.?vault[-_.]?pass(word|wd|phrase)?([-_.]file)?(\.txt)?|.+\.vault-pass(word)?)")
# A value that stands where a key is to come: the name of a variable or of a provider, and the text that is no template.
SETTING = re.compile(r"""^\s*(?:-\s*)?["']?(?P<name>\w[\w-]*)["']?\s*:\s*["']?(?P<value>[^"'#\s]+(?: [^"'#\s]+)*)["']?\s*(?:#.*)?$""")
SECRET_NAME = re.compile(r"(?i)vault_|key|token|secret|passw|" + "|".join(key_rules.RULES["vendors"]))
# Of a vault whose values are each encrypted in place, the lines that begin a value.
IN_PLACE = re.compile(rb"(---|\.\.\.|#.*|\w+:\s*!vault\s+[|>].*)?\s*$")
# A file of variables is not as long as that.
LONGEST = 1 << 20


def is_vault(name: str) -> bool:
    """Say whether a path, by its name, is that of a vault."""
    return bool(VARIABLES & set(name.split("/")[:-1])) and VAULT_NAME.fullmatch(name.rpartition("/")[2]) is not None


def is_encrypted(content: bytes) -> bool:
    """Say whether nothing in a vault is in the clear: it is encrypted as a whole, or each of its values is."""
    if content.startswith(MAGIC):
        return True
    outer = [line for line in content.splitlines() if not line[:1].isspace()]
    return b"!vault" in content and all(IN_PLACE.match(line) for line in outer)


def content_problems(name: str, content: bytes) -> Iterator[str]:
    """Yield what is wrong with a file, by its name and what is in it."""
    if is_vault(name) and not is_encrypted(content):
        yield (
            f"{name}: a vault that is not encrypted. Remove it and enter the keys with `make keys`, or use `ansible-vault encrypt`; "
            "a real key that lay in it counts as lost, and wants a new one (docs/keys.md)"
        )
        return
    if content.startswith(MAGIC) or b"\0" in content:
        return
    text = content.decode(errors="replace")
    for number, vendor in key_rules.found_in(text):
        yield f"{name}, line {number}: what looks like a key of {vendor}, in the clear. Have a new one, and use `make keys` (docs/keys.md)"
    if VARIABLES & set(name.split("/")[:-1]):
        for number, line in enumerate(text.splitlines(), 1):
            setting = SETTING.match(line)
            if setting and SECRET_NAME.search(setting["name"]) and key_rules.is_placeholder(setting["value"]):
                yield f"{name}, line {number}: {setting['name']} is a placeholder. Remove the line and use `make keys` (docs/keys.md)"


def repository(path: Path) -> Path | None:
    """Return the git work tree that a path is in, if any."""
    return next((folder for folder in path.parents if (folder / ".git").exists()), None)


def password_file_problems(path: Path) -> Iterator[str]:
    """Yield what is wrong with how a password file is kept. A client script holds no password; what is not there, Ansible reports."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return
    if not stat.S_ISREG(mode) or mode & 0o111:
        return
    if mode & 0o077:
        yield f"{path}: a vault's password that others can read (mode {stat.S_IMODE(mode):04o}). Do: chmod 600 {shlex.quote(str(path))}"
    if folder := repository(path.resolve()):
        yield f"{path}: a vault's password inside the repository {folder}. Move it out, for instance to ~/.config/ocweb/"


def source(identity: str) -> str:
    """Return where the password of a vault id (``label@source``) comes from; "" where it is asked for."""
    place = identity.partition("@")[2] if "@" in identity else identity
    return "" if place in ("prompt", "prompt_ask_vault_pass") else place


def command_line_sources(words: list[str]) -> list[str]:
    """Return the password files that an Ansible command was given, as argparse understands it: with `=` or without, and shortened."""
    found = []
    for word, following in zip(words, [*words[1:], ""], strict=False):
        option, equals, value = word.partition("=")
        value = value if equals else following
        if len(option) > len("--vault-") and "--vault-id".startswith(option):
            found.append(source(value))
        elif len(option) > len("--vault-") and ("--vault-password-file".startswith(option) or "--vault-pass-file".startswith(option)):
            found.append(value)
    return [each for each in found if each]


def process(number: int) -> tuple[int, list[str]]:
    """Return a process's parent (0 where it is not known), and its command line."""
    folder = Path("/proc", str(number))
    if not Path("/proc/self/stat").exists():
        asked = subprocess.run(["ps", "-o", "ppid=,args=", "-p", str(number)], capture_output=True, text=True, check=False)
        parent, *words = asked.stdout.split() or ["0"]
        return int(parent), words
    try:
        parent = folder.joinpath("stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1]
        words = folder.joinpath("cmdline").read_bytes().decode(errors="surrogateescape").split("\0")
    except OSError:  # It is another user's, and hidden.
        return 0, []
    return int(parent), words


def ansible_command(number: int) -> list[str]:
    """Return the command line of the Ansible that a process is or comes from, [] if there is none."""
    while number > 1:
        number, words = process(number)
        if any(Path(word).name.startswith("ansible") for word in words[:3]):
            return words
    return []


def configured_sources(folder: Path) -> list[str]:
    """Return the password files that the environment, or the ansible.cfg of a folder, names."""
    config = configparser.ConfigParser(interpolation=None, strict=False)
    given = Path(os.environ.get("ANSIBLE_CONFIG") or folder / "ansible.cfg")
    with contextlib.suppress(OSError, UnicodeDecodeError, configparser.Error):
        config.read_string(given.read_text(encoding="utf-8"))
    section = config["defaults"] if config.has_section("defaults") else {}
    file = os.environ.get("ANSIBLE_VAULT_PASSWORD_FILE") or section.get("vault_password_file", "")
    file = file and str(given.parent / os.path.expanduser(file))
    identities = os.environ.get("ANSIBLE_VAULT_IDENTITY_LIST") or section.get("vault_identity_list", "")
    return [each for each in (file, *(source(identity.strip()) for identity in identities.split(","))) if each]


def used_password_problems(sources: Iterable[str], folder: Path) -> Iterator[str]:
    """Yield what is wrong with how the password files in use are kept. Paths are seen from ``folder``."""
    for path in dict.fromkeys(folder / os.path.expanduser(each) for each in sources):
        yield from password_file_problems(path)


def variable_files(folder: Path) -> list[Path]:
    """Return the files of variables beside an inventory, behind links too."""
    places = [f"{glob.escape(str(folder))}/{name}/**" for name in VARIABLES]
    return sorted(path for place in places for path in map(Path, glob.glob(place, recursive=True)) if path.is_file())


def inventory_problems(sources: Iterable[str]) -> Iterator[str]:
    """Yield what is wrong with inventories: their hosts' files, and the variables beside them."""
    seen: set[Path] = set()
    for given in map(Path, sources):
        if not given.exists():  # A list of hosts
            continue
        folder = given if given.is_dir() else given.parent
        files = [given] if given.is_file() else [path for path in given.iterdir() if path.is_file()]
        files += variable_files(folder)
        for path in sorted(set(files) - seen):
            seen.add(path)
            if path.stat().st_size <= LONGEST:
                yield from content_problems(str(path), path.read_bytes())


def git(*words: str, given: bytes = b"") -> bytes:
    """Return what a git command prints."""
    return subprocess.run(["git", *words], input=given, stdout=subprocess.PIPE, check=True).stdout


def staged_files() -> Iterator[tuple[str, str, bytes]]:
    """Yield (name, mode, content) of each file that the next commit adds or changes, as git would commit it."""
    fields = (
        git("diff", "--cached", "--raw", "-z", "--no-abbrev", "--no-renames", "--diff-filter=ACMT")
        .decode(errors="surrogateescape")
        .split("\0")
    )
    changes = [(name, *row.split(" ")[1:4:2]) for row, name in zip(fields[::2], fields[1::2], strict=False)]
    blobs = [(name, mode, blob) for name, mode, blob in changes if mode.startswith("100")]
    printed = git("cat-file", "--batch", given="".join(f"{blob}\n" for _, _, blob in blobs).encode())
    for name, mode, _ in blobs:
        head, _, printed = printed.partition(b"\n")
        size = int(head.rpartition(b" ")[2])
        yield name, mode, printed[:size]
        printed = printed[size + 1 :]


def staged_problems() -> Iterator[str]:
    """Yield what is wrong with what the next commit would hold, and with the password files that are in use."""
    top = Path(git("rev-parse", "--show-toplevel").decode().rstrip("\n"))
    for name, mode, content in staged_files():
        if mode == "100644" and PASSWORD_NAME.fullmatch(name.rpartition("/")[2]) and not content.startswith(MAGIC):
            yield f"{name}: a vault's password, by its name. Take it out (git rm --cached), and keep it outside of the repository"
        yield from content_problems(name, content)
    yield from used_password_problems(configured_sources(top), top)


def install() -> str:
    """Make this the pre-commit hook of the repository; return what was done.

    Raises:
        FileExistsError: there is another hook, which is left alone.
    """
    top = Path(git("rev-parse", "--show-toplevel").decode().rstrip("\n"))
    hook = Path.cwd() / git("rev-parse", "--git-path", "hooks/pre-commit").decode().rstrip("\n")
    place = HERE.relative_to(top) if HERE.is_relative_to(top) else HERE
    call = f"python3 {shlex.quote(str(place))} --staged"
    text = f"#!/bin/sh\n# Refuses to commit vaults in the clear, keys and passwords.\nexec {call}\n"
    if os.path.lexists(hook) and hook.read_text(encoding="utf-8") != text:
        raise FileExistsError(f"{hook} is there already. Add a line to it: {call} || exit 1")
    hook.parent.mkdir(parents=True, exist_ok=True)
    hook.write_text(text, encoding="utf-8")
    hook.chmod(0o755)
    return f"{hook} looks at each commit from now on"


def play_problems(question: dict[str, list[str]], folder: Path) -> Iterator[str]:
    """Yield what is wrong with what a play uses; its password files may stand in Ansible's configuration or on its command line."""
    yield from inventory_problems(question["inventory"])
    sources = [*question["password_files"], *map(source, question["identities"]), *command_line_sources(ansible_command(os.getppid()))]
    yield from used_password_problems(filter(None, sources), folder)


def main() -> int:
    """Do what the command line says; return the exit code."""
    parser = argparse.ArgumentParser(description="Refuses what would undo a vault")
    ways = parser.add_mutually_exclusive_group(required=True)
    ways.add_argument("--staged", action="store_true", help="look at what the next commit would hold")
    ways.add_argument("--install", action="store_true", help="make that the repository's pre-commit hook")
    ways.add_argument("--play", type=json.loads, help=argparse.SUPPRESS)
    ways.add_argument("inventory", nargs="*", default=[], help="an inventory to look at")
    given = parser.parse_args()
    try:
        if given.install:
            print(install())
            return 0
        if given.play:
            folder = Path(given.play["folder"])
            problems = list(play_problems(given.play, folder))
        elif given.staged:
            problems = list(staged_problems())
        else:
            problems = [*inventory_problems(given.inventory), *used_password_problems(configured_sources(Path.cwd()), Path.cwd())]
    except (OSError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stdout if given.play else sys.stderr)
        return 0 if given.play else 2
    sys.stdout.writelines(f"{problem}\n" for problem in problems)
    return 1 if problems and not given.play else 0


if __name__ == "__main__":
    sys.exit(main())
