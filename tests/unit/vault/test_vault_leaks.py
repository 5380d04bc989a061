"""What a play says of a vault that it cannot use, however much it is asked to say: nothing that is in it."""

import subprocess
import sys
from pathlib import Path

import pytest
from vault_bed import ROOT, Bed

SECRET = "sk-proj-" + "s" * 20
# What is in the vault, whether the password is right, and Ansible's words.
CASES = {
    "a wrong password": (f"vault_a: {SECRET}\n", False, "Decryption failed"),
    "a line that is no YAML": (f"vault_a: b\nvault_b [{SECRET}\nvault_c: {SECRET}\n", True, "YAML parsing failed"),
    "a key with a colon": (f"vault_a: {SECRET}: {SECRET}\n", True, "YAML parsing failed"),
    "a key alone": (f"{SECRET}\n", True, "failed to combine variables"),
}


@pytest.mark.parametrize("case", CASES)
def test_nothing_of_a_vault_is_shown(bed: Bed, tmp_path: Path, case: str) -> None:
    text, right, words = CASES[case]
    bed.encrypt(text)
    password = bed.password if right else bed.secret(tmp_path / "wrong")
    playbook = str(Path(sys.executable).with_name("ansible-playbook"))
    command = [playbook, "-vvv", "--check", "--diff", "-i", str(bed.inventory), "--vault-password-file", str(password), "site.yml"]
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "ANSIBLE_LOG_PATH": str(tmp_path / "log")}
    run = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    said = run.stdout + run.stderr + (tmp_path / "log").read_text(encoding="utf-8")
    assert run.returncode != 0
    assert words in said
    assert "TASK [" not in said
    assert SECRET not in said
