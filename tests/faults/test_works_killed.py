"""A backup, restore, rollback, renewal, removal or first deploy that dies leaves what serves, and the next run ends what was begun."""

from pathlib import Path

from faulty import BACKUPS, DIR, SERVER, Stack, changes, deploy, disturbed, play, play_while, serves

# What works on the server, and what it has called.
DIE = "pkill -KILL -f 'import[ ]types'; pkill -KILL -f 'docker[ -]compose'; true"
ALL = {"stack_remove": "ocweb", "stack_remove_engine": True}

# A service is gone, and others are still there.
HALF_REMOVED = "! docker inspect ocweb-gateway-1 >/dev/null 2>&1"


def killed(name: str, when: str, **variables: object) -> None:
    """Run a playbook, and kill what it does on the server as soon as something is so there."""
    done = play_while(DIE, when, name, **variables)
    assert done.returncode != 0, done.stdout


def whole(name: str, **variables: object) -> str:
    """Run a playbook to its end; return what it said."""
    done = play(name, **variables)
    assert done.returncode == 0, done.stdout
    return str(done.stdout)


def gone() -> None:
    """See that nothing is left of stack and engine."""
    assert SERVER.output(f"find {DIR} /var/lib/docker /var/lib/containerd -mindepth 1 2>/dev/null; command -v docker; true") == ""


def test_a_backup_that_is_killed_is_none(stack: Stack, session: str) -> None:
    killed("backup", f"ls {BACKUPS}/.*.part >/dev/null 2>&1")
    assert SERVER.run(f"ls {BACKUPS}/*.tar.gpg").returncode != 0
    whole("backup")
    assert len(SERVER.output(f"ls -A {BACKUPS}").split()) == 1


def test_a_restore_that_is_killed_leaves_the_sessions(stack: Stack, session: str) -> None:
    [backup] = SERVER.output(f"ls {BACKUPS}/*.tar.gpg").split()
    killed("restore", f"ls -d {DIR}/backend/home.[0-9]* >/dev/null 2>&1", stack_restore_file=backup)
    assert serves(stack)
    assert session in {one["id"] for one in stack.backend("/session")}
    whole("restore", stack_restore_file=backup)
    stack.refresh()
    assert session in {one["id"] for one in stack.backend("/session")}
    assert SERVER.output(f"ls {DIR}/backend | grep -c '^home'").strip() == "2"


def test_a_rollback_that_is_killed_is_made_good_by_a_deploy(stack: Stack) -> None:
    last = changes()
    assert deploy(last).returncode == 0
    killed("rollback", "pgrep -f 'compose.* [u]p' >/dev/null")
    done = deploy(last)
    assert done.returncode == 0, done.stdout
    assert "changed=0 " in deploy(last).stdout
    assert serves(stack)
    assert "comes back" in whole("rollback")
    assert serves(stack)


def test_a_renewal_that_is_killed_is_made_good_by_a_deploy(stack: Stack) -> None:
    """While what reads the new password is not there to have read it."""
    running = "docker ps --quiet --filter label=com.docker.compose.service=backend | grep -q ."
    killed("rotate_secrets", f"! {running}")
    done = deploy(changes())
    assert done.returncode == 0, done.stdout
    stack.refresh()
    assert serves(stack)


def test_a_removal_that_is_killed_is_ended_by_the_next_one(stack: Stack) -> None:
    killed("remove", HALF_REMOVED, stack_remove="ocweb")
    whole("remove", **ALL)
    gone()


def test_a_first_deploy_that_is_killed_on_its_way_is_made_good_by_the_next_one(stack: Stack, tmp_path: Path) -> None:
    """On a host with nothing, at every third task that changes something there: each deploy begins with what the one before has left."""
    first = changes()
    done = disturbed(tmp_path, 0, "", first)
    assert done.code == 0, done.said
    left = list(dict.fromkeys(done.tasks[number - 1] for number in done.changed))[::3]
    killed("remove", HALF_REMOVED, **ALL)
    whole("remove", **ALL)
    gone()
    killed_at = []
    while left:
        run = disturbed(tmp_path, "\n".join(left), "kill", first)
        if run.code == 0:
            # What was left to do, those before have done on the server after they were killed.
            break
        assert run.code == -9, run.said
        killed_at.append(run.tasks[-1])
        del left[: left.index(run.tasks[-1]) + 1]
    assert len(killed_at) >= 5, (killed_at, left)
    done = disturbed(tmp_path, 0, "", first)
    assert done.code == 0, done.said
    assert "changed=0 " in deploy(first).stdout
    assert serves(stack)
