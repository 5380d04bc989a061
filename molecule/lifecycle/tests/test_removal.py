"""What is removed is gone without a trace, and nothing else is."""

from conftest import DIR, ELSEWHERE, Elsewhere, Stack, listing, measured, play, state


def test_the_projects_name_confirms_it(stack: Stack) -> None:
    before = state(stack)
    for confirmation in ("", "yes", "ocwe"):
        done = play("remove", {"stack_remove": confirmation})
        assert done.code == 2
        assert "stack_remove: nothing was removed. The project's name confirms it: -e stack_remove=ocweb." in done.said
    wrong = play("remove", {"stack_project": "other", "stack_remove": "other"})
    assert f"The stack in {DIR} (stack_dir) is not of the project other" in wrong.said
    assert state(stack) == before


def test_a_second_stack_goes_without_a_trace(stack: Stack, elsewhere: Elsewhere) -> None:
    dry = play("remove", ELSEWHERE, "--check")
    assert (dry.code, dry.changed) == (0, 1)
    assert "container elsewhere-backend-1" in dry.said

    removed = play("remove", {**ELSEWHERE, "stack_remove": "elsewhere", "stack_remove_workspace": True})
    measured("removal of a stack that runs", f"{removed.seconds:.1f} s")
    assert removed.code == 0, removed.said
    # The first stack lives on, and the tests had backups and passwords of their own.
    theirs = (f"{DIR}/", "/root/", "/var/backups", "/run/")
    assert [line for line in sorted(set(listing(stack.server)) ^ set(elsewhere.before)) if not line.startswith(theirs)] == []
    again = play("remove", ELSEWHERE)
    assert (again.code, again.changed) == (0, 0)


def test_the_last_stack_takes_the_base_along_and_leaves_the_workspace(stack: Stack) -> None:
    stack.server.check_output("echo work >/root/workspace/work.txt")
    assert play("remove", {"stack_remove": "ocweb"}).code == 0
    assert stack.server.check_output("docker ps --all --quiet; docker image ls --all --quiet; docker volume ls --quiet") == ""
    assert stack.server.check_output("docker network ls --format '{{.Name}}' | sort").split() == ["bridge", "host", "none"]
    assert stack.server.run(f"test -e {DIR}").rc == 1
    assert stack.server.check_output("cat /root/workspace/work.txt") == "work"
