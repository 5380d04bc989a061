"""The collection's files of tasks and plays."""

from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FILES = sorted([*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("playbooks/*.yml"), ROOT / "site.yml"])


def tasks(content: object) -> list[dict[str, Any]]:
    """Return all plays and tasks in what a file holds, at any depth."""
    if isinstance(content, list):
        return [task for one in content for task in tasks(one)]
    if not isinstance(content, dict):
        return []
    return [
        content,
        *(task for name in ("block", "rescue", "always", "tasks", "pre_tasks", "post_tasks") for task in tasks(content.get(name))),
    ]
