"""Writes down the root certificate that a host hands back, once it is sure that it is good for the host's own names and nothing else.

Called with one JSON object on standard input: ``certificate`` (what the host handed back), ``names`` (names and IPv4 addresses that its
authority is for), ``file`` (where it is written), ``check`` (true: write nothing). It runs on the machine that deploys, and stands on
cryptography, as Ansible does.

Prints {"error": why it was not written, or "", "changed": whether it was not there,
"replaced": whether another was there for the same names}.
"""

from __future__ import annotations

import json
import re
import sys
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

# As closed_files.py titles it; a host that was called otherwise when its authority was made keeps that title.
TITLE = re.compile(r"ocweb on [A-Za-z0-9._-]{0,40} \(root\)")
LARGEST = 2**16
NONE_OF_THESE = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
USAGE = x509.KeyUsage(**dict.fromkeys(NONE_OF_THESE, False), key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False)
EXTENSIONS = {
    one.oid for one in (x509.BasicConstraints, x509.KeyUsage, x509.NameConstraints, x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier)
}
FEARED = (
    "frontend_tls: what the host hands back is not the root certificate of an authority that is made for it: {why}. It was not written, "
    "since browsers that had it might trust the host beyond its own names. Take the host for broken into."
)
UNREADABLE = (ValueError, x509.DuplicateExtension, x509.InvalidVersion, x509.UnsupportedGeneralNameType)


def names_of(certificate: str) -> set[str]:
    """Return the names and addresses that a root certificate is good for.

    Raises:
        ValueError: it is none, or is good for more than names and addresses can say.
    """
    if len(certificate) > LARGEST:
        raise ValueError("it is too large")
    try:
        root = x509.load_pem_x509_certificate(certificate.encode())
        found = {one.oid: one for one in root.extensions}
    except UNREADABLE as error:
        raise ValueError("it is no certificate in PEM") from error
    if root.public_bytes(Encoding.PEM).decode().strip() != certificate.strip():
        raise ValueError("there is more in it than one certificate")
    titles = [(one.oid, TITLE.fullmatch(str(one.value)) is not None) for one in root.subject]
    if root.issuer != root.subject or titles != [(NameOID.COMMON_NAME, True)]:
        raise ValueError("it has another title")
    basic, usage, limits = (found.get(kind.oid) for kind in (x509.BasicConstraints, x509.KeyUsage, x509.NameConstraints))
    if basic is None or basic.value != x509.BasicConstraints(ca=True, path_length=1) or not basic.critical:
        raise ValueError("it is not a root with one more certificate below it")
    if usage is None or usage.value != USAGE:
        raise ValueError("it is for more than signing certificates")
    if limits is None or not limits.critical or limits.value.excluded_subtrees is not None or not limits.value.permitted_subtrees:
        raise ValueError("it is not limited to names")
    if strange := set(found) - EXTENSIONS:
        raise ValueError(f"it has an extension that it has no use for ({', '.join(sorted(one.dotted_string for one in strange))})")
    return {name_of(one) for one in limits.value.permitted_subtrees}


def name_of(permitted: x509.GeneralName) -> str:
    """Return a name or address that is permitted.

    Raises:
        ValueError: it is of another kind, or a whole network.
    """
    if isinstance(permitted, x509.DNSName):
        return permitted.value
    if isinstance(permitted, x509.IPAddress) and isinstance(permitted.value, IPv4Network) and permitted.value.prefixlen == 32:
        return str(permitted.value.network_address)
    raise ValueError("it is limited to other things than names and addresses")


def strange(certificate: str, names: set[str]) -> str:
    """Say why a certificate is not a root for these names and no other; "" if it is."""
    try:
        found = names_of(certificate)
    except ValueError as error:
        return str(error)
    if found != names:
        more, less = (", ".join(sorted(one)) or "no more" for one in (found - names, names - found))
        return f"it is for other names (beside its own: {more}; lacking: {less})"
    return ""


def other_names(certificate: str, names: set[str]) -> bool:
    """Tell whether a certificate is a root for other names than these."""
    try:
        return names_of(certificate) != names
    except ValueError:
        return False


def main(question: dict[str, Any]) -> dict[str, Any]:
    """Do it, and return what is printed."""
    certificate, names, path = str(question["certificate"]), set(question["names"]), Path(question["file"])
    if why := strange(certificate, names):
        return {"error": FEARED.format(why=why), "changed": False, "replaced": False}
    try:
        there = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        if there != certificate and not question["check"]:
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            new = path.with_name(f".{path.name}.new")
            new.write_text(certificate, encoding="utf-8")
            new.chmod(0o644)
            new.replace(path)
    except OSError as error:
        why = f"frontend_tls_roots: {error.filename}: {error.strerror}. Name a folder that can be written to."
        return {"error": why, "changed": False, "replaced": False}
    changed = there != certificate
    return {"error": "", "changed": changed, "replaced": changed and there != "" and not other_names(there, names)}


if __name__ == "__main__":
    print(json.dumps(main(json.load(sys.stdin))))
