"""What would undo a vault is refused: at a commit, and before a play changes anything."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from vault_bed import KEYS, ROOT, Bed

import vault_check

CHECK = ROOT / "files/vault/vault_check.py"
REAL = "sk-ant-api03-" + "a" * 90
ENCRYPTED = "$ANSIBLE_VAULT;1.1;AES256\n3334\n"
VAULT = "mine/group_vars/all/vault.yml"
MAIN = "mine/group_vars/all/main.yml"


@pytest.mark.parametrize(
    ("name", "vault"),
    [
        (VAULT, True),
        ("host_vars/one/vault.yaml", True),
        ("host_vars/one/vault_lab.yml", True),
        ("group_vars/lab.vault.yml", True),
        ("group_vars/vault.json", True),
        ("group_vars/all/main.yml", False),
        ("roles/vault/tasks/vault.yml", False),
        ("group_vars/vault/main.yml", False),
        ("group_vars/all/vault.md", False),
    ],
)
def test_a_vault_is_known_by_its_name(name: str, vault: bool) -> None:
    assert vault_check.is_vault(name) is vault


IN_PLACE = "---\n# in place\na: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  3334\nb: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  3334\n"
FILES: dict[str, tuple[str, str, str]] = {
    "an encrypted vault": (VAULT, ENCRYPTED, ""),
    "a vault encrypted in place": (VAULT, IN_PLACE, ""),
    "a vault in the clear": (VAULT, f"vault_a: {REAL}\n", f"{VAULT}: a vault that is not encrypted."),
    "a vault half in the clear": (VAULT, f"{IN_PLACE}c: {REAL}\n", f"{VAULT}: a vault that is not encrypted."),
    "a vault of placeholders": (VAULT, "vault_a: CHANGE_ME\n", f"{VAULT}: a vault that is not encrypted."),
    "an empty vault": (VAULT, "", f"{VAULT}: a vault that is not encrypted."),
    "a key in variables": (MAIN, f"a: b\nopenai: '{REAL}'\n", f"{MAIN}, line 2: what looks like a key of anthropic, in the clear."),
    "a key in another file": ("notes.md", f"{REAL}\n", "notes.md, line 1: what looks like a key of anthropic, in the clear."),
    "a placeholder": (MAIN, "a: b\nllm_proxy_keys:\n  openai: CHANGE_ME # soon\n", f"{MAIN}, line 3: openai is a placeholder."),
    "a placeholder in a list": (MAIN, "  - key: <key>\n", f"{MAIN}, line 1: key is a placeholder."),
    "a placeholder elsewhere": ("docs/keys.md", "vault_a: CHANGE_ME\n", ""),
    "variables as they should be": (MAIN, "a: todo\nopenai: \"{{ vault_a | default('') }}\"\n", ""),
    "a picture": ("picture.png", f"\0{REAL}", ""),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_is_judged_by_its_name_and_content(case: str) -> None:
    name, content, words = FILES[case]
    found = list(vault_check.content_problems(name, content.encode()))
    assert [problem.startswith(words) for problem in found] == ([True] if words else []), found
    assert not [problem for problem in found if REAL in problem]


@pytest.mark.parametrize(
    ("words", "sources"),
    [
        (["--vault-password-file", "a"], ["a"]),
        (["--vault-pass-file=a", "--vault-password-file=b"], ["a", "b"]),
        (["--vault-id", "lab@a", "--vault-id=b", "--vault-id", "mine@prompt"], ["a", "b"]),
        # As argparse lets them be shortened.
        (["--vault-p", "a", "--vault-i", "x@b", "--vault-password=c"], ["a", "b", "c"]),
        (["--ask-vault-pass", "--vault-id"], []),
        ([], []),
    ],
)
def test_password_files_are_seen_on_a_command_line(words: list[str], sources: list[str]) -> None:
    assert vault_check.command_line_sources(words) == sources


def test_a_check_that_no_ansible_started_looks_at_all_the_rest(tmp_path: Path) -> None:
    write(tmp_path / "group_vars/vault.yml", "a: b\n")
    question = {"inventory": [str(tmp_path)], "folder": str(tmp_path), "password_files": [], "identities": ["x@prompt", "y@none"]}
    done = subprocess.run([sys.executable, CHECK, "--play", json.dumps(question)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr, len(done.stdout.splitlines())) == (0, "", 1)


def test_the_nearest_ansible_is_the_one_that_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    processes = {9: (8, ["sh", "-c"]), 8: (7, ["/usr/bin/python3", "/venv/bin/ansible-playbook", "a"]), 7: (1, ["ansible-playbook", "b"])}
    monkeypatch.setattr(vault_check, "process", processes.__getitem__)
    assert vault_check.ansible_command(9)[-1] == "a"
    monkeypatch.setattr(vault_check, "process", lambda number: (0, []))
    assert vault_check.ansible_command(9) == []


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with the hook in place, and git's settings of no one."""
    folder = tmp_path / "repository"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith(("ANSIBLE_", "GIT_"))]:
        monkeypatch.delenv(name)
    for name, value in {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}.items():
        monkeypatch.setenv(name, value)
    for variable in ("GIT_AUTHOR", "GIT_COMMITTER"):
        monkeypatch.setenv(f"{variable}_NAME", "someone")
        monkeypatch.setenv(f"{variable}_EMAIL", "someone@example.org")
    monkeypatch.chdir(folder)
    git("init", "--quiet")
    assert run("--install").returncode == 0
    return folder


def git(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *words], capture_output=True, text=True, check=False)


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, CHECK, *words], capture_output=True, text=True, check=False)


def write(path: Path, text: str, mode: int = 0o644) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_a_commit_is_refused_for_what_is_staged_and_not_for_what_is_not(repository: Path) -> None:
    write(repository / VAULT, f"vault_a: {REAL}\n")
    git("add", ".")
    write(repository / VAULT, ENCRYPTED)
    refused = git("commit", "-m", "keys")
    assert (refused.returncode, refused.stderr.startswith(f"{VAULT}: a vault that is not encrypted.")) == (1, True), refused.stderr
    git("add", ".")
    write(repository / VAULT, f"vault_a: {REAL}\n")
    assert git("commit", "-m", "keys").returncode == 0
    assert git("show", f"HEAD:{VAULT}").stdout == ENCRYPTED


def test_names_with_blanks_and_other_letters_are_looked_at_too(repository: Path) -> None:
    write(repository / "a b\nü.md", f"{REAL}\n")
    write(repository / "empty", "")
    (repository / "link").symlink_to("nowhere")
    git("add", ".")
    refused = git("commit", "-m", "notes")
    assert (refused.returncode, "a b\nü.md, line 1: what looks like a key" in refused.stderr) == (1, True), refused.stderr


@pytest.mark.parametrize(
    ("name", "mode", "refused"),
    [
        (".vault_pass", 0o644, True),
        ("secrets/vault-password.txt", 0o644, True),
        ("mine.vault-password", 0o644, True),
        # A script that asks for it has none.
        ("vault-password", 0o755, False),
        ("vault_passages.md", 0o644, False),
    ],
)
def test_a_password_file_is_not_committed(repository: Path, name: str, mode: int, refused: bool) -> None:
    write(repository / name, "open sesame, please\n", mode)
    git("add", ".")
    done = git("commit", "-m", "password")
    assert (done.returncode == 1) is refused
    assert ("a vault's password, by its name." in done.stderr) is refused


def test_a_configured_password_file_inside_the_repository_is_refused_even_if_ignored(repository: Path) -> None:
    write(repository / "ansible.cfg", "[defaults]\nvault_password_file = secret\n")
    write(repository / ".gitignore", "secret\n")
    write(repository / "secret", "open sesame, please", 0o600)
    git("add", ".")
    done = git("commit", "-m", "settings")
    assert (done.returncode, f"{repository}/secret: a vault's password inside the repository" in done.stderr) == (1, True), done.stderr


def test_this_repository_could_be_committed_as_it_is() -> None:
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    files = [ROOT / name for name in names if name and (ROOT / name).is_file()]
    assert len(files) > 100
    assert [problem for path in files for problem in vault_check.content_problems(str(path.relative_to(ROOT)), path.read_bytes())] == []


def test_a_hook_of_someone_elses_is_left_alone(repository: Path) -> None:
    assert run("--install").returncode == 0
    hook = write(repository / ".git/hooks/pre-commit", "#!/bin/sh\necho mine\n")
    done = run("--install")
    assert (done.returncode, "is there already. Add a line to it: python3 " in done.stderr) == (2, True)
    assert "echo mine" in hook.read_text(encoding="utf-8")


def test_the_hook_for_pre_commit_runs_what_there_is(repository: Path) -> None:
    hook = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))[0]
    assert (hook["id"], hook["language"], hook["pass_filenames"], hook["always_run"]) == ("vault-check", "script", False, True)
    write(repository / VAULT, "a: b\n")
    git("add", ".")
    command = [ROOT / hook["entry"].split()[0], *hook["entry"].split()[1:]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, VAULT in done.stdout) == (1, True)


def test_an_inventory_is_looked_at_on_demand(bed: Bed) -> None:
    bed.run(given=KEYS)
    assert run(str(bed.inventory)).returncode == 0
    write(bed.inventory / "host_vars/one.vault.yml", "a: b\n")
    write(bed.inventory / "hosts.yml", f"all: {{vars: {{a: {REAL}}}}}\n")
    done = run(str(bed.inventory))
    assert done.returncode == 1
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == [
        f"{bed.inventory}/host_vars/one.vault.yml",
        f"{bed.inventory}/hosts.yml, line 1",
    ]


def test_variables_behind_a_link_are_looked_at(bed: Bed, tmp_path: Path) -> None:
    write(tmp_path / "shared/vault.yml", "a: b\n")
    (bed.inventory / "group_vars/lab").symlink_to(tmp_path / "shared")
    found = list(vault_check.inventory_problems([str(bed.inventory)]))
    assert [problem.split(":")[0] for problem in found] == [f"{bed.inventory}/group_vars/lab/vault.yml"]


def test_a_play_stops_before_its_first_change_and_names_all_of_it(bed: Bed, tmp_path: Path, engine_path: str) -> None:
    """Password files by the command line, by the environment and by the configuration; a vault in the clear; once for two hosts."""
    names = ("by_option", "by_id", "by_environment", "by_configuration")
    for name in names:
        write(bed.secret(tmp_path / name), "open sesame, please", 0o644)
    write(bed.inventory / "group_vars/all/vault.yml", f"vault_a: {REAL}\n")
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    write(bed.inventory / "hosts.yml", json.dumps({"all": {"hosts": {"one": {}, "two": {}}, "vars": local}}))
    config = (ROOT / "ansible.cfg").read_text(encoding="utf-8").replace("roles_path = ", f"roles_path = {ROOT}/")
    write(tmp_path / "ansible.cfg", config.replace("[defaults]", "[defaults]\nvault_identity_list = x@by_configuration"))
    command = [
        str(Path(sys.executable).with_name("ansible-playbook")),
        "-i",
        "mine",
        "--vault-password-file",
        "by_option",
        "--vault-id=y@by_id",
        "--check",
        str(ROOT / "site.yml"),
    ]
    env = {**os.environ, "PATH": engine_path, "ANSIBLE_VAULT_PASSWORD_FILE": str(tmp_path / "by_environment")}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    assert REAL not in done.stdout + done.stderr
    for name in names:
        assert f"{tmp_path}/{name}: a vault's password that others can read (mode 0644)." in done.stdout
    assert f"{bed.vault}: a vault that is not encrypted." in done.stdout
    assert done.stdout.count("TASK [") == 1
    assert done.stdout.count("FAILED!") == 1
