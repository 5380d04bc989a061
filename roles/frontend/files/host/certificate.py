"""Looks at a certificate and its key before a deploy puts them in place, and changes nothing.

Called as ``python3 -c THIS`` with {"certificate", "key": each PEM, or a path on the host, "names": that browsers call} as JSON on standard
input. Prints a list of what is wrong, in JSON: sentences that begin with a variable. It needs the host's openssl.
"""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import time
from pathlib import Path

CERTIFICATE, KEY = "frontend_tls_certificate", "frontend_tls_key"
IS_PEM = "-----BEGIN "


def text(given: str) -> str:
    """Return PEM, be it given or the path of a file that holds it.

    Raises:
        OSError: there is no such file, or it cannot be read.
        ValueError: it is neither.
    """
    if IS_PEM in given:
        return given
    if not given.startswith("/"):
        raise ValueError("is neither PEM (-----BEGIN ...) nor the path of a file on the host")
    return Path(given).read_text(encoding="ascii", errors="replace")


def openssl(given: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run openssl with PEM on its standard input: a key is never in a file or a command line of ours."""
    return subprocess.run(["openssl", *arguments], input=given, capture_output=True, text=True, timeout=30, check=False)


def moment(certificate: str, which: str) -> float:
    """Return a certificate's "startdate" or "enddate", in seconds since 1970."""
    return ssl.cert_time_to_seconds(openssl(certificate, "x509", "-noout", f"-{which}").stdout.partition("=")[2].strip())


def covers(certificate: str, name: str) -> bool:
    """Tell whether a certificate is for a host name or an IPv4 address."""
    kind = "-checkip" if name.replace(".", "").isdigit() else "-checkhost"
    return "does match" in openssl(certificate, "x509", "-noout", kind, name).stdout


def problems(question: dict[str, object]) -> list[str]:
    """Say what is wrong with a certificate, its key and its names."""
    found: list[str] = []
    pem: dict[str, str] = {}
    for variable, given in ((CERTIFICATE, str(question["certificate"])), (KEY, str(question["key"]))):
        if not given:
            found.append(f"{variable}: it is missing, and frontend_tls is files. Give PEM, or the path of a file on the host.")
            continue
        try:
            pem[variable] = text(given)
        except OSError as error:
            found.append(f"{variable}: {given} on the host cannot be read ({error.strerror}). Give the path of a PEM file there, or PEM.")
        except ValueError as error:
            found.append(f"{variable}: it {error}. Use one of them.")
    public: dict[str, str] = {}
    if CERTIFICATE in pem:
        public[CERTIFICATE] = openssl(pem[CERTIFICATE], "x509", "-noout", "-pubkey").stdout
        if not public[CERTIFICATE]:
            found.append(f"{CERTIFICATE}: it is not a certificate in PEM. It begins with -----BEGIN CERTIFICATE-----, the chain after it.")
        else:
            found += of_certificate(pem[CERTIFICATE], [str(name) for name in question["names"]])  # type: ignore[attr-defined]
    if KEY in pem:
        public[KEY] = openssl(pem[KEY], "pkey", "-pubout", "-passin", "pass:").stdout
        if not public[KEY]:
            found.append(f"{KEY}: it is not a private key in PEM without a passphrase. The gateway has nobody to ask for one.")
    if len([one for one in public.values() if one]) == 2 and public[CERTIFICATE] != public[KEY]:
        found.append(f"{KEY}: it is not the key of frontend_tls_certificate. Give the one that the certificate was made with.")
    return found


def of_certificate(certificate: str, names: list[str]) -> list[str]:
    """Say what is wrong with a certificate by itself."""
    found, now = [], time.time()
    start, end = moment(certificate, "startdate"), moment(certificate, "enddate")
    day = time.strftime("%Y-%m-%d", time.gmtime(end if end < now else start))
    if end < now:
        found.append(f"{CERTIFICATE}: it expired on {day}. Renew it.")
    elif start > now:
        found.append(f"{CERTIFICATE}: it is valid from {day} on. Use one that is valid now, or set the host's clock.")
    missing = [name for name in names if not covers(certificate, name)]
    if missing:
        found.append(f"{CERTIFICATE}: it is not for {', '.join(missing)} (frontend_hosts). Use one that is, or take the name away.")
    return found


def main(question: dict[str, object]) -> list[str]:
    """Return what is printed."""
    try:
        return problems(question)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        # The task that runs this shows nothing of its output.
        return [f"{CERTIFICATE}: it could not be looked at with openssl on the host: {error}. Look after that, and run again."]


if __name__ == "__main__":
    print(json.dumps(main(json.load(sys.stdin))))
