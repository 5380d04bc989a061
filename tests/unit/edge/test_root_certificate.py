"""A root certificate that a host hands back is written down only where it is good for the host's own names and nothing else."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import closed_files
import root_certificate

NAMES = ["localhost", "127.0.0.1", "code.example.lan", "192.0.2.7"]
TITLE = "ocweb on web1"


def authority(names: list[str] = NAMES, title: str = TITLE) -> str:
    """Return the root of an authority as a host makes it."""
    return closed_files.made({"names": names, "title": title})["root.crt"].decode()


@pytest.fixture(scope="module")
def root() -> str:
    return authority()


def hand_back(folder: Path, certificate: str, names: list[str] = NAMES, check: bool = False) -> dict[str, Any]:
    """Run the program as a deploy does."""
    question = {"certificate": certificate, "names": names, "file": str(folder / "web1/root.crt"), "check": check}
    done = subprocess.run(
        [sys.executable, root_certificate.__file__], input=json.dumps(question), capture_output=True, text=True, check=True
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def written(folder: Path) -> str:
    """Return what is where people import it from, and see that nothing else is there."""
    assert [path.name for path in folder.glob("web1/*")] in ([], ["root.crt"])
    path = folder / "web1/root.crt"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def test_what_a_host_makes_is_written_once(tmp_path: Path, root: str) -> None:
    assert hand_back(tmp_path, root, check=True) == {"error": "", "changed": True, "replaced": False}
    assert written(tmp_path) == ""
    assert hand_back(tmp_path, root) == {"error": "", "changed": True, "replaced": False}
    assert hand_back(tmp_path, root) == {"error": "", "changed": False, "replaced": False}
    assert written(tmp_path) == root


def test_another_for_the_same_names_is_told(tmp_path: Path, root: str) -> None:
    """With other names there is another authority, as there should be."""
    other = [*NAMES, "new.example.lan"]
    hand_back(tmp_path, authority(other), other)
    assert hand_back(tmp_path, root) == {"error": "", "changed": True, "replaced": False}
    again = authority()
    assert hand_back(tmp_path, again) == {"error": "", "changed": True, "replaced": True}
    assert written(tmp_path) == again
    (tmp_path / "web1/root.crt").write_text("no certificate", encoding="utf-8")
    assert hand_back(tmp_path, root)["replaced"] is True


def made_of(conf: str) -> str:
    """Return the root of an authority whose extensions are written so."""
    usual = closed_files.REQUEST
    closed_files.REQUEST = conf
    try:
        return authority()
    finally:
        closed_files.REQUEST = usual


def changed(old: str, new: str) -> str:
    """Return the root of an authority in whose root's extensions something is another; the first one is the root's."""
    assert old in closed_files.REQUEST
    return made_of(closed_files.REQUEST.replace(old, new, 1))


STRANGE: dict[str, Callable[[], str]] = {
    "limitless": lambda: changed("nameConstraints = critical, {names}\n", ""),
    "not critical": lambda: changed("nameConstraints = critical, {names}", "nameConstraints = {names}"),
    "one more name": lambda: authority([*NAMES, "bank.example.com"]),
    "one less": lambda: authority(NAMES[:-1]),
    "a domain": lambda: changed("critical, {names}", "critical, {names}, permitted;DNS:com"),
    "a network": lambda: changed("critical, {names}", "critical, {names}, permitted;IP:0.0.0.0/0.0.0.0"),
    "IPv6": lambda: changed("critical, {names}", "critical, {names}, permitted;IP:::/::"),
    "mail": lambda: changed("critical, {names}", "critical, {names}, permitted;email:example.com"),
    "exclusions": lambda: changed("critical, {names}", "critical, excluded;DNS:example.org"),
    "a server's": lambda: changed("CA:TRUE, pathlen:1", "CA:FALSE"),
    "deep": lambda: changed("pathlen:1", "pathlen:7"),
    "without a depth": lambda: changed("CA:TRUE, pathlen:1", "CA:TRUE"),
    "other use": lambda: changed("keyCertSign, cRLSign", "keyCertSign, cRLSign, digitalSignature"),
    "signs code": lambda: changed("keyCertSign, cRLSign", "keyCertSign, cRLSign\nextendedKeyUsage = codeSigning"),
    "title": lambda: authority(title="Internet Security Research Group"),
    "two": lambda: authority() + changed("nameConstraints = critical, {names}\n", ""),
    "two, the other first": lambda: changed("nameConstraints = critical, {names}\n", "") + authority(),
    "key": lambda: authority() + "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    "text": lambda: f"#!/bin/sh\nid\n{authority()}",
    "no certificate": lambda: "all: {hosts: {}}\n",
    "half": lambda: authority()[:200],
    "large": lambda: authority() + "\n" * 2**16,
}


@pytest.mark.parametrize("kind", STRANGE)
def test_anything_else_is_refused(tmp_path: Path, kind: str) -> None:
    answer = hand_back(tmp_path, STRANGE[kind]())
    assert "Take the host for broken into" in answer["error"] and answer["changed"] is False
    assert written(tmp_path) == ""


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path, root: str) -> None:
    (tmp_path / "web1").touch()
    assert hand_back(tmp_path, root)["error"].startswith(f"frontend_tls_roots: {tmp_path}/web1")
