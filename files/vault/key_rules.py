"""What a provider's key may look like. The table is the role's own, so that a deploy refuses what was refused here."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

RULES = json.loads(Path(__file__).resolve().parents[2].joinpath("roles/llm_proxy/files/key_rules.json").read_text(encoding="utf-8"))
QUOTES = ('"', "'", "`")
TEMPLATE = "has {{, {% or {# in it, which Ansible would take for a template"


def problem(key: str, vendor: str = "") -> str:
    """Return what is wrong with a key, without any part of it; "" if nothing is.

    ``vendor`` is the built-in provider that it is for, "" where keys may look like anything.
    """
    # Where the vendor is not one of the table's, a key of a gateway's, say, may look like anything.
    others = (
        {name for name, pattern in RULES["vendors"].items() if re.match(pattern, key)} - {vendor} if vendor in RULES["vendors"] else set()
    )
    wrong = {
        "is empty": not key,
        "ends with a line break": key.endswith(("\r", "\n")),
        "has white space in it": any(character.isspace() for character in key),
        "has quotes around it": key.startswith(QUOTES) or key.endswith(QUOTES),
        "has characters that are not printable ASCII": not re.fullmatch("[!-~]*", key),
        TEMPLATE: is_template(key),
        "is a placeholder": is_placeholder(key),
        f"looks like a key of {' or '.join(sorted(others))}, not of {vendor}": bool(others),
    }
    return next((words for words, holds in wrong.items() if holds), "")


def text_problem(text: str, shortest: int = 1) -> str:
    """Return what is wrong with a secret that is no key, without any part of it; "" if nothing is. ``shortest`` is in characters."""
    wrong = {
        "is empty": not text,
        f"is shorter than {shortest} characters": len(text) < shortest,
        "has more than one line, or spaces around it": text != text.strip() or not text.isprintable(),
        TEMPLATE: is_template(text),
    }
    return next((words for words, holds in wrong.items() if holds), "")


def is_template(text: str) -> bool:
    """Say whether Ansible would work a text out."""
    return re.search("{[{%#]", text) is not None


def is_placeholder(text: str) -> bool:
    """Say whether a text stands where a key is to come."""
    return re.match(RULES["placeholder"], text) is not None


def found_in(text: str) -> list[tuple[int, str]]:
    """Return the lines (from 1) that hold what looks like a real key, each with the vendor's name."""
    lines = enumerate(text.splitlines(), 1)
    return [(number, vendor) for number, line in lines for vendor, pattern in RULES["in_text"].items() if re.search(pattern, line)]


def fingerprint(key: str) -> str:
    """Return what tells one key from another and gives none away: 12 hexadecimal digits, the same everywhere."""
    return hashlib.sha256(b"ocweb key " + key.encode()).hexdigest()[:12]
