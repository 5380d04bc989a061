"""A backup is made while people work, opens with its password alone, and is whole or refused; what it brings back is used elsewhere."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import DIR, ELSEWHERE, PASSWORD, QUIET, Elsewhere, Played, Stack, measured, play, state

GPG = "gpg --batch --quiet --s2k-count 65011712 --pinentry-mode loopback --passphrase-file /run/password"
# Opens a backup, changes its manifest, and seals it again.
REPACK = f"""
set -e; work=$(mktemp -d); cd "$work"
{GPG} --decrypt "$1" >archive; tar --extract --file archive; sed --in-place "$2" manifest.json
tar --create --file changed manifest.json sessions; {GPG} --symmetric --output "$3" changed; rm -r "$work"
"""
# Puts in the place of its sessions what OpenCode cannot open.
BREAK = f"""
set -e; work=$(mktemp -d); cd "$work"
{GPG} --decrypt "$1" >archive; tar --extract --file archive; head --bytes=16384 /dev/urandom >sessions/.local/share/opencode/opencode.db
tar --create --file changed manifest.json sessions; {GPG} --symmetric --output "$2" changed; rm -r "$work"
"""

# What a second backup has more than the first one, in MiB.
MORE = 1024 if QUIET else 64


def test_a_dry_one_says_what_it_would_make_and_changes_nothing(stack: Stack) -> None:
    there = "ls -lA --time-style=full-iso /var/backups /var/backups/ocweb 2>&1; command -v gpg; true"
    before = (state(stack), stack.server.check_output(there))
    dry = play("backup", {"stack_backup_workspace": True}, "--check")
    assert (dry.code, dry.changed) == (0, 1), dry.said
    assert "a backup in /var/backups/ocweb, of about " in dry.said
    assert (state(stack), stack.server.check_output(there)) == before


def taken(done: Played) -> tuple[int, str]:
    """Return the size of a backup that was made and read back, as the playbook says it, and how many seconds it took on the server."""
    assert done.code == 0, done.said
    size, seconds = re.findall(r"(\d+) bytes in ([\d.]+) s, read back", done.said)[-1]
    return int(size), f"{int(size) / 2**20:.0f} MiB in {seconds} s"


@pytest.fixture(scope="module")
def backup(stack: Stack, session: str) -> Iterator[str]:
    """The path of a backup on the server, made while the stack runs, with its workspace."""
    stack.server.check_output("echo work >/root/workspace/work.txt && ln -s /etc/shadow /opt/ocweb/backend/home/link")
    # As Go leaves its modules.
    stack.server.check_output("cd /root/workspace && mkdir -p go/pkg && touch go/pkg/main.go && chmod 555 go/pkg")
    stack.server.check_output("touch /root/workspace/sealed && chmod 000 /root/workspace/sealed")
    started = stack.server.check_output("docker inspect --format '{{.Id}} {{.State.StartedAt}}' $(docker ps --quiet)")
    done = play("backup", {"stack_backup_workspace": True})
    measured("backup, read back, while the stack runs", taken(done)[1])
    assert stack.server.check_output("docker inspect --format '{{.Id}} {{.State.StartedAt}}' $(docker ps --quiet)") == started
    assert re.search(r'Left out, since the agent itself may not read them: \W*"/workspace/sealed', done.said)
    stack.server.check_output("umask 077; printf %s >/run/password", PASSWORD)
    yield str(stack.server.check_output("ls /var/backups/ocweb/ocweb-*.tar.gpg"))
    stack.server.check_output("rm -rf /var/backups/ocweb /run/password /root/.gnupg /opt/ocweb/backend/home/link")
    stack.server.check_output("rm -rf /root/workspace/work.txt /root/workspace/go /root/workspace/sealed")


def test_it_holds_sessions_and_configuration_and_no_secret(stack: Stack, backup: str) -> None:
    assert stack.server.check_output(f"stat --format '%a %U' {backup}") == "600 root"
    names = stack.server.check_output(f"{GPG} --decrypt {backup} | tar --list").splitlines()
    assert {"manifest.json", "configuration/compose.yml", "sessions/.local/share/opencode/opencode.db", "workspace/work.txt"} <= set(names)
    secrets = f"cat {DIR}/backend/secrets/password {DIR}/llm-proxy/secrets/master_key"
    for secret in stack.server.check_output(f"{secrets} | sed 's/sk-/\\n&/'").split():
        assert stack.server.run(f"{GPG} --decrypt {backup} | grep --text --quiet --fixed-strings -e {secret}").rc == 1
    # A link of the agent's is a link, and nothing of what it leads to.
    assert "link -> /etc/shadow" in stack.server.check_output(f"{GPG} --decrypt {backup} | tar --list --verbose")


def test_the_report_tells_of_it(backup: str) -> None:
    assert f"ago: {backup}" in play("status").said


def test_a_larger_one(stack: Stack, backup: str) -> None:
    """What it takes beyond the first one is what reading and writing takes: the rest is the same."""
    stack.server.check_output(f"head --bytes={MORE}M /dev/urandom >/root/workspace/large")
    done = play("backup", {"stack_backup_workspace": True})
    stack.server.check_output("rm /root/workspace/large")
    stack.server.check_output(f"cd /var/backups/ocweb && find . -type f ! -name {Path(backup).name} -delete")
    size, figure = taken(done)
    measured("a larger one", figure)
    assert size > MORE * 2**20


def test_a_password_is_wanted(stack: Stack) -> None:
    for password, words in (("", "there is none"), ("short", "it is too weak")):
        done = play("backup", {"stack_backup_password": password})
        assert done.code == 2
        assert f"stack_backup_password: {words}" in done.said


SPOILT = {
    "wrong password": ("cp $1 $3", "", "does not open with this password (stack_backup_password)", "another password altogether"),
    "truncated": ("head --bytes=-1000 $1 >$3", "", "is damaged, truncated or no backup of ours", PASSWORD),
    "tampered": ("cp $1 $3; printf xxxxxxxx | dd of=$3 bs=1 seek=20000 conv=notrunc status=none", "", "is damaged, truncated", PASSWORD),
    "no backup": ("(printf 0; head --bytes=100000 /dev/urandom) >$3", "", "is damaged, truncated or no backup of ours", PASSWORD),
    # By its first byte, GnuPG takes this for a message that nobody encrypted.
    "no message": (r"(printf '\257'; head --bytes=100000 /dev/urandom) >$3", "", "it is not encrypted with the password", PASSWORD),
    "never encrypted": (f"{GPG} --yes --output $3 --store /etc/hostname", "", "it is not encrypted with the password", PASSWORD),
    "another version": (REPACK, 's/"version": 1/"version": 2/', "is a backup of version 2, and version 1 is read here", PASSWORD),
    "a newer OpenCode": (REPACK, 's/"format": ./&"29990101000000_tomorrow", /', "was made by a newer OpenCode", PASSWORD),
}


@pytest.mark.parametrize("spoilt", SPOILT)
def test_one_that_is_not_right_changes_nothing(stack: Stack, backup: str, spoilt: str) -> None:
    script, argument, words, password = SPOILT[spoilt]
    stack.server.check_output("rm -f /var/backups/spoilt && sh -c %s sh %s %s /var/backups/spoilt", script, backup, argument)
    before = state(stack)
    done = play("restore", {"stack_restore_file": "/var/backups/spoilt", "stack_backup_password": password})
    assert done.code == 2
    assert words in done.said
    assert "Nothing was changed" in done.said
    assert state(stack) == before
    stack.server.check_output("rm /var/backups/spoilt")


def test_it_comes_back_elsewhere_and_can_be_used(stack: Stack, backup: str, session: str, elsewhere: Elsewhere) -> None:
    other = elsewhere
    nowhere = play("rollback", ELSEWHERE)
    assert nowhere.code == 2
    assert "There is no deploy to go back to: /opt/elsewhere/previous is not there yet." in nowhere.said
    other.backend("/session", {"title": "of the other"})

    dry = play("restore", {**ELSEWHERE, "stack_restore_file": backup, "stack_restore_workspace": True}, "--check")
    assert (dry.code, dry.changed) == (0, 1)
    assert {one["title"] for one in other.backend("/session")} == {"of the other"}

    done = play("restore", {**ELSEWHERE, "stack_restore_file": backup, "stack_restore_workspace": True})
    assert done.code == 0, done.said
    other.refresh()
    assert "You wrote: “remember me”." in str(other.backend(f"/session/{session}/message"))
    assert "You wrote: “and here?”." in other.ask(session, "and here?")
    owners = stack.server.check_output("find /opt/elsewhere/backend/home /srv/elsewhere -printf '%U\\n' | sort -u").split()
    assert set(owners) <= {"0", "1234"}
    assert stack.server.check_output("stat --format %u /opt/elsewhere/backend/home/.local/share/opencode/opencode.db") == "1234"
    assert stack.server.check_output("cat /srv/elsewhere/work.txt") == "work"
    assert stack.server.check_output("cd /srv/elsewhere/go && stat --format %a pkg pkg/main.go").split() == ["555", "644"]
    assert stack.server.check_output("ls -d /opt/elsewhere/backend/home.before-*")


def test_sessions_that_nothing_can_work_with_do_not_stay(stack: Stack, backup: str, session: str, elsewhere: Elsewhere) -> None:
    stack.server.check_output("sh -c %s sh %s /var/backups/broken", BREAK, backup)
    homes = stack.server.check_output("ls -d /opt/elsewhere/backend/home*")
    done = play("restore", {**ELSEWHERE, "stack_restore_file": "/var/backups/broken", "stack_start_timeout": 20})
    stack.server.check_output("rm /var/backups/broken")
    assert done.code == 2
    assert "Not healthy with the restored sessions" in done.said
    assert "Those of before are back." in done.said
    assert stack.server.check_output("ls -d /opt/elsewhere/backend/home*") == homes
    elsewhere.refresh()
    assert "You wrote: “remember me”." in str(elsewhere.backend(f"/session/{session}/message"))
