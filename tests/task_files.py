"""The collection's files of tasks and plays."""

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
FILES = sorted([*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("playbooks/*.yml"), ROOT / "site.yml"])


def tasks(content: object) -> list[dict[str, Any]]:
    """Return all plays and tasks in what a file holds, at any depth and in their order, with the delegation of the blocks around them."""
    if isinstance(content, list):
        return [task for one in content for task in tasks(one)]
    if not isinstance(content, dict):
        return []
    inherited = {"delegate_to": content["delegate_to"]} if "delegate_to" in content else {}
    parts = ("block", "rescue", "always", "tasks", "pre_tasks", "post_tasks")
    return [content, *({**inherited, **task} for name in parts for task in tasks(content.get(name)))]


def steps(content: object) -> list[dict[str, Any]]:
    """Return the tasks alone, without the blocks that they stand in."""
    return [task for task in tasks(content) if "block" not in task]


def read(path: Path) -> list[dict[str, Any]]:
    """Return a file's plays or tasks."""
    content: list[dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content
