"""Puts what only one service may read where only it can, in one round trip.

``main`` takes ``folder``, ``owner`` and ``group`` (ids), ``check`` (true: change nothing),
``files`` ({name: {"text"} or {"path" on the host}}: the folder holds these),
``authority`` (the ``folder`` in it that is for one, a ``title`` for people, and the ``names`` and addresses that it is for; or null),
``kept`` (files on the host: what one of them names stays, since an earlier deploy may come back; all else goes).

An authority is made once: a root whose key exists only while it signs the intermediate that the gateway signs with. Both are constrained
to the names, so that a stolen key is good for nothing else where the root is trusted.

It returns {"error": why not all of it was done, or "", "changed": names, "gone": those of them that went, "root": the root's PEM or "",
"fingerprint": of all that the service has to be started anew for}. Standard library only.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import secret_file

DAYS = 3650
# Read again while it runs.
READ_ANEW = ("users.json", "proxy.sha256", "certificate.pem", "key.pem")
AUTHORITY = ("root.crt", "intermediate.crt", "intermediate.key")
REQUEST = """[req]
distinguished_name = name
prompt = no
[name]
CN = {title}
[root]
basicConstraints = critical, CA:TRUE, pathlen:1
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
nameConstraints = critical, {names}
[intermediate]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
nameConstraints = critical, {names}
"""


def constraint(name: str) -> str:
    """Return a name or an IPv4 address as openssl's configuration permits it."""
    return f"permitted;IP:{name}/255.255.255.255" if name.replace(".", "").isdigit() else f"permitted;DNS:{name}"


def made(authority: dict[str, Any]) -> dict[str, bytes]:
    """Make an authority, and return its files."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        names = ", ".join(map(constraint, authority["names"]))
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")

        def openssl(*arguments: str) -> None:
            subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=60)

        for part in ("root", "intermediate"):
            title = f"{authority['title']} ({part})"
            Path(folder, f"{part}.conf").write_text(REQUEST.format(title=title, names=names), encoding="utf-8")
        conf = ("-config", "root.conf", "-extensions", "root")
        openssl("req", "-x509", *key, *conf, "-days", str(DAYS), "-keyout", "root.key", "-out", "root.crt")
        openssl("req", "-new", *key, "-config", "intermediate.conf", "-keyout", "intermediate.key", "-out", "intermediate.csr")
        signer = ("-CA", "root.crt", "-CAkey", "root.key", "-set_serial", "2", "-days", str(DAYS - 1))
        extensions = ("-extfile", "intermediate.conf", "-extensions", "intermediate")
        openssl("x509", "-req", "-in", "intermediate.csr", *signer, *extensions, "-out", "intermediate.crt")
        return {name: Path(folder, name).read_bytes() for name in AUTHORITY}


def wanted(question: dict[str, Any], folder: Path) -> dict[str, bytes]:
    """Return what the folder is to hold. Of an authority that is yet to be made, a dry run only has the files' names."""
    files = {
        name: source["text"].encode() if "text" in source else Path(source["path"]).read_bytes()
        for name, source in question["files"].items()
    }
    if authority := question["authority"]:
        place = authority["folder"]
        found = {name: (folder / place / name).read_bytes() for name in AUTHORITY if (folder / place / name).exists()}
        if len(found) < len(AUTHORITY):
            found = dict.fromkeys(AUTHORITY, b"") if question["check"] else made(authority)
        files |= {f"{place}/{name}": data for name, data in found.items()}
    return files


def kept(question: dict[str, Any], names: Iterable[str]) -> set[str]:
    """Return those of the names that an earlier deploy's files speak of, by themselves or by their folder."""
    texts = [Path(path).read_text(encoding="utf-8") for path in question["kept"] if Path(path).exists()]
    return {name for name in names if any(f"/{name.partition('/')[0]}" in text for text in texts)}


def main(question: dict[str, Any]) -> dict[str, Any]:
    """Do it, and return what came of it."""
    changed: list[str] = []
    try:
        return {"error": "", **placed(question, changed)}
    except OSError as error:
        # The task that runs this shows nothing of its output.
        why = f"{error.filename or question['folder']} on the host: {error.strerror}. Look after that, and run again."
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        words = (error.stderr or b"").decode(errors="replace").strip().splitlines()
        why = f"openssl on the host makes no authority: {words[-1] if words else error}. Look after that, and run again."
    return {"error": why, "changed": changed, "root": "", "fingerprint": ""}


def placed(question: dict[str, Any], done: list[str]) -> dict[str, Any]:
    """Have the folder hold what it is to hold, and note in ``done`` what was changed so far."""
    folder, owner, group = Path(question["folder"]), int(question["owner"]), int(question["group"])
    files = wanted(question, folder)
    there = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if not path.is_dir()} if folder.is_dir() else {}

    def its_owners(path: Path, mode: int) -> bool:
        return secret_file.belongs(path) == (owner, group, mode)

    def right(name: str, data: bytes) -> bool:
        path = there.get(name)
        if path is None or not its_owners(path, 0o400) or path.read_bytes() != data:
            return False
        return path.parent == folder or its_owners(path.parent, 0o700)

    changed = [name for name, data in files.items() if not right(name, data)]
    gone = sorted(there.keys() - files.keys() - kept(question, there))
    if not question["check"]:
        for name in changed:
            if (place := (folder / name).parent) != folder:
                place.mkdir(exist_ok=True)
                secret_file.give(place, owner, group, 0o700)
            secret_file.write(folder / name, files[name], owner, group, 0o400)
            done.append(name)
        for name in gone:
            there[name].unlink()
            done.append(name)
            if there[name].parent != folder and not os.listdir(there[name].parent):
                there[name].parent.rmdir()
    read_once = sorted((name, data) for name, data in files.items() if Path(name).name not in READ_ANEW)
    seen = b"\n".join(hashlib.sha256(name.encode() + data).digest() for name, data in read_once)
    return {
        "changed": changed + gone,
        "gone": gone,
        "root": next((data.decode() for name, data in files.items() if name.endswith("/root.crt")), ""),
        "fingerprint": hashlib.sha256(seen).hexdigest()[:12],
    }
