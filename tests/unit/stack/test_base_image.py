"""Bootstraps of several stacks on one host do not get in each other's way. The engine and apt are stand-ins."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "roles/stack/files/base-image"


def test_what_a_bootstrap_runs_in_is_its_own(tmp_path: Path, stub_command: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    stub_command(f'[ "$1" != import ] || [ "$2" != - ] || cat >/dev/null\necho "$*" >>{tmp_path}/asked')
    stub_command("true", "apt-get")
    stub_command("true", "dpkg-deb")
    used = []
    for _ in range(2):
        (tmp_path / "asked").write_text("", encoding="utf-8")
        command = ["sh", "-s", "localhost/one/base:1", "bootstrap", "none", "http://mirror.invalid", "/ca"]
        subprocess.run(command, input=SCRIPT.read_text(encoding="utf-8"), text=True, check=True)
        asked = (tmp_path / "asked").read_text(encoding="utf-8")
        [made] = re.findall(r"^import - (\S+)$", asked, re.M)
        # What runs in it, and what is removed at the end.
        assert len(re.findall(rf"^run .* {re.escape(made)} /bin/sh", asked, re.M)) == 1
        assert re.findall(r"^image rm --force (\S+)$", asked, re.M) == [made]
        used.append(made)
    assert len(set(used)) == 2
    assert all(re.fullmatch(r"localhost/ocweb-bootstrap:[\w.-]{1,128}", one) for one in used)
