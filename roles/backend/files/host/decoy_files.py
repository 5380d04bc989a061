"""Lays out a key that works nowhere where a thief would look, and tells those who watch for it. Standard library only.

``main`` takes ``enabled``, ``check`` (change nothing), ``webhook`` (to be told, "" is none), and of each place its path, owner, group and
mode: ``home`` (of the agent), ``secrets`` (of the proxy), ``config`` (of the egress guard). It tells whether anything ``changed``, what
``hindered`` it in the agent's home ("" is nothing), and the ``error`` that it ended with elsewhere ("" is none).

The home is the agent's, which may have put a link or a pipe wherever root is to write: each folder in it is opened without following any.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import secret_file

LENGTH = 96
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
# It is to look as if someone had left it there.
CREDENTIALS = "# Shared account for the nightly jobs\nexport OPENAI_API_KEY={key}\nexport OPENAI_BASE_URL=https://{host}/v1\n"
WHERE = Path(".config/openai/credentials")
# More than the decoy ever has.
MOST_BYTES = 4096

Belongs = tuple[int, int, int]


def made() -> str:
    """Return a new decoy, which looks like a key of OpenAI's."""
    return "sk-proj-" + "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))


def host_of(key: str) -> str:
    """Return the name of a server that is nowhere, which only the decoy's finder asks for."""
    return f"llm.{hashlib.sha256(key.encode()).hexdigest()[:10]}.internal"


def files(question: dict[str, Any], key: str) -> dict[Path, tuple[str, Belongs]]:
    """Return what every file but the decoy itself is to hold, and whose it is."""
    proxy, guard = question["secrets"], question["config"]
    kept = {
        Path(proxy["path"], "canary"): (key, belongs(proxy)),
        Path(guard["path"], "canary.words"): (f"{re.escape(key)}\n", belongs(guard)),
        Path(guard["path"], "canary.hosts"): (f"{host_of(key)}\n", belongs(guard)),
    }
    return {**kept, Path(proxy["path"], "canary_webhook"): (question["webhook"], belongs(proxy))}


def belongs(place: dict[str, Any]) -> Belongs:
    """Return owner, group and mode of the files of a place."""
    return place["owner"], place["group"], int(place["mode"], 8)


@contextlib.contextmanager
def folder(home: dict[str, Any], make: bool) -> Iterator[Path | None]:
    """Open the decoy's folder in the agent's home, made as the agent's own if need be; None where there is none.

    Raises:
        OSError: something else is in its place, such as a link.
    """
    with contextlib.ExitStack() as opened:
        at = os.open(home["path"], os.O_RDONLY | os.O_DIRECTORY)
        opened.callback(os.close, at)
        for name in WHERE.parent.parts:
            new = False
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, 0o700, dir_fd=at)
                    new = True
            try:
                at = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
            except FileNotFoundError:
                yield None
                return
            opened.callback(os.close, at)
            if new:
                os.chown(at, home["owner"], home["group"])
        # The folder that is open, whatever becomes of its name.
        yield Path(f"/proc/self/fd/{at}")


def lies_as(path: Path, text: str, whose: Belongs) -> bool:
    """Tell whether a file of someone's holds a text; "" is that there is none."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return text == ""
    except OSError:
        # A link, or what cannot be opened: not what was put there.
        return False
    with open(handle, "rb") as file:
        regular = stat.S_ISREG(os.fstat(handle).st_mode)
        return text != "" and regular and file.read(MOST_BYTES) == text.encode() and secret_file.belongs(handle) == whose


def put(path: Path, text: str, whose: Belongs, check: bool) -> bool:
    """Make one file be as it is to be, "" is not there, and tell whether it was otherwise."""
    if lies_as(path, text, whose):
        return False
    if not check:
        if text:
            secret_file.write(path, text, *whose)
        else:
            path.unlink(missing_ok=True)
    return True


def put_home(home: dict[str, Any], text: str, check: bool) -> bool:
    """Make the decoy itself be as it is to be, and tell whether it was otherwise. A dry run may be of a home that is yet to be made."""
    if check and not os.path.lexists(home["path"]):
        return bool(text)
    with folder(home, make=bool(text) and not check) as there:
        if there is None:
            return bool(text)
        return put(there / WHERE.name, text, belongs(home), check)


def main(question: dict[str, Any]) -> dict[str, Any]:
    """Make every file as it is to be, or take it away."""
    path = kept = Path(question["secrets"]["path"], "canary")
    enabled, check = question["enabled"], question["check"]
    changed, hindered = False, ""
    try:
        key = (kept.read_text(encoding="ascii") if kept.exists() else "") or made()
        for path, (text, whose) in files(question, key).items():
            changed |= put(path, text if enabled else "", whose, check)
    except OSError as error:
        # The task that runs this shows nothing of its output.
        why = f"{path} on the host: {error.strerror}. Look after that, and run again."
        return {"changed": changed, "hindered": "", "error": why}
    try:
        changed |= put_home(question["home"], CREDENTIALS.format(key=key, host=host_of(key)) if enabled else "", check)
    except OSError as error:
        hindered = f"{Path(question['home']['path'], WHERE)}: {error.strerror}"
    return {"changed": changed, "hindered": hindered, "error": ""}
