"""What `make build` makes is a collection that works from any folder, and holds nothing that is not meant for users."""

import os
import subprocess
import sys
import tarfile
from pathlib import Path

from installed import play


def test_it_holds_what_users_need_and_nothing_else(archive: Path) -> None:
    with tarfile.open(archive) as opened:
        names = [Path(name) for name in opened.getnames()]
    assert {name.parts[0] for name in names} == {
        *("FILES.json", "MANIFEST.json", "CHANGELOG.md", "LICENSE", "README.md"),
        *("docs", "files", "inventories", "meta", "playbooks", "roles", "site.yml", "tests"),
    }
    assert {name.parts[1] for name in names if name.parts[0] == "tests" and len(name.parts) > 1} == {"attacks"}
    assert "tests/attacks/test_bed.py" not in map(str, names)
    assert [name for name in names if any(part.startswith(".") or part == "__pycache__" for part in name.parts)] == []


def test_its_playbook_runs_from_any_folder(environment: dict[str, str], tmp_path: Path) -> None:
    given = ("-e", f"stack_dir={tmp_path}/stack", "-e", "frontend_port=29998", "-e", "stack_check_network=false")
    run = play(environment, tmp_path, "ocweb.stack.site", "--check", "--tags=check", *given)
    assert "failed=0" in run.stdout, run.stdout + run.stderr
    assert "[ocweb.stack.frontend : " in run.stdout


def test_its_programs_for_vaults_run_from_any_folder(environment: dict[str, str], tmp_path: Path) -> None:
    """One has the role's table of rules, one loads an inventory, and the clients are programs."""
    vault = Path(environment["ANSIBLE_COLLECTIONS_PATH"]) / "ansible_collections/ocweb/stack/files/vault"
    (tmp_path / "hosts.yml").write_text("all: {hosts: {one: }}", encoding="utf-8")
    for command in (["vault_keys.py", "--inventory", "hosts.yml"], ["vault_check.py", "hosts.yml"]):
        run = subprocess.run([sys.executable, vault / command[0], *command[1:]], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
    assert {path.name for path in vault.glob("clients/*") if os.access(path, os.X_OK)} == {
        "1password-client",
        "keyring-client",
        "pass-client",
    }


def test_its_audit_can_collect_the_suite(environment: dict[str, str], tmp_path: Path) -> None:
    suite = Path(environment["ANSIBLE_COLLECTIONS_PATH"]) / "ansible_collections/ocweb/stack/tests/attacks"
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-c",
            os.devnull,
            f"--rootdir={suite}",
            "-p",
            "no:cacheprovider",
            "--collect-only",
            "-q",
            "--stack-mode=development",
            suite,
        ],
        cwd=tmp_path,
        env={**environment, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert {line.partition("::")[0] for line in run.stdout.splitlines() if "::" in line} == {path.name for path in suite.glob("test_*.py")}


def test_its_audit_says_that_there_is_no_stack(environment: dict[str, str], tmp_path: Path) -> None:
    run = play(environment, tmp_path, "ocweb.stack.verify", "-e", "stack_project=none")
    assert "No stack of the project none runs there (stack_project)." in run.stdout, run.stdout + run.stderr
    assert run.returncode != 0
    assert list(tmp_path.iterdir()) == []
