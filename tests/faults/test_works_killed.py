"""A backup, restore, rollback or removal that dies on the server leaves what serves, and the next run ends what was begun."""

from concurrent.futures import ThreadPoolExecutor

from faulty import DIR, SERVER, Stack, changes, deploy, serves

# What works on the server, and what it has called.
DIE = "pkill -KILL -f 'import[ ]types'; pkill -KILL -f 'docker[ -]compose'; true"
BACKUPS = "/var/backups/ocweb"
PASSWORD = {"stack_backup_password": "a password for tests alone"}


def killed(name: str, when: str, **variables: object) -> None:
    """Run a playbook, and kill what it does on the server as soon as something is so there."""
    with ThreadPoolExecutor() as pool:
        done = pool.submit(deploy, {**PASSWORD, **variables}, play=f"../../playbooks/{name}.yml")
        SERVER.output(f"until {when}; do sleep 0.01; done; {DIE}", timeout=120)
        assert done.result().returncode != 0, done.result().stdout


def whole(name: str, **variables: object) -> str:
    """Run a playbook to its end; return what it said."""
    done = deploy({**PASSWORD, **variables}, play=f"../../playbooks/{name}.yml")
    assert done.returncode == 0, done.stdout
    return str(done.stdout)


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


def test_a_removal_that_is_killed_is_ended_by_the_next_one(stack: Stack) -> None:
    killed("remove", "! docker inspect ocweb-gateway-1 >/dev/null 2>&1", stack_remove="ocweb")
    whole("remove", stack_remove="ocweb")
    assert (
        SERVER.output("docker ps --all --quiet --filter label=com.docker.compose.project=ocweb; ls -A /opt/ocweb 2>/dev/null || true") == ""
    )
