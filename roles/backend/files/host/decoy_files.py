"""Lays out a key that works nowhere where a thief would look, and tells those who watch for it. Standard library only.

``main`` takes ``enabled``, ``check`` (change nothing), ``webhook`` (to be told, "" is none), and of each place its path, owner, group and
mode: ``home`` (of the agent), ``secrets`` (of the proxy), ``config`` (of the egress guard). It tells whether anything ``changed``.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from pathlib import Path
from typing import Any

import secret_file

LENGTH = 96
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
# It is to look as if someone had left it there.
CREDENTIALS = "# Shared account for the nightly jobs\nexport OPENAI_API_KEY={key}\nexport OPENAI_BASE_URL=https://{host}/v1\n"
WHERE = ".config/openai/credentials"

Belongs = tuple[int, int, int]


def made() -> str:
    """Return a new decoy, which looks like a key of OpenAI's."""
    return "sk-proj-" + "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))


def host_of(key: str) -> str:
    """Return the name of a server that is nowhere, which only the decoy's finder asks for."""
    return f"llm.{hashlib.sha256(key.encode()).hexdigest()[:10]}.internal"


def files(question: dict[str, Any], key: str) -> dict[Path, tuple[str, Belongs]]:
    """Return what every file is to hold, and whose it is."""
    home, proxy, guard = (question[name] for name in ("home", "secrets", "config"))
    kept = {
        Path(proxy["path"], "canary"): (key, belongs(proxy)),
        Path(home["path"], WHERE): (CREDENTIALS.format(key=key, host=host_of(key)), belongs(home)),
        Path(guard["path"], "canary.words"): (f"{re.escape(key)}\n", belongs(guard)),
        Path(guard["path"], "canary.hosts"): (f"{host_of(key)}\n", belongs(guard)),
    }
    return {**kept, Path(proxy["path"], "canary_webhook"): (question["webhook"], belongs(proxy))}


def belongs(place: dict[str, Any]) -> Belongs:
    """Return owner, group and mode of the files of a place."""
    return place["owner"], place["group"], int(place["mode"], 8)


def make_folders(home: dict[str, Any]) -> None:
    """Make the folders that lead to the decoy, as the agent's own."""
    folder = Path(home["path"])
    for name in Path(WHERE).parent.parts:
        folder /= name
        if not folder.exists():
            folder.mkdir(mode=0o700)
            os.chown(folder, home["owner"], home["group"])


def main(question: dict[str, Any]) -> dict[str, Any]:
    """Make every file as it is to be, or take it away."""
    kept = Path(question["secrets"]["path"], "canary")
    key = (kept.read_text(encoding="ascii") if kept.exists() else "") or made()
    changed = False
    for path, (text, whose) in files(question, key).items():
        wanted = text if question["enabled"] else ""
        there = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        if wanted == there and (not wanted or secret_file.belongs(path) == whose):
            continue
        changed = True
        if question["check"]:
            continue
        if wanted:
            if path.name == Path(WHERE).name:
                make_folders(question["home"])
            secret_file.write(path, wanted, *whose)
        else:
            path.unlink()
    return {"changed": changed}
