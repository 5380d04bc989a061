"""Puts what only the gateway may read where only it can, in one round trip.

Called as ``python3 -c THIS`` with one JSON object on standard input:
``folder``, ``owner`` and ``group`` (ids), ``check`` (true: change nothing),
``files`` ({name: {"text"} or {"path" on the host}}: the folder holds these and no others),
``authority`` (a name for people, and the DNS names and IPv4 addresses that it is for; null for none).

An authority is made once for its names, and again when they change: a root whose key exists only while it signs the intermediate
that the gateway signs with. Both are constrained to the names, so that a stolen key is good for nothing else where the root is trusted.

Prints {"changed": names, "root": the root's PEM or "", "fingerprint": of all that the gateway has to be started anew for}.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

DAYS = 3650
# Read again while it runs, or read by nobody but this.
READ_ANEW = ("users.json", "authority.json")
AUTHORITY = ("authority.json", "root.crt", "intermediate.crt", "intermediate.key")
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
        found = {name: Path(folder, name).read_bytes() for name in AUTHORITY[1:]}
    return {"authority.json": note(authority), **found}


def note(authority: dict[str, Any]) -> bytes:
    """Return what is written down of what an authority was made for."""
    return json.dumps({"names": sorted(authority["names"])}).encode()


def wanted(question: dict[str, Any], folder: Path) -> dict[str, bytes]:
    """Return what the folder is to hold. Of an authority that is yet to be made, a dry run only has the files' names."""
    files = {
        name: source["text"].encode() if "text" in source else Path(source["path"]).read_bytes()
        for name, source in question["files"].items()
    }
    if authority := question["authority"]:
        there = {name: (folder / name).read_bytes() for name in AUTHORITY if (folder / name).exists()}
        if there.get("authority.json") == note(authority) and len(there) == len(AUTHORITY):
            files |= there
        else:
            files |= dict.fromkeys(AUTHORITY, b"") if question["check"] else made(authority)
    return files


def put(path: Path, data: bytes, owner: int, group: int) -> None:
    """Write a file for its owner's eyes alone, as a whole or not at all."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "wb") as file:
        os.fchown(file.fileno(), owner, group)
        file.write(data)
    new.replace(path)


def main(question: dict[str, Any]) -> dict[str, Any]:
    """Do it, and return what is printed."""
    folder, owner, group = Path(question["folder"]), int(question["owner"]), int(question["group"])
    files = wanted(question, folder)
    there = sorted(folder.iterdir()) if folder.is_dir() else []

    def right(path: Path, data: bytes) -> bool:
        status = path.stat() if path in there else None
        return (
            status is not None
            and (status.st_uid, status.st_gid, status.st_mode & 0o777) == (owner, group, 0o400)
            and path.read_bytes() == data
        )

    changed = [name for name, data in files.items() if not right(folder / name, data)]
    gone = [path.name for path in there if path.name not in files]
    if not question["check"]:
        for name in changed:
            put(folder / name, files[name], owner, group)
        for name in gone:
            (folder / name).unlink()
    seen = b"\n".join(hashlib.sha256(name.encode() + data).digest() for name, data in sorted(files.items()) if name not in READ_ANEW)
    return {
        "changed": changed + gone,
        "root": files.get("root.crt", b"").decode(),
        "fingerprint": hashlib.sha256(seen).hexdigest()[:12],
    }


if __name__ == "__main__":
    print(json.dumps(main(json.load(sys.stdin))))
