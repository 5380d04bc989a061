"""The documents' commands do what they say, on a server where a stack lives, in the order in which they are written down."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from conftest import DIR, PASSWORD, ROOT, SCENARIO, SERVER, Stack

from documents import ELSEWHERE, LIVED, commands

# Run where the stack is; all else is said where Ansible is.
ON_THE_SERVER = "cd /opt/ocweb"
# The one that is run elsewhere for its first page is another one here.
NOT_HERE = tuple(start for start in ELSEWHERE if start != "make deploy INVENTORY=inventories/mine")
VAULT = "a password of the vault's"


@pytest.fixture(scope="module")
def checkout(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A reader's checkout: with an inventory of their own, made as docs/first-server.md says, whose vault has the backups' password."""
    folder = tmp_path_factory.mktemp("reader")
    for path in ROOT.iterdir():
        if path.name not in {"inventories", ".venv", ".git", ".cache"}:
            (folder / path.name).symlink_to(path)
    shutil.copytree(ROOT / "inventories", folder / "inventories")
    (folder / ".venv").mkdir()
    for path in (ROOT / ".venv").iterdir():
        (folder / ".venv" / path.name).symlink_to(path)
    (folder / ".venv/deploy.stamp").unlink(missing_ok=True)
    (folder / ".venv/deploy.stamp").touch()

    [copy] = [line for line in commands("first-server") if line.startswith("cp -r ")]
    subprocess.run(copy.split(), cwd=folder, check=True)
    mine = folder / "inventories/mine"
    hosts = yaml.safe_load((SCENARIO / "inventory/hosts.yml").read_text(encoding="utf-8"))
    # The server is this machine, too, to who follows a page without an inventory.
    shutil.rmtree(folder / "inventories/local")
    (folder / "inventories/local").symlink_to(mine)
    (mine / "hosts.yml").write_text(yaml.safe_dump(hosts), encoding="utf-8")
    settings = {"stack_verify": False, "stack_backup_password": "{{ vault_backup_password }}"}
    (mine / "group_vars/all/main.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    vault = [folder / ".venv/bin/ansible-vault", "encrypt", "--output", mine / "group_vars/all/vault.yml"]
    secret = folder / "vault-password"
    secret.write_text(VAULT, encoding="utf-8")
    secret.chmod(0o600)
    subprocess.run(
        [*vault, "--vault-password-file", secret], input=f"vault_backup_password: {PASSWORD}\n", text=True, check=True, cwd=folder
    )
    yield folder


def run(checkout: Path, command: str) -> str:
    """Run a command as a reader would, who is asked for the vault's password or has it in a file; return what it said."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MAKE", "MOLECULE_"))}
    environment |= {
        "ANSIBLE_NOCOLOR": "1",
        **({} if "--ask-vault-pass" in command else {"ANSIBLE_VAULT_PASSWORD_FILE": f"{checkout}/vault-password"}),
    }
    # Without a terminal, what is asked is answered by standard input.
    words = ["setsid", "--wait", "sh", "-euc", command.replace("workbench1.example.org", SERVER)]
    done = subprocess.run(
        words,
        cwd=checkout,
        env=environment,
        input=f"{VAULT}\n" * 2,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


@pytest.mark.parametrize("document", LIVED)
def test_the_commands_of_a_page_work(stack: Stack, checkout: Path, document: str) -> None:
    # Both inventories are the same server here.
    once = {re.sub(" (INVENTORY=inventories/mine|ARGS=--ask-vault-pass)", "", command): command for command in commands(document)}
    for command in once.values():
        if command.startswith(NOT_HERE):
            continue
        if command.startswith(ON_THE_SERVER):
            # Compose tells of its own work on the other channel.
            assert stack.server.check_output(command) or " logs " not in command
            stack.refresh()
            if command.endswith(" up --detach"):
                stack.wait_until_healthy()
            assert (stack.from_server("http://localhost:3000/") == "200") != command.endswith(" down")
        elif command.startswith("make restore"):
            [made] = stack.server.check_output("ls /var/backups/ocweb/ocweb-*.tar.gpg").split()
            main = checkout / "inventories/mine/group_vars/all/main.yml"
            main.write_text(f"{main.read_text(encoding='utf-8')}stack_restore_file: {made}\n", encoding="utf-8")
            run(checkout, command)
            stack.server.check_output(f"rm -r /var/backups/ocweb {DIR}/backend/home.before-*")
        else:
            run(checkout, command)
