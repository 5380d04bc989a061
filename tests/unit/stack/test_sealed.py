"""An archive opens with its password alone, and is refused in words where a byte of it is missing or another. With the real GnuPG."""

import io
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

import sealed
from folder import Refusal

PASSWORD = "a password of tests"


def archive(manifest: object = None, first: str = sealed.MANIFEST) -> io.BytesIO:
    """Return an archive of a manifest and of something larger than a block."""
    content = io.BytesIO()
    members = {first: json.dumps(manifest or {"version": sealed.VERSION}).encode(), "sessions/big": bytes(range(256)) * 5000}
    with tarfile.open(fileobj=content, mode="w") as packed:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            packed.addfile(entry, io.BytesIO(data))
    content.seek(0)
    return content


def made(folder: Path, content: io.BytesIO) -> Path:
    """Return an archive as it is sealed."""
    sealed.seal(content, folder / "sealed", PASSWORD)
    return folder / "sealed"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What is in a sealed archive that nobody touched."""
    return made(tmp_path_factory.mktemp("whole"), archive()).read_bytes()


def test_what_was_sealed_reads_back_and_leaves_nothing_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    manifest = {"version": sealed.VERSION, "at": "now"}
    digest = sealed.seal(archive(manifest), tmp_path / "sealed", PASSWORD)
    assert sealed.read_back(tmp_path / "sealed", PASSWORD) == (manifest, digest)
    assert (tmp_path / "sealed").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["sealed"]


def test_another_archive_has_another_digest(tmp_path: Path) -> None:
    digests = [sealed.seal(archive({"version": 1, "at": at}), tmp_path / at, PASSWORD) for at in ("then", "now")]
    assert digests[0] != digests[1]


def flipped(content: bytes) -> bytes:
    """Return a sealed archive with one bit that is another, in its midst."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


SPOILT: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "truncated": (lambda content: content[:-1000], "is damaged, truncated or no backup of ours: "),
    "truncated early": (lambda content: content[:20], "is damaged, truncated or no backup of ours: "),
    "tampered": (flipped, "is damaged, truncated or no backup of ours: "),
    "empty": (lambda _: b"", "is damaged, truncated or no backup of ours: "),
    "never encrypted": (lambda _: archive().getvalue(), "no backup of ours"),
}


@pytest.mark.parametrize("spoilt", SPOILT)
def test_one_that_was_spoilt_is_refused(tmp_path: Path, whole: bytes, spoilt: str) -> None:
    spoil, words = SPOILT[spoilt]
    (tmp_path / "spoilt").write_bytes(spoil(whole))
    with pytest.raises(Refusal, match=f"{tmp_path}/spoilt .*{words}.*Nothing was changed") as refused:
        sealed.read_back(tmp_path / "spoilt", PASSWORD)
    assert len(str(refused.value).splitlines()) == 1


def test_it_does_not_open_with_another_password(tmp_path: Path, whole: bytes) -> None:
    (tmp_path / "whole").write_bytes(whole)
    with pytest.raises(Refusal, match=r"whole does not open with this password \(stack_backup_password\)\. Nothing was changed"):
        sealed.read_back(tmp_path / "whole", "another password altogether")


def test_a_message_that_nobody_encrypted_is_no_backup(tmp_path: Path) -> None:
    """GnuPG reads one whatever the password."""
    store = ["gpg", "--homedir", str(tmp_path), "--batch", "--quiet", "--output", str(tmp_path / "stored"), "--store"]
    subprocess.run(store, input=archive().getvalue(), check=True, capture_output=True)
    with pytest.raises(Refusal, match="stored is no backup of ours: it is not encrypted with the password"):
        sealed.read_back(tmp_path / "stored", PASSWORD)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (archive(first="other"), "is no backup of ours: it does not begin with manifest.json"),
        (archive({"version": 2}), "is a backup of version 2, and version 1 is read here"),
        (io.BytesIO(b"no archive" * 1000), "is no backup of ours: "),
    ],
    ids=["another first member", "another version", "no archive"],
)
def test_what_is_in_it_is_a_backup(tmp_path: Path, content: io.BytesIO, words: str) -> None:
    with pytest.raises(Refusal, match=f"sealed {words}.*Nothing was changed"):
        sealed.read_back(made(tmp_path, content), PASSWORD)


def test_what_cannot_be_written_is_said_as_gnupg_says_it(tmp_path: Path, stub_command: Callable[..., None]) -> None:
    stub_command("head --bytes=1000; echo 'gpg: [stdout]: write error: No space left on device' >&2; exit 2", "gpg")
    with pytest.raises(RuntimeError, match="write error: No space left on device"):
        sealed.seal(archive(), tmp_path / "sealed", PASSWORD)
