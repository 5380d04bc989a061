"""Archives that only who knows a password can read, and that show when a byte of them is missing or another: GnuPG's symmetric encryption.

The password goes to gpg through a pipe: it stands in no command line, no environment and no file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from folder import Refusal, run

BLOCK = 2**20
SHORTEST = 12
# What gpg's status says of one message that was encrypted with the password and arrived whole; see doc/DETAILS of GnuPG.
DECRYPTED = ["BEGIN_DECRYPTION", "PLAINTEXT", "DECRYPTION_OKAY"]
# The first member of each archive: {version, at, project, images, format, size, workspace}.
MANIFEST = "manifest.json"
VERSION = 1


def check_password(password: str) -> None:
    """See that a password is one.

    Raises:
        Refusal: it is missing, too short, or not one line.
    """
    if not password:
        raise Refusal("stack_backup_password: there is none, and a backup is encrypted with it. Put one into the vault.")
    if len(password) < SHORTEST or "\n" in password or password != password.strip():
        raise Refusal(
            f"stack_backup_password: it is too weak (not shown). Use one line of at least {SHORTEST} characters, without spaces around it."
        )


def need_gpg(dry: bool) -> list[str]:
    """Have gpg, from the host's own packages where it is missing; return in lines what was installed for it.

    Raises:
        Refusal: there is none, and it cannot be installed.
    """
    if shutil.which("gpg"):
        return []
    if os.geteuid() != 0:
        raise Refusal("gpg is missing on this host, and a backup is encrypted with it. As root: apt-get install gpg")
    if not dry:
        install = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "install", "-y", "--no-install-recommends", "gpg")
        if run(*install, timeout=600).returncode:
            run("apt-get", "-qq", "update", timeout=600)
            done = run(*install, timeout=600)
            if done.returncode:
                raise Refusal(f"gpg is missing on this host and cannot be installed: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
    return ["package gpg"]


@contextlib.contextmanager
def gpg(password: str, *arguments: str, **streams: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run gpg with a password and a home that holds nothing and goes with it."""
    reading, writing = os.pipe()
    home = tempfile.mkdtemp(prefix="ocweb-gpg-")
    quiet = ("--batch", "--no-tty", "--quiet", "--no-symkey-cache", "--pinentry-mode", "loopback")
    try:
        process = subprocess.Popen(
            ["gpg", "--homedir", home, *quiet, "--passphrase-fd", str(reading), *arguments],
            stderr=subprocess.PIPE,
            pass_fds=[reading],
            **streams,
        )
        os.close(reading)
        with os.fdopen(writing, "wb") as pipe, contextlib.suppress(BrokenPipeError):
            pipe.write(password.encode() + b"\n")
        try:
            yield process
        finally:
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()
            if process.poll() is None:
                process.wait()
    finally:
        run("gpgconf", "--homedir", home, "--kill", "all")
        shutil.rmtree(home, ignore_errors=True)


class Counted:
    """What is read through it is counted and hashed."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream, self.hash, self.size = stream, hashlib.sha256(), 0

    def read(self, size: int = BLOCK) -> bytes:
        """Return the next bytes, b"" at the end."""
        block = self.stream.read(size)
        self.hash.update(block)
        self.size += len(block)
        return block

    @property
    def digest(self) -> str:
        """The SHA-256 of what was read, in hexadecimal digits."""
        return self.hash.hexdigest()


def seal(archive: IO[bytes], target: Path, password: str) -> str:
    """Write an archive to a new file, encrypted; return its digest before that.

    Raises:
        RuntimeError: gpg failed.
    """
    strong = ("--cipher-algo", "AES256", "--s2k-digest-algo", "SHA512", "--s2k-count", "65011712", "--compress-algo", "none")
    counted = Counted(archive)
    with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        with gpg(password, *strong, "--symmetric", "--output", "-", stdin=subprocess.PIPE, stdout=file) as process:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                while block := counted.read():
                    process.stdin.write(block)
                process.stdin.close()
            complaint = process.stderr.read().decode(errors="replace") if process.stderr else ""
        if process.returncode:
            raise RuntimeError((complaint.strip().splitlines() or ["gpg failed"])[-1])
        file.flush()
        os.fsync(file.fileno())
    return counted.digest


@contextlib.contextmanager
def opened(source: Path, password: str) -> Iterator[Counted]:
    """Read what is in a sealed file. It is to be believed only once this has ended without a refusal.

    Raises:
        Refusal: the password is another, or the file is damaged.
    """
    reading = ("--decrypt", "--output", "-", str(source))
    with (
        tempfile.NamedTemporaryFile(prefix="ocweb-gpg-") as status,
        gpg(password, "--status-file", status.name, *reading, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process,
    ):
        assert process.stdout is not None
        counted = Counted(process.stdout)
        reason = ""
        try:
            yield counted
        except (tarfile.TarError, EOFError, OSError, ValueError, KeyError) as error:
            reason = str(error)
        with contextlib.suppress(OSError):
            while counted.read():
                pass
        complaint = process.stderr.read().decode(errors="replace").strip() if process.stderr else ""
        process.wait()
        steps = [line.split()[1] for line in status.read().decode(errors="replace").splitlines() if line.startswith("[GNUPG:] ")]
    if process.returncode:
        if "Bad session key" in complaint or "bad key" in complaint.lower():
            raise Refusal(f"{source} does not open with this password (stack_backup_password). Nothing was changed.")
        words = complaint.splitlines() or ["gpg gives no reason"]
        raise Refusal(f"{source} is damaged, truncated or no backup of ours: {words[-1].removeprefix('gpg: ')}. Nothing was changed.")
    # GnuPG also reads what nobody encrypted, and says so nowhere else.
    if [step for step in steps if step in ("BEGIN_DECRYPTION", "PLAINTEXT", "DECRYPTION_OKAY")] != DECRYPTED:
        raise Refusal(f"{source} is no backup of ours: it is not encrypted with the password (stack_backup_password). Nothing was changed.")
    if reason:
        raise Refusal(f"{source} is no backup of ours: {reason}. Nothing was changed.")


def read_back(source: Path, password: str) -> tuple[dict[str, Any], str]:
    """Read a whole sealed archive; return its manifest and its digest.

    Raises:
        Refusal: it cannot be read to its end, or is of another version.
    """
    with opened(source, password) as content, tarfile.open(fileobj=content, mode="r|", bufsize=BLOCK) as archive:  # type: ignore[call-overload]
        first = archive.next()
        file = archive.extractfile(first) if first is not None and first.name == MANIFEST else None
        if file is None:
            raise ValueError(f"it does not begin with {MANIFEST}")
        manifest = json.load(file)
        while archive.next() is not None:
            archive.members = []
    if (theirs := manifest.get("version")) != VERSION:
        raise Refusal(
            f"{source} is a backup of version {theirs}, and version {VERSION} is read here. Nothing was changed: use its own release."
        )
    return manifest, content.digest
