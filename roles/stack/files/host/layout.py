"""Lays out what the services find when they start: folders, each for whom it is, and the secrets between them. Standard library only."""

from __future__ import annotations

from typing import Any

import folders
import inner_secrets
from folder import reason


def main(question: dict[str, Any]) -> dict[str, Any]:
    """Have the ``folders`` (see folders.py) and the ``secrets`` (see inner_secrets.py), unless this is a dry run (``check``).

    Returns {"changed": whether anything was, or would be, "folders": their paths, "secrets": their paths, "new": paths of the secrets that
    are, "error": ""}. Where a folder cannot be had, no secret is made.
    """
    made = folders.main(question)
    kept: dict[str, list[str]] = {"new": [], "given": []}
    try:
        kept = kept if made["error"] else inner_secrets.main(question)
    except OSError as error:
        made["error"] = reason(error)
    written = kept["new"] + kept["given"]
    return {
        "changed": bool(made["changed"] or written),
        "folders": made["changed"],
        "secrets": written,
        "new": kept["new"],
        "error": made["error"],
    }
