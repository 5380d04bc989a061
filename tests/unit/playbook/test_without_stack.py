"""What a playbook of a stack's life says where there is no stack, or what it is told makes no sense."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
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
    host = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "stack_dir": f"{tmp_path}/stack",
        "stack_backup_password": "a password for tests alone",
        "stack_status_reports": str(tmp_path),
    }
    (tmp_path / "hosts.json").write_text(json.dumps({"all": {"hosts": {"here": {**host, **given}}}}), encoding="utf-8")
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), "--check", "--inventory", tmp_path / "hosts.json", f"playbooks/{play}.yml"],
        cwd=ROOT,
        env={**os.environ, "PATH": engine_path, "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    said = " ".join((done.stdout + done.stderr).split())
    assert words in said
    assert (done.returncode == 0) == (play in ("status", "remove") and words == NONE), said
