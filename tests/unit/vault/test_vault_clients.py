"""Ansible gets a vault's password from the client scripts, each with a password manager that is a stand-in."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import get_file_vault_secret
from vault_bed import KEYS, ROOT, Bed

CLIENTS = ROOT / "files/vault/clients"
# What each program is called with, and what it says and returns for an entry that it does not have.
MANAGERS = {
    "pass-client": ("pass", "show ocweb/mine", "is not in the password store", 1),
    "keyring-client": ("secret-tool", "lookup ocweb-vault mine", "", 1),
    "1password-client": ("op", "read --no-newline op://Private/ocweb mine/password", "could not read secret", 1),
}


@pytest.fixture(params=MANAGERS)
def client(request: pytest.FixtureRequest, stub_command: Callable[..., None]) -> Path:
    name: str = request.param
    command, words, said, code = MANAGERS[name]
    stub_command(f'[ "$*" = "{words}" ] && {{ echo "from the manager"; echo "a note"; exit; }}; echo "{said}" >&2; exit {code}', command)
    if name != "pass-client":  # pass alone keeps notes under a password.
        stub_command(f'[ "$*" = "{words}" ] && {{ printf "from the manager"; exit; }}; echo "{said}" >&2; exit {code}', command)
    return CLIENTS / name


def password(client: Path, label: str | None) -> bytes:
    secret = get_file_vault_secret(filename=str(client), vault_id=label, loader=DataLoader())
    secret.load()
    return bytes(secret.bytes)


def test_it_hands_over_the_password_of_a_label(client: Path) -> None:
    assert password(client, "mine") == b"from the manager"


def test_a_password_without_an_end_of_its_line_is_one_too(client: Path, stub_command: Callable[..., None]) -> None:
    """As `pass insert --multiline` takes it from a pipe."""
    stub_command("printf 'from the manager'", MANAGERS[client.name][0])
    assert password(client, "mine") == b"from the manager"


@pytest.mark.parametrize("label", ["other", "mine; echo x", None])
def test_a_label_without_a_password_is_said_to_have_none(client: Path, label: str | None) -> None:
    with pytest.raises(AnsibleError, match=f"did not find a secret for vault-id={label}"):
        password(client, label)


def test_a_manager_that_is_not_installed_gives_nothing(client: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, _, _, _ in MANAGERS.values():
        (tmp_path / "bin" / name).unlink(missing_ok=True)
    run = subprocess.run([client, "--vault-id", "mine"], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (2, "")
    assert "not found" in run.stderr


def test_a_vault_is_made_with_it(client: Path, bed: Bed) -> None:
    code, said = bed.run("--vault-id", f"mine@{client}", given=KEYS)
    assert code == 0, said
    typed = bed.secret(bed.password.with_name("typed"))
    typed.write_text("from the manager", encoding="utf-8")
    assert bed.values(password=typed) == KEYS
