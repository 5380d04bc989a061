"""What the egress guard starts with: its resolver and Squid, which reads its configuration again when the proxy that leads out changes."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

START = Path(__file__).parents[3] / "roles/llm_proxy/files/egress/start"
STUBS = {
    "squid": 'trap "echo again >>{folder}/read" HUP\n: >{folder}/read\nwhile :; do sleep 0.02; done',
    "unbound": "echo $$ >{folder}/resolver\nexec sleep 60",
    # The proxy's name is known once there is this file.
    "getent": "test -e {folder}/known",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A guard's folder, with a proxy that leads out, and stubs of the programs that it starts."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/upstream.conf").write_text("cache_peer proxy.example parent 3128 0 login=one\n", encoding="utf-8")
    (tmp_path / "etc/squid.conf").write_text(f"include {tmp_path}/etc/upstream.conf\n", encoding="utf-8")
    (tmp_path / "bin").mkdir()
    for name, body in STUBS.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/bash\n{body.format(folder=tmp_path)}\n", encoding="utf-8")
        (tmp_path / "bin" / name).chmod(0o755)
    script = START.read_text(encoding="utf-8").replace("sleep 5", "sleep 0.02").replace("/usr/sbin/", "")
    (tmp_path / "start").write_text(script.replace("/tmp/", f"{tmp_path}/").replace("/etc/egress", f"{tmp_path}/etc"), encoding="utf-8")
    return tmp_path


@pytest.fixture
def guard(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The guard, started."""
    # A shell cannot catch a signal that whoever started the tests ignores.
    with subprocess.Popen(
        ["env", "--default-signal=HUP", "bash", folder / "start"],
        env={**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}"},
        start_new_session=True,
    ) as process:
        until(lambda: (folder / "read").exists() and (folder / "resolver").exists() and (folder / "resolver").stat().st_size > 1)
        yield process
        os.killpg(process.pid, signal.SIGKILL)


def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def times_read(folder: Path) -> int:
    """Return how often Squid has read its configuration again."""
    return (folder / "read").read_text(encoding="utf-8").count("again")


def test_a_proxy_whose_name_is_known_late_and_another_login_are_taken_once_each(folder: Path, guard: subprocess.Popen[bytes]) -> None:
    assert times_read(folder) == 0
    (folder / "known").touch()
    until(lambda: times_read(folder) == 1)
    (folder / "new.conf").write_text("cache_peer proxy.example parent 3128 0 login=two\n", encoding="utf-8")
    (folder / "new.conf").replace(folder / "etc/upstream.conf")
    until(lambda: times_read(folder) == 2)
    (folder / "known").unlink()
    until(lambda: times_read(folder) == 3)
    assert guard.poll() is None


def test_without_its_resolver_it_ends_and_starts_anew(folder: Path, guard: subprocess.Popen[bytes]) -> None:
    os.kill(int((folder / "resolver").read_text(encoding="utf-8")), signal.SIGKILL)
    assert guard.wait(timeout=20) == 1
