"""A password fits the hash that was made from it, and no other."""

import io
import subprocess
import sys
from pathlib import Path

import pytest

import passwords

PASSWORD = "correct horse battery"


def test_a_password_fits_its_hash_and_no_other() -> None:
    stored = passwords.hashed(PASSWORD)
    assert passwords.fits(PASSWORD, stored)
    assert not passwords.fits(PASSWORD + " ", stored)
    assert not passwords.fits("", stored)
    assert passwords.hashed(PASSWORD) != stored


@pytest.mark.parametrize("password", ["ünïcödé 密码 passwort", "a" * 40 + "bcdef"])
def test_any_text_can_be_a_password(password: str) -> None:
    assert passwords.fits(password, passwords.hashed(password))


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("", "shorter than 12"),
        ("short", "shorter than 12"),
        ("elevenchars", "shorter than 12"),
        ("aaaaaaaaaaaaaaa", "repeats"),
        ("123123123123", "repeats"),
        ("xy1.-" * 200, "longer than 512"),
        (PASSWORD, ""),
    ],
)
def test_a_weak_password_is_refused(password: str, why: str) -> None:
    assert why in passwords.too_weak(password)
    assert bool(why) == bool(passwords.too_weak(password))


def test_a_hash_is_made_from_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{PASSWORD}\n"))
    assert passwords.main(["--stdin"]) == 0
    assert passwords.fits(PASSWORD, capsys.readouterr().out.strip())


def test_two_different_passwords_make_no_hash(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    typed = iter([PASSWORD, f"{PASSWORD}x"])
    monkeypatch.setattr("getpass.getpass", lambda _: next(typed))
    assert passwords.main([]) == 1
    said = capsys.readouterr()
    assert (said.out, "not the same" in said.err, PASSWORD in said.err) == ("", True, False)


def test_a_weak_password_is_refused_before_it_is_typed_again(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    typed = iter(["short"])
    monkeypatch.setattr("getpass.getpass", lambda _: next(typed))
    assert passwords.main([]) == 1
    assert "shorter than 12" in capsys.readouterr().err


def test_the_command_needs_nothing_but_python() -> None:
    command: list[str | Path] = [sys.executable, "-I", "-S", Path(passwords.__file__), "--stdin"]
    done = subprocess.run(command, input="too short\n", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "shorter than 12" in done.stderr
