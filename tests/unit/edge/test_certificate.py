"""A certificate that would not do is told before anything is changed, and its key is never said."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import certificate

Make = Callable[..., tuple[str, str]]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Makes a certificate and its key, both PEM, for names, from some day to another."""

    def made(names: str, start: str = "20200101000000Z", end: str = "20990101000000Z") -> tuple[str, str]:
        folder = tmp_path_factory.mktemp("certificate")
        (folder / "conf").write_text(
            "[ca]\ndefault_ca=c\n[c]\ndatabase=index\nserial=serial\nnew_certs_dir=.\npolicy=p\ndefault_md=sha256\nx509_extensions=e\n"
            f"rand_serial=yes\n[p]\n[e]\nsubjectAltName={names}\n[req]\ndistinguished_name=n\nprompt=no\n[n]\nCN=x\n",
            encoding="utf-8",
        )
        (folder / "index").touch()
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key")
        for command in (
            ("req", "-new", *key, "-config", "conf", "-out", "csr"),
            (
                "ca",
                "-batch",
                "-selfsign",
                "-config",
                "conf",
                "-keyfile",
                "key",
                "-in",
                "csr",
                "-startdate",
                start,
                "-enddate",
                end,
                "-out",
                "crt",
            ),
        ):
            subprocess.run(["openssl", *command], cwd=folder, check=True, capture_output=True)
        return (folder / "crt").read_text(encoding="utf-8"), (folder / "key").read_text(encoding="utf-8")

    return made


def said(cert: str, key: str, *names: str) -> list[str]:
    return certificate.problems({"certificate": cert, "key": key, "names": names})


def test_a_right_one_is_right_as_text_or_path(make: Make, tmp_path: Path) -> None:
    cert, key = make("DNS:code.example.org,DNS:*.example.net,IP:192.0.2.7")
    names = ["code.example.org", "a.example.net", "192.0.2.7"]
    assert said(cert, key, *names) == []
    (tmp_path / "c.pem").write_text(cert, encoding="utf-8")
    (tmp_path / "k.pem").write_text(key, encoding="utf-8")
    assert said(str(tmp_path / "c.pem"), str(tmp_path / "k.pem"), *names) == []


def test_names_that_it_is_not_for_are_told(make: Make) -> None:
    [line] = said(*make("DNS:code.example.org"), "code.example.org", "other.example.org", "192.0.2.7")
    assert line.startswith("frontend_tls_certificate: it is not for other.example.org, 192.0.2.7 (frontend_hosts)")


def test_its_time_is_told(make: Make) -> None:
    [line] = said(*make("DNS:x", end="20210203000000Z"))
    assert line.startswith("frontend_tls_certificate: it expired on 2021-02-03")
    [line] = said(*make("DNS:x", start="20980203000000Z"))
    assert line.startswith("frontend_tls_certificate: it is valid from 2098-02-03 on")


def test_anothers_key_is_told(make: Make) -> None:
    [line] = said(make("DNS:x")[0], make("DNS:x")[1])
    assert line.startswith("frontend_tls_key: it is not the key of frontend_tls_certificate")


def test_what_is_missing_or_nothing_of_the_kind_is_told(make: Make) -> None:
    cert, key = make("DNS:x")
    assert [line.partition(" ")[0] for line in said("", "")] == ["frontend_tls_certificate:", "frontend_tls_key:"]
    [line] = said("/no/such.pem", key)
    assert line.startswith("frontend_tls_certificate: /no/such.pem on the host cannot be read (No such file or directory)")
    [line] = said("certs/mine.pem", key)
    assert line.startswith("frontend_tls_certificate: it is neither PEM")
    [line] = said(key, key)
    assert line.startswith("frontend_tls_certificate: it is not a certificate in PEM")
    [line] = said(cert, cert)
    assert line.startswith("frontend_tls_key: it is not a private key in PEM")


def test_a_key_with_a_passphrase_is_told(make: Make) -> None:
    cert, key = make("DNS:x")
    locked = subprocess.run(
        ["openssl", "pkey", "-aes256", "-passout", "pass:secret"], input=key, capture_output=True, text=True, check=True
    ).stdout
    [line] = said(cert, locked)
    assert line.startswith("frontend_tls_key: it is not a private key in PEM without a passphrase")
    assert "BEGIN" not in line


@pytest.mark.parametrize("case", ["missing", "strange"])
def test_an_openssl_that_cannot_be_asked_is_told(
    make: Make, tmp_path: Path, stub_command: Callable[..., None], monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    cert, key = make("DNS:x")
    if case == "missing":
        monkeypatch.setenv("PATH", str(tmp_path))
    else:
        stub_command("echo notBefore=never", "openssl")
    [line] = certificate.main({"certificate": cert, "key": key, "names": []})
    assert line.startswith("frontend_tls_certificate: it could not be looked at with openssl on the host: ") and "BEGIN" not in line
