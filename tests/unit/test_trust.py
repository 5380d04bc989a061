"""After a host was asked anything, what it said is looked at before anything of the controller is read or written by variables."""

from pathlib import Path
from typing import Any

import pytest

from task_files import ROOT, read, steps

FILES = sorted(ROOT.glob("roles/*/tasks/*.yml"))
# They ask the host nothing.
QUIET = {f"ansible.builtin.{name}" for name in ("assert", "debug", "fail", "set_fact", "validate_argument_spec")}
SENDING = {f"ansible.builtin.{name}" for name in ("copy", "template", "unarchive")}
# Files of tasks at whose end a host's answers were looked at.
LOOKING = ("trust", "program", "survey")
# What is removed was made by this machine, whatever came of the tasks before; and one of two files of the role's is taken.
STAYS = {"Remove what was collected here", "Name the repository"}
PATHS = sorted(ROOT.glob("playbooks/*.yml"))
# Files of tasks that begin with variables.yml, on the controller.
FIRST = ("check", "status", "backup", "restore", "rollback", "remove")


def included(task: dict[str, Any]) -> str:
    """Return which of the stack's files of tasks a task stands for; "" for none."""
    role = task.get("ansible.builtin.import_role", {})
    return str(task.get("ansible.builtin.import_tasks", role.get("tasks_from", ""))).removesuffix(".yml")


def looks(task: dict[str, Any]) -> bool:
    """Tell whether a host that named variables is out after a task."""
    return included(task) in LOOKING or ("ansible.builtin.assert" in task and "__stack_injected_words" in str(task))


def dangerous(task: dict[str, Any]) -> bool:
    """Tell whether a task works on the controller, or moves from or to it what a variable names."""
    sent = [str(task[module].get("src", "")) for module in SENDING & set(task)]
    return "delegate_to" in task or "ansible.builtin.fetch" in task or any("{{" in source for source in sent)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_nothing_is_moved_by_what_a_host_may_have_named(path: Path) -> None:
    looked, wrong = False, []
    for task in steps(read(path)):
        if looks(task):
            looked = True
        elif dangerous(task) and not looked and task["name"] not in STAYS and not written_by_ours(task):
            wrong.append(task["name"])
        elif not QUIET & set(task) and "delegate_to" not in task:
            looked = False
    assert wrong == []


def written_by_ours(task: dict[str, Any]) -> bool:
    """Tell whether it is a template of a role's that one of the role's own variables names, over which no host stands."""
    return "ansible.builtin.template" in task and task.get("loop", "").startswith("{{ __")


@pytest.mark.parametrize("name", LOOKING)
def test_those_that_look_do_so_behind_what_is_asked(name: str) -> None:
    found = steps(read(ROOT / f"roles/stack/tasks/{name}.yml"))
    asked = max((number for number, task in enumerate(found) if "ansible.builtin.command" in task), default=-1)
    assert looks(found[asked + 1])


def test_the_inventory_says_which_keys_are_sent() -> None:
    found = steps(read(ROOT / "roles/llm_proxy/tasks/keys.yml"))
    sent = next(number for number, task in enumerate(found) if "__llm_proxy_key_list" in str(task))
    assert looks(found[sent - 1])


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_the_inventory_says_which_secrets_are_sent(path: Path) -> None:
    """A password of an earlier answer's choice might be another server's."""
    # Checks come behind the survey, and each program behind a look, or first in its play.
    looked, wrong = path.stem in ("check", "program"), []
    for task in steps(read(path)):
        if looks(task):
            looked = True
        elif not QUIET & set(task) and "delegate_to" not in task:
            wrong += [task["name"]] if "no_log" in task and not looked else []
            looked = False
    assert wrong == []


@pytest.mark.parametrize("name", ["backup", "restore"])
def test_the_inventory_says_which_password_a_program_is_told(name: str) -> None:
    looked, wrong = True, []
    for task in steps(read(ROOT / f"roles/stack/tasks/{name}.yml")):
        wrong += [task["name"]] if included(task) == "program" and not looked else []
        if looks(task):
            looked = True
        elif not QUIET & set(task) and "delegate_to" not in task and included(task) not in ("variables", "vault"):
            looked = False
    assert wrong == []


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_what_is_known_of_a_host_is_kept_in_mind_before_it_is_asked(path: Path) -> None:
    for play in read(path):
        names = [included(task) for task in steps(play.get("tasks"))]
        assert [name for name in names if name != "vault"][:1] in ([], ["variables"], *([name] for name in FIRST))


@pytest.mark.parametrize("name", FIRST)
def test_files_that_begin_a_play_keep_it_in_mind(name: str) -> None:
    names = [included(task) for task in steps(read(ROOT / f"roles/stack/tasks/{name}.yml"))]
    assert next(one for one in names if one != "vault") == "variables"
