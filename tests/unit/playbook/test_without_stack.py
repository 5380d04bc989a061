"""What a playbook of a stack's life says where there is no stack, or what it is told makes no sense."""

from pathlib import Path

import pytest

import plays

NONE = "There is no stack in"


@pytest.mark.parametrize(
    ("play", "given", "words"),
    [
        ("status", {}, NONE),
        ("upgrade", {}, NONE),
        ("rollback", {}, NONE),
        ("backup", {}, NONE),
        ("remove", {}, NONE),
        ("restore", {}, 'stack_restore_file: "" is not the absolute path of a file on the host'),
        ("restore", {"stack_restore_file": "/none.tar.gpg"}, "stack_restore_file: /none.tar.gpg is not a file on this host"),
        # Neither keys nor what holds them have to be there.
        ("status", {"llm_proxy_keys": "{{ nowhere }}"}, NONE),
        ("remove", {"llm_proxy_keys": "{{ nowhere }}", "backend_opencode_config": "{{ nowhere }}"}, NONE),
        ("remove", {"stack_build_environment": ["a"]}, "stack_build_environment: it is a list, and has to be a mapping"),
    ],
)
def test_one_clear_error(tmp_path: Path, engine_path: str, play: str, given: dict[str, object], words: str) -> None:
    code, said = run(tmp_path, engine_path, f"playbooks/{play}.yml", given, "--check")
    assert words in said
    assert (code == 0) == (play in ("status", "remove") and words == NONE), said


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, NONE),
        ({"stack_backup_password": ""}, "stack_backup_password: there is none"),
        ({"stack_restore_upload": "/none.tar.gpg"}, "stack_restore_upload: /none.tar.gpg is not a file on the machine that deploys"),
    ],
)
def test_no_backup_is_sent_to_a_host_that_cannot_restore_it(tmp_path: Path, engine_path: str, given: dict[str, object], words: str) -> None:
    (tmp_path / "here.tar.gpg").touch()
    sent = {"stack_restore_upload": f"{tmp_path}/here.tar.gpg", "stack_restore_file": f"{tmp_path}/there/backup.tar.gpg"}
    code, said = run(tmp_path, engine_path, "playbooks/restore.yml", {**sent, **given})
    assert (code, words in said) == (2, True), said
    assert not (tmp_path / "there").exists()


@pytest.mark.parametrize("play", ["verify", "revoke_keys"])
def test_whoever_may_not_work_on_a_stack_is_told_whose_it_is(tmp_path: Path, engine_path: str, play: str) -> None:
    """What of Ansible works on the host does so as nobody, where it is root that runs these tests."""
    stub = '#!/bin/sh\nset -- /usr/bin/python3 "$@"\n[ "$(id -u)" != 0 ] || set -- setpriv --reuid 65534 --clear-groups "$@"\nexec "$@"\n'
    (tmp_path / "python3").write_text(stub, encoding="utf-8")
    (tmp_path / "python3").chmod(0o755)
    code, said = run(tmp_path, f"{tmp_path}:{engine_path}", f"playbooks/{play}.yml", {"stack_dir": "/etc", "llm_proxy_revoke": "openai"})
    assert code == 2
    assert "as whom Ansible works on this host: /etc belongs to root. Become root (--become), or log in as that user." in said, said


def run(folder: Path, path: str, play: str, given: dict[str, object], *options: str) -> tuple[int, str]:
    """Run a play on this machine as a host without a stack; return its exit code and what it says, as one line."""
    common = {
        "stack_dir": f"{folder}/stack",
        "stack_backup_password": "a password for tests alone",
        "stack_status_reports": str(folder),
    }
    done = plays.run(folder, {"here": given}, common, play, *options, path=path, settings={"ANSIBLE_NOCOLOR": "1"})
    return done.returncode, " ".join((done.stdout + done.stderr).split())
