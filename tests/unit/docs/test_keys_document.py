"""Every command of docs/keys.md works, in the order in which a reader comes to it.

In a copy of the checkout, `make` runs the real programs; of a playbook, the checks alone, on this machine. Password managers and the editor
are stand-ins, and whatever is asked is answered on a terminal.
"""

import json
import os
import pty
import re
import select
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
KEYS = {vendor: f"{start}{'k' * 20}" for vendor, start in {"anthropic": "sk-ant-", "openai": "sk-proj-", "gemini": "AIza"}.items()}
BIN = Path(sys.executable).parent
# What is asked, in which order of looking, and what is answered.
ANSWERS = {
    **{f"a key of {vendor}": key for vendor, key in KEYS.items()},
    "assword": "open sesame, please",
    "The same again: ": "open sesame, please",
}
STANDINS = {
    "pass": 'case "$1$2" in generate*) ;; showwork/openai) echo sk-proj-from-pass ;; show*) echo the password of pass ;; esac',
    "secret-tool": 'case "$1" in store) [ "$*" = "store --label=ocweb mine ocweb-vault mine" ] ;; esac',
    "op": 'case "$1" in item) [ "$2" = create ] ;; esac',
    "editor": 'grep -q vault_openai_api_key "$1"',
}


# The checks of a deploy, all of them the first time, then that the vault opens.
PLAYBOOK = """
[ -e "$HOME/checked" ] || {{ touch "$HOME/checked"; exec {bin}/ansible-playbook --check --tags=check "$@"; }}
for word; do shift; case $word in *.yml | --check) ;; *) set -- "$@" "$word" ;; esac; done
exec {bin}/ansible-inventory --list --output=/dev/null "$@"
"""


def sections() -> dict[str, list[str]]:
    """The commands of each section of the document."""
    text = (ROOT / "docs/keys.md").read_text(encoding="utf-8")
    parts = re.split(r"^## (.+)\n", text, flags=re.M)[1:]
    return {title: re.findall(r"^```sh\n(.*?)^```$", body, re.M | re.S) for title, body in zip(parts[::2], parts[1::2], strict=True)}


@pytest.fixture
def checkout(tmp_path: Path, engine_path: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A reader's checkout and home, and an environment that has both."""
    folder = tmp_path / "stack"
    (folder / "inventories").mkdir(parents=True)
    for path in ROOT.iterdir():
        if path.name not in ("inventories", ".venv", ".git", ".cache"):
            (folder / path.name).symlink_to(path)
    for name in ("example", "local"):
        shutil.copytree(ROOT / "inventories" / name, folder / "inventories" / name)
    programs = tmp_path / "bin"
    (folder / ".venv/bin").mkdir(parents=True)
    programs.mkdir()
    scripts = {folder / ".venv/bin" / name: f'exec {BIN / name} "$@"' for name in ("python", "ansible-vault")}
    scripts[folder / ".venv/bin/ansible-playbook"] = PLAYBOOK.format(bin=BIN)
    scripts |= {programs / name: body for name, body in STANDINS.items()}
    for path, body in scripts.items():
        path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        path.chmod(0o755)
    (folder / ".venv/deploy.stamp").touch()
    (tmp_path / "home").mkdir()
    for name in [name for name in os.environ if name.startswith(("ANSIBLE_", "GIT_", "MAKE"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", f"{programs}:{folder}/.venv/bin:{engine_path}")
    monkeypatch.setenv("EDITOR", "editor")
    monkeypatch.setenv("PAGER", "grep --quiet vault_openai_api_key")
    return folder


def shell(folder: Path, text: str) -> tuple[int, str]:
    """Run commands in a shell at a terminal, answering what they ask; return the exit code and all that was said."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.execvp("bash", ["bash", "-ec", text])
    said, rest = "", ""
    while True:
        assert select.select([terminal], [], [], 60)[0], said
        try:
            piece = os.read(terminal, 4096).decode(errors="replace")
        except OSError:
            break
        said, rest = said + piece, rest + piece
        question = rest.rpartition("\n")[2]
        if question.endswith(": ") and (answer := next((answer for words, answer in ANSWERS.items() if words in question), "")):
            rest = ""
            os.write(terminal, f"{answer}\n".encode())
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


def test_every_command_works_in_its_order(checkout: Path) -> None:
    found = sections()
    own, *rest = found["The first key"]
    local = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "stack_dir": f"{checkout}/stack",
        "frontend_port": 29994,
        "stack_check_network": False,
    }
    hosts = json.dumps({"all": {"hosts": {"workbench1.example.org": local}}})
    script = [
        "git init --quiet",
        own,
        f"cat >inventories/mine/hosts.yml <<'END'\n{hosts}\nEND\nsed -i /backend_workspace/d inventories/mine/group_vars/all/main.yml",
        *rest,
    ]
    # Each other way to give the password begins with no vault.
    before = "unset ANSIBLE_VAULT_PASSWORD_FILE; rm -fr inventories/mine/*_vars/*/vault.yml"
    script += [f"({before}\n{block})" for block in found["Where the password comes from"]]
    script += ["rm -r inventories/mine/*_vars/*/vault.yml\nmake keys INVENTORY=inventories/mine"]
    for title in list(found)[2:]:
        script += found[title]
        if title == "Another password for the vault":  # What was typed is not in the file.
            script.insert(-1, "(umask 077 && echo open sesame, please > ~/.config/ocweb/vault-password)")
    code, said = shell(checkout, "\n".join(script))
    assert code == 0, said
    assert "failed=0" in said
    assert not [secret for secret in ("open sesame, please", "the password of pass", "from-pass", *KEYS.values()) if secret in said]
