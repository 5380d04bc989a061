"""A task that does without root says so in a way that an inventory cannot outweigh."""

from pathlib import Path

import pytest
import yaml

TOP = Path(__file__).parents[3]
FILES = sorted([*TOP.glob("roles/*/tasks/*.yml"), *TOP.glob("playbooks/*.yml"), TOP / "site.yml"])


def tasks(content: object) -> list[dict[str, object]]:
    """Return all plays and tasks in what a file holds, at any depth."""
    if isinstance(content, list):
        return [task for one in content for task in tasks(one)]
    if not isinstance(content, dict):
        return []
    return [
        content,
        *(task for name in ("block", "rescue", "always", "tasks", "pre_tasks", "post_tasks") for task in tasks(content.get(name))),
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(TOP)))
def test_no_task_says_become_as_a_keyword(file: Path) -> None:
    """`ansible_become` of an inventory wins over the keyword, and loses to a task's own `vars`."""
    assert [task["name"] for task in tasks(yaml.safe_load(file.read_text(encoding="utf-8"))) if "become" in task] == []
