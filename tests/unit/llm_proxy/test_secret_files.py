"""Keys that rotate are known at once, and remembered for an hour."""

import os
from pathlib import Path

import pytest

from clock import Clock
from masking import Masker
from output import masked
from secret_files import SecretFiles
from watched import WatchedFolder

FIXED, OLD, NEW = "fixed-master-key", "old-provider-key", "new-provider-key"


def files_in(*folders: Path, clock: Clock | None = None) -> SecretFiles:
    return SecretFiles([WatchedFolder(folder) for folder in folders], clock or Clock())


def known(masker: Masker) -> list[str]:
    return [secret for secret in (FIXED, OLD, NEW) if masker.mask(secret.encode()) != secret.encode()]


def test_a_rotated_key_is_masked_at_once_and_the_old_one_for_an_hour(tmp_path: Path) -> None:
    clock = Clock(0)
    keys, secrets = tmp_path / "keys", tmp_path / "secrets"
    keys.mkdir()
    secrets.mkdir()
    (secrets / "master_key").write_text(FIXED, encoding="ascii")
    files = files_in(keys, secrets, clock=clock)
    assert known(files.masker()) == [FIXED]
    (keys / "openai").write_text(OLD + "\n", encoding="ascii")
    assert known(files.masker()) == [FIXED, OLD]
    (keys / "next").write_text(NEW, encoding="ascii")
    (keys / "next").replace(keys / "openai")
    clock.now = 100
    assert known(files.masker()) == [FIXED, OLD, NEW]
    clock.now = 3699
    assert known(files.masker()) == [FIXED, OLD, NEW]
    clock.now = 3700
    assert known(files.masker()) == [FIXED, NEW]


def test_a_key_that_is_taken_away_is_remembered_too(tmp_path: Path) -> None:
    files = files_in(tmp_path)
    (tmp_path / "openai").write_text(OLD, encoding="ascii")
    files.masker()
    (tmp_path / "openai").unlink()
    assert known(files.masker()) == [OLD]


def test_an_unchanged_file_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = files_in(tmp_path)
    (tmp_path / "openai").write_text(OLD, encoding="ascii")
    first = files.masker()
    monkeypatch.setattr(Path, "read_text", None)
    assert files.masker() is first


def test_a_missing_folder_and_an_unreadable_file_are_no_failure(tmp_path: Path) -> None:
    assert known(files_in(tmp_path / "none").masker()) == []
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "folder").mkdir()
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "openai").write_text(NEW, encoding="ascii")
    assert known(files_in(tmp_path).masker()) == [NEW]


def test_no_secret_reaches_the_log(tmp_path: Path) -> None:
    masker = Masker([OLD])
    with open(tmp_path / "log", "wb") as log:
        writer = masked(log, lambda: masker)
        print("key", OLD, repr({"k": OLD}), file=writer)
        assert (tmp_path / "log").read_text() == "key [masked] {'k': '[masked]'}\n"
        print(OLD[:5], end="", file=writer)
        writer.flush()
        print(OLD[5:], file=writer)
        writer.buffer.write(OLD.encode() + b"\n")
        writer.flush()
        print("\udcff é", OLD[:5], end="", file=writer)
        writer.close()
        assert not log.closed
        os.fsync(log.fileno())
    assert (tmp_path / "log").read_text().splitlines()[1:] == ["[masked]", "[masked]", f"\\udcff é {OLD[:5]}"]
