"""A task that does without root says so in a way that an inventory cannot outweigh."""

from pathlib import Path

import pytest

from task_files import FILES, ROOT, read, tasks


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_task_says_become_as_a_keyword(file: Path) -> None:
    """`ansible_become` of an inventory wins over the keyword, and loses to a task's own `vars`."""
    assert [task["name"] for task in tasks(read(file)) if "become" in task] == []
