"""Another password for the vault: every file changes, or none."""

from pathlib import Path

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.vault import parse_vaulttext_envelope
from vault_bed import Bed, Typing

import vault_file

PLACES = ("group_vars/all/vault.yml", "group_vars/lab/more.vault.yml", "host_vars/workbench1.example.org/vault.yml")


@pytest.fixture
def vaults(bed: Bed) -> list[Path]:
    return [bed.encrypt(f"# of {place}\na: b\n", bed.inventory / place) for place in PLACES]


@pytest.fixture
def new(bed: Bed) -> Path:
    return bed.secret(bed.password.with_name("new"))


def test_every_vault_has_the_new_password_and_none_the_old(bed: Bed, vaults: list[Path], new: Path) -> None:
    before = [bed.text(path) for path in vaults]
    code, said = bed.run("--rekey", "--new-vault-password-file", str(new))
    assert (code, said.count("encrypted with the new password")) == (0, 3), said
    assert [bed.text(path, new) for path in vaults] == before
    for path in vaults:
        with pytest.raises(AnsibleError):
            bed.text(path)


def test_what_is_no_text_stays_as_it_is(bed: Bed, vaults: list[Path], new: Path) -> None:
    keystore = bytes(range(256)) + b"\r\n"
    path = bed.inventory / "group_vars/all/tls.p12"
    lib = bed.lib()
    path.write_bytes(lib.encrypt(keystore, lib.secrets[0][1]))
    code, said = bed.run("--rekey", "--new-vault-password-file", str(new))
    assert (code, said.count("encrypted with the new password")) == (0, 4), said
    assert bed.lib(new).decrypt(path.read_bytes()) == keystore


def test_a_short_password_can_be_replaced_and_none_becomes_one(bed: Bed, vaults: list[Path], new: Path) -> None:
    before = [path.read_bytes() for path in vaults]
    new.write_text("elevenchars", encoding="utf-8")
    code, said = bed.run("--rekey", "--new-vault-password-file", str(new))
    assert (code, "shorter than 12 characters" in said) == (2, True)
    assert [path.read_bytes() for path in vaults] == before
    short = bed.secret(bed.password.with_name("short"))
    short.write_text("short", encoding="utf-8")
    for path in vaults:
        bed.encrypt("a: b\n", path, password=short, label="lab")
    new.write_text("long enough, this one", encoding="utf-8")
    # Ansible opens a vault with any password that fits, whatever its label.
    code, said = bed.run("--rekey", "--new-vault-password-file", str(new), password=short)
    assert (code, said.count("encrypted with the new password")) == (0, 3), said


def test_a_person_types_it_twice(bed: Bed, vaults: list[Path], typing: Typing) -> None:
    answers = [
        ("Vault password: ", bed.password.read_text(encoding="utf-8").strip()),
        ("New vault password: ", "another one, this"),
        ("The same again: ", "another one, this"),
    ]
    code, said = typing(["-i", bed.inventory, "--rekey", "--ask-vault-pass"], answers)
    assert code == 0, said
    typed = bed.secret(bed.password.with_name("typed"))
    typed.write_text("another one, this", encoding="utf-8")
    assert {bed.text(path, typed).partition("\n")[2] for path in vaults} == {"a: b\n"}


@pytest.mark.parametrize("wrong", ["old password", "one vault's password", "same password", "disk"])
def test_one_that_cannot_be_done_changes_no_vault(
    bed: Bed, vaults: list[Path], new: Path, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, to = bed.password, new
    match wrong:
        case "old password":
            old = bed.secret(bed.password.with_name("wrong"))
        case "one vault's password":
            bed.encrypt("a: b\n", vaults[2], password=bed.secret(bed.password.with_name("other")))
        case "same password":
            to = old
        case _:
            encrypted, written = vault_file.Vault.encrypted, []

            def full(vault: vault_file.Vault) -> bytes:
                written.append(vault)
                if len(written) == 3:
                    raise OSError("no space left")
                return encrypted(vault)

            monkeypatch.setattr(vault_file.Vault, "encrypted", full)
    before = [path.read_bytes() for path in vaults]
    code, said = bed.run("--rekey", "--new-vault-password-file", str(to), password=old)
    assert code == 2, said
    assert [path.read_bytes() for path in vaults] == before
    assert list(bed.inventory.rglob(".vault-*")) == []


def test_of_several_passwords_one_is_changed(bed: Bed, vaults: list[Path], new: Path) -> None:
    lab = bed.secret(bed.password.with_name("lab"))
    bed.encrypt("a: b\n", vaults[1], "lab", lab)
    ids = ("--vault-id", f"mine@{bed.password}", "--vault-id", f"lab@{lab}")
    before = vaults[0].read_bytes(), vaults[2].read_bytes()
    code, said = bed.run("--rekey", *ids, "--new-vault-password-file", str(new))
    assert (code, "The vaults have several passwords: default, lab." in said) == (2, True)
    code, said = bed.run("--rekey", *ids, "--new-vault-id", f"lab@{new}")
    assert code == 0, said
    assert bed.text(vaults[1], new) == "a: b\n"
    assert parse_vaulttext_envelope(vaults[1].read_bytes())[3] == "lab"
    assert (vaults[0].read_bytes(), vaults[2].read_bytes()) == before


def test_what_is_encrypted_in_place_is_named(bed: Bed, vaults: list[Path], new: Path) -> None:
    (bed.inventory / "group_vars/all/more.yml").write_text("a: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n", encoding="utf-8")
    (bed.inventory / "group_vars/all/main.yml").unlink()
    code, said = bed.run("--rekey", "--new-vault-password-file", str(new))
    assert (code, "more.yml: has values that are encrypted in place, and keep the old password." in said) == (0, True), said


def test_without_a_vault_there_is_nothing_to_do(bed: Bed) -> None:
    code, said = bed.run("--rekey")
    assert (code, said) == (2, f"{bed.inventory}: there is no vault beside it\n")
