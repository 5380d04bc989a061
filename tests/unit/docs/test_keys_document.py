"""Every command of docs/keys.md works, in the order in which a reader comes to it, and so do those of other pages that ask at a terminal.

In a copy of the checkout, `make` runs the real programs; of a playbook, the checks alone, on this machine. Password managers and the editor
are stand-ins, and whatever is asked is answered on a terminal. What playbooks and their variables do is seen in tests/rotation.
"""

import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret

from documents import LIVED, ROOT, blocks, commands, spans

KEYS = {vendor: f"{start}{'k' * 20}" for vendor, start in {"anthropic": "sk-ant-", "openai": "sk-proj-", "gemini": "AIza"}.items()}
HASH = f"$scrypt$ln=15,r=8,p=3${'a' * 22}${'b' * 43}"
PASSWORD = "open sesame, please"
BIN = Path(sys.executable).parent
# What is asked, in which order of looking, and what is answered.
ANSWERS = {
    **{f"a key of {vendor}": key for vendor, key in KEYS.items()},
    "hash: ": HASH,
    "assword": PASSWORD,
    "The same again: ": PASSWORD,
}
STANDINS = {
    "pass": 'case "$1$2" in generate*) ;; showwork/openai) echo sk-proj-from-pass ;; show*) echo the password of pass ;; esac',
    "secret-tool": 'case "$1" in store) [ "$*" = "store --label=ocweb mine ocweb-vault mine" ] ;; esac',
    "op": 'case "$1" in item) [ "$2" = create ] ;; esac',
    "chronic": 'exec "$@"',
    "editor": 'grep -q vault_openai_api_key "$1"',
}


# The checks of a deploy, all of them the first time, then that the playbook is one and takes the options, and that the vault opens.
PLAYBOOK = """
[ -e "$HOME/checked" ] || {{ touch "$HOME/checked"; exec {bin}/ansible-playbook --check --tags=check "$@"; }}
{bin}/ansible-playbook --syntax-check "$@" || exit
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


def here(folder: Path) -> str:
    """Return an inventory's hosts: one, which is this machine."""
    local = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "stack_dir": f"{folder}/stack",
        "frontend_port": 29994,
        "stack_check_network": False,
    }
    return json.dumps({"all": {"hosts": {"workbench1.example.org": local}}})


def test_every_command_works_in_its_order(checkout: Path) -> None:
    found = sections()
    own, *rest = found["The first key"]
    script = [
        "git init --quiet",
        own,
        f"cat >inventories/mine/hosts.yml <<'END'\n{here(checkout)}\nEND",
        "sed -i /backend_workspace/d inventories/mine/group_vars/all/main.yml",
        *rest,
    ]
    # Each other way to give the password begins with no vault.
    before = "unset ANSIBLE_VAULT_PASSWORD_FILE; rm -fr inventories/mine/*_vars/*/vault.yml"
    script += [f"({before}\n{block})" for block in found["Where the password comes from"]]
    script += ["rm -r inventories/mine/*_vars/*/vault.yml\nmake keys INVENTORY=inventories/mine"]
    for title in list(found)[2:]:
        script += found[title]
        if title == "Another password for the vault":  # What was typed is not in the file.
            script.insert(-1, f"(umask 077 && echo {PASSWORD} > ~/.config/ocweb/vault-password)")
    # At last, what cron does by itself, which knows next to nothing.
    environment = "--ignore-environment HOME=$HOME ANSIBLE_VAULT_PASSWORD_FILE=$ANSIBLE_VAULT_PASSWORD_FILE PATH=${PATH%%:*}:/usr/bin:/bin"
    for _, line in blocks("cron"):
        command = re.sub(r"^\d+ \d+( \*){3} cd /srv/ocweb ", f"cd {checkout} ", line.strip())
        script.append(f"env {environment} sh -c '{command}'")
    code, said = shell(checkout, "\n".join(script))
    assert code == 0, said
    assert "failed=0" in said
    assert set(re.findall(r"^playbook: playbooks/(\w+).yml", said, re.M)) == {
        *("backup", "revoke_keys", "rotate_keys", "rotate_secrets", "status", "verify"),
    }
    assert not [secret for secret in (PASSWORD, "the password of pass", "from-pass", *KEYS.values()) if secret in said]


def test_what_other_pages_have_one_enter_gets_into_the_vault(checkout: Path) -> None:
    copy, *rest = [line for line in commands(*LIVED) if line.startswith(("cp -r ", "cp -i ", "make keys "))]
    rest += [text for _, text in spans() if text.startswith("make keys ")]
    subprocess.run(copy.split(), cwd=checkout, check=True)
    # What the pages have one write down first.
    samples = dict(blocks("yaml"))
    for name, inventory in (("models-0", "local"), ("backup-0", "local"), ("backup-0", "mine"), ("edge-1", "mine")):
        file = checkout / "inventories" / inventory / f"group_vars/all/{name}.yml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(samples[name], encoding="utf-8")
    code, said = shell(checkout, "\n".join(rest))
    assert code == 0, said
    vault = VaultLib([("default", VaultSecret(PASSWORD.encode()))])
    kept = {
        name: yaml.safe_load(vault.decrypt((checkout / f"inventories/{name}/vault.yml").read_bytes()))
        for name in ("local/group_vars/all", "mine/group_vars/all", "mine/host_vars/workbench1.example.org")
    }
    assert kept["local/group_vars/all"] == {"vault_anthropic_api_key": KEYS["anthropic"], "vault_backup_password": PASSWORD}
    assert kept["mine/group_vars/all"] == {
        **{f"vault_{vendor}_api_key": key for vendor, key in KEYS.items()},
        "vault_ann_password_hash": HASH,
    }
    assert kept["mine/host_vars/workbench1.example.org"] == {"vault_backup_password": PASSWORD}
    assert (checkout / "inventories/mine/group_vars/all/pins.yml").read_bytes() == (ROOT / "files/pins.yml").read_bytes()
    assert not [secret for secret in (PASSWORD, HASH, *KEYS.values()) if secret in said]
