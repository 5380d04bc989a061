"""Each playbook runs by the name that it has in the collection, as it is built and installed."""

from pathlib import Path

import pytest

from installed import ROOT, play

NONE = "There is no stack in"
# Of each, what it is told, and what it says where there is no stack. site.yml and verify.yml run in test_artifact.py.
SAID: dict[str, tuple[tuple[str, ...], str]] = {
    "backup": ((), NONE),
    "bundle": (("stack_project=My",), 'stack_project: "My" cannot name a Compose project'),
    "remove": ((), NONE),
    "restore": (("stack_restore_file=/none.tar.gpg",), "stack_restore_file: /none.tar.gpg is not a file on this host"),
    "revoke_keys": (("llm_proxy_revoke=all",), NONE),
    "rollback": ((), NONE),
    "rotate_keys": ((), NONE),
    "rotate_secrets": ((), NONE),
    "status": ((), NONE),
    "upgrade": ((), NONE),
}


def test_all_are_known() -> None:
    assert {path.stem for path in ROOT.glob("playbooks/*.yml")} == {*SAID, "site", "verify"}


@pytest.mark.parametrize("name", SAID)
def test_it_runs_by_its_name(environment: dict[str, str], tmp_path: Path, name: str) -> None:
    given, words = SAID[name]
    usual = (f"stack_dir={tmp_path}/stack", "stack_status_reports=.", "stack_check_network=false", "stack_backup_password=of-tests-alone")
    run = play(environment, tmp_path, f"ocweb.stack.{name}", "--check", *(f"--extra-vars={one}" for one in (*usual, *given)))
    said = " ".join(run.stdout.split())
    assert words in said and "TASK [ocweb.stack." in said, run.stdout + run.stderr
    assert (run.returncode == 0) == (name in {"remove", "status"}), run.stdout + run.stderr
