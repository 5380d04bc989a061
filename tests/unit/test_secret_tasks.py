"""A secret that a task hands to a host by standard input is in no temporary file there, in no output and in no diff."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]


def tasks(found: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Return tasks, also those in blocks."""
    for task in found:
        inner = [task[part] for part in ("block", "rescue", "always") if part in task]
        if not inner:
            yield task
        for part in inner:
            yield from tasks(part)


SECRET = {
    f"{path.parts[-3]}: {task['name']}": task
    for path in sorted(ROOT.glob("roles/*/tasks/*.yml"))
    for task in tasks(yaml.safe_load(path.read_text(encoding="utf-8")))
    if task.get("no_log") and "stdin" in task.get("ansible.builtin.command", {})
}


def test_there_are_some() -> None:
    assert {name.split(":")[0] for name in SECRET} == {"backend", "frontend", "llm_proxy", "stack"}


@pytest.mark.parametrize("name", SECRET)
def test_it_goes_by_pipelining_and_is_not_shown(name: str) -> None:
    task = SECRET[name]
    assert task["vars"]["ansible_pipelining"] is True
    assert task["no_log"] is True
    assert task["diff"] is False
