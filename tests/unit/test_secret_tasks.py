"""A secret that a task hands to a host is in no temporary file there, in no output and in no diff; what goes wrong is said all the same."""

from pathlib import Path

import pytest

from task_files import ROOT, read, steps, tasks

# Those that hand a secret to a program's standard input.
GIVEN = {
    "backend: Lay out the decoy, or take it away",
    "frontend: Put what only the gateway may read where only it can",
    "frontend: The certificate is valid, for its names, and the key is its own",
    "llm_proxy: Do what is to be done with the keys on the host",
    "llm_proxy: Put the login of the proxy that leads out where only the guard can read it",
    "stack: Work on the host",
}
# Those that write one by a module of Ansible's.
WRITTEN = {"stack: Write the builds' environment, which may name mirrors and their passwords"}

FILES = {path.relative_to(ROOT): steps(read(path)) for path in sorted(ROOT.glob("roles/*/tasks/*.yml"))}
TASKS = {f"{path.parts[1]}: {task['name']}": task for path, found in FILES.items() for task in found}
NEXT = {f"{path.parts[1]}: {task['name']}": found[number + 1 :] for path, found in FILES.items() for number, task in enumerate(found)}
LAYOUT = "stack: Have the services' folders, and the secrets between them"


def test_these_alone_hide_what_they_say() -> None:
    assert {name for name, task in TASKS.items() if "no_log" in task} == GIVEN | WRITTEN


@pytest.mark.parametrize("name", sorted(GIVEN | WRITTEN))
def test_it_is_not_shown(name: str) -> None:
    assert TASKS[name]["no_log"] is True
    assert TASKS[name]["diff"] is False


@pytest.mark.parametrize("name", sorted(GIVEN))
def test_it_goes_by_pipelining(name: str) -> None:
    assert "stdin" in TASKS[name]["ansible.builtin.command"]
    # Of the two, the second is the one that counts for SSH where both are set.
    assert TASKS[name]["vars"]["ansible_pipelining"] is True
    assert TASKS[name]["vars"]["ansible_ssh_pipelining"] is True


@pytest.mark.parametrize("name", sorted(GIVEN | {LAYOUT}))
def test_what_goes_wrong_is_said_before_anything_else_is_done(name: str) -> None:
    """A task that hides its output says nothing when it fails, and one that fails by what it prints says it in the midst of a program."""
    task, found = TASKS[name], NEXT[name]
    assert "failed_when" not in task
    judged = next(other for other in found if "ansible.builtin.debug" not in other)
    answer = "__stack_answer" if name == "stack: Work on the host" else task["register"]
    assert "fail_msg" in judged["ansible.builtin.assert"] and answer in str(judged)


@pytest.mark.parametrize("role", ["backend", "frontend", "llm_proxy"])
def test_what_a_configuration_names_lies_there_before_it(role: str) -> None:
    """A service that starts anew in a deploy that was killed finds what its configuration names."""
    kinds = [
        "config" if "ansible.builtin.template" in task else "program"
        for task in FILES[Path(f"roles/{role}/tasks/main.yml")]
        if {"ansible.builtin.template", "ansible.builtin.command", "ansible.builtin.import_tasks"} & set(task)
    ]
    assert kinds == [*(["program"] * (len(kinds) - 1)), "config"] and len(kinds) > 1


def test_folders_and_secrets_lie_there_before_any_service_is_set_up() -> None:
    site = tasks(read(ROOT / "site.yml"))
    roles = [task["ansible.builtin.import_role"] for task in site if "ansible.builtin.import_role" in task]
    names = [role.get("tasks_from", role["name"]) for role in roles]
    assert names[names.index("layout") :] == ["layout", "llm_proxy", "backend", "frontend", "up"]


@pytest.mark.parametrize("role", ["backend", "frontend", "llm_proxy"])
def test_no_folder_of_a_service_is_made_by_a_module_that_follows_links(role: str) -> None:
    """Who owns a folder above could put one there, between the look at the host and the deed, for root to give away what it leads to."""
    assert [task["name"] for task in FILES[Path(f"roles/{role}/tasks/main.yml")] if "ansible.builtin.file" in task] == []
