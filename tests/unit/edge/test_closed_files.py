"""What only the gateway may read is put in place as a whole, and an authority is good for its own names alone."""

import errno
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import closed_files

NAMES = ["localhost", "127.0.0.1", "code.example.lan", "192.0.2.7"]
FILES: dict[str, Any] = {"users.json": {"text": "{}"}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secrets").mkdir()
    return tmp_path / "secrets"


def place(
    folder: Path, files: dict[str, Any] = FILES, names: list[str] | None = None, check: bool = False, kept: tuple[Path, ...] = ()
) -> dict[str, Any]:
    authority = {"folder": at(names), "title": "a test", "names": names} if names else None
    ids = {"owner": os.getuid(), "group": os.getgid()}
    more = {"files": files, "authority": authority, "kept": [str(path) for path in kept]}
    return closed_files.main({"folder": str(folder), **ids, "check": check, **more})


def at(names: list[str]) -> str:
    """Name the folder of an authority, as the role does after its names."""
    return f"internal-{len(names)}"


def authority(names: list[str]) -> list[str]:
    """Return the files of an authority."""
    return [f"{at(names)}/{name}" for name in closed_files.AUTHORITY]


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) for path in files}


def test_files_are_put_once_for_their_owner_alone(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text("a key", encoding="utf-8")
    files = {**FILES, "key.pem": {"path": str(tmp_path / "key.pem")}}
    put = place(folder, files)
    assert (put["changed"], put["gone"]) == (["users.json", "key.pem"], [])
    assert contents(folder) == {"users.json": (b"{}", 0o400), "key.pem": (b"a key", 0o400)}
    assert place(folder, files)["changed"] == []


def test_what_is_no_longer_wanted_goes(folder: Path) -> None:
    place(folder, names=NAMES)
    went = place(folder, {})
    assert sorted(went["changed"]) == sorted(went["gone"]) == sorted(["users.json", *authority(NAMES)])
    assert list(folder.iterdir()) == []


def test_what_an_earlier_deploy_names_stays_until_none_does(folder: Path, tmp_path: Path) -> None:
    place(folder, names=NAMES)
    there = contents(folder)
    caddyfile = tmp_path / "Caddyfile"
    caddyfile.write_text(f"cert /run/secrets/gateway/{at(NAMES)}/intermediate.crt\n# /run/secrets/gateway/users.json", encoding="utf-8")
    brought = {"files-1/key.pem": {"text": "a key"}}
    assert place(folder, brought, kept=(caddyfile, tmp_path / "none"))["changed"] == ["files-1/key.pem"]
    assert contents(folder) == {**there, "files-1/key.pem": (b"a key", 0o400)}
    caddyfile.write_text("tls /run/secrets/gateway/files-1/key.pem", encoding="utf-8")
    assert place(folder, brought, kept=(caddyfile,))["changed"] == sorted([*authority(NAMES), "users.json"])
    assert contents(folder) == {"files-1/key.pem": (b"a key", 0o400)}


def test_a_changed_file_or_mode_is_brought_back(folder: Path) -> None:
    place(folder)
    (folder / "users.json").chmod(0o644)
    assert place(folder)["changed"] == ["users.json"]
    (folder / "users.json").chmod(0o600)
    (folder / "users.json").write_text("mine", encoding="utf-8")
    assert place(folder)["changed"] == ["users.json"]
    assert contents(folder) == {"users.json": (b"{}", 0o400)}


def test_a_folder_that_its_owner_cannot_enter_is_brought_back(folder: Path) -> None:
    brought = {"files-1/key.pem": {"text": "a key"}}
    place(folder, brought)
    (folder / "files-1").chmod(0o755)
    assert place(folder, brought)["changed"] == ["files-1/key.pem"]
    assert stat.S_IMODE((folder / "files-1").stat().st_mode) == 0o700
    assert place(folder, brought)["changed"] == []


@pytest.mark.parametrize("missing", [False, True])
def test_a_dry_run_changes_nothing_and_says_what_it_would(folder: Path, missing: bool) -> None:
    folder.rmdir() if missing else None
    said = place(folder, names=NAMES, check=True)
    assert set(said["changed"]) == {"users.json", *authority(NAMES)}
    assert said["root"] == ""
    assert not folder.exists() or contents(folder) == {}


def test_a_file_that_vanished_is_said_and_nothing_changed(folder: Path, tmp_path: Path) -> None:
    answer = place(folder, {**FILES, "files-1/key.pem": {"path": f"{tmp_path}/key.pem"}})
    assert answer["error"] == f"{tmp_path}/key.pem on the host: No such file or directory. Look after that, and run again."
    assert (answer["changed"], contents(folder)) == ([], {})


def test_a_file_that_cannot_be_put_is_said_with_what_was(folder: Path) -> None:
    (folder / "files-1").touch()
    answer = place(folder, {**FILES, "files-1/key.pem": {"text": "a key"}}, kept=())
    assert answer["error"].startswith(f"{folder}/files-1") and "a key" not in answer["error"]
    assert answer["changed"] == ["users.json"]


def test_a_file_that_cannot_be_forced_to_the_disk_takes_no_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place(folder, FILES)
    before = contents(folder)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        answer = place(folder, {"users.json": {"text": '{"dev": "x"}'}})
    assert "No space left on device" in answer["error"]
    assert contents(folder) == before


def test_an_openssl_that_makes_no_authority_is_said(folder: Path, stub_command: Callable[..., None]) -> None:
    stub_command("echo no such curve >&2; exit 1", "openssl")
    assert "openssl on the host makes no authority: no such curve." in place(folder, names=NAMES)["error"]


def test_users_and_renewed_certificates_need_no_restart_and_an_authority_does(folder: Path) -> None:
    first = place(folder, names=NAMES)["fingerprint"]
    assert place(folder, {"users.json": {"text": '{"dev": "x"}'}}, NAMES)["fingerprint"] == first
    brought = {"files-1/certificate.pem": {"text": "one"}, "files-1/key.pem": {"text": "one"}}
    before = place(folder, brought)["fingerprint"]
    assert place(folder, {name: {"text": "another"} for name in brought})["fingerprint"] == before
    assert place(folder, names=[*NAMES, "new.example.lan"])["fingerprint"] != first


def test_an_authority_stays_until_its_names_change(folder: Path) -> None:
    root = place(folder, names=NAMES)["root"]
    assert "BEGIN CERTIFICATE" in root
    again = place(folder, names=NAMES)
    assert (again["changed"], again["root"]) == ([], root)
    (folder / at(NAMES) / "intermediate.key").unlink()
    assert place(folder, names=NAMES)["root"] != root


def issued(folder: Path, name: str) -> str:
    """Let the authority sign a certificate for a name, and return what openssl says of it."""
    kind = "IP" if name.replace(".", "").isdigit() else "DNS"
    (folder / "leaf.conf").write_text(
        f"[req]\ndistinguished_name=n\nprompt=no\n[n]\nCN=x\n[leaf]\nsubjectAltName={kind}:{name}\n", encoding="utf-8"
    )

    def openssl(*arguments: str) -> str:
        done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "leaf.key")
    openssl("req", "-new", *key, "-config", "leaf.conf", "-out", "leaf.csr")
    signer = ("-CA", "intermediate.crt", "-CAkey", "intermediate.key", "-set_serial", "3")
    openssl("x509", "-req", "-in", "leaf.csr", *signer, "-extfile", "leaf.conf", "-extensions", "leaf", "-out", "leaf.crt")
    return openssl("verify", "-purpose", "sslserver", "-CAfile", "root.crt", "-untrusted", "intermediate.crt", "leaf.crt")


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("code.example.lan", "OK"),
        ("192.0.2.7", "OK"),
        ("bank.example.com", "permitted subtree violation"),
        ("example.lan", "permitted subtree violation"),
        ("192.0.2.8", "permitted subtree violation"),
    ],
)
def test_a_stolen_key_is_good_for_the_servers_own_names_alone(folder: Path, name: str, verdict: str) -> None:
    place(folder, names=NAMES)
    assert verdict in issued(folder / at(NAMES), name)


def test_the_roots_key_is_nowhere(folder: Path) -> None:
    def folders() -> set[Path]:
        # What other processes share lies there too, in files.
        return {path for path in Path("/dev/shm").iterdir() if path.is_dir()}

    before = folders()
    place(folder, names=NAMES)
    assert folders() <= before
    assert set(contents(folder)) == {"users.json", *authority(NAMES)}


@pytest.mark.parametrize("file", ["users.json", "proxy.sha256"])
def test_a_gateways_configuration_names_what_it_comes_back_with(file: str) -> None:
    """What it does not name goes with the next deploy, and a rollback to it would find no login."""
    template = Path(__file__).parents[3] / "roles/frontend/templates/Caddyfile.j2"
    assert f"/run/secrets/gateway/{file}" in template.read_text(encoding="utf-8")
