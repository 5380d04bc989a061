"""Runs the tests of what runs on Bun, with the Bun that the image has."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def bun() -> Path:
    """The pinned Bun, fetched once for each of its versions."""
    packages = yaml.safe_load((ROOT / "files/pins.yml").read_text(encoding="utf-8"))["stack_pins"]["bun"]
    pins = [f"{processor}={package}" for processor, package in packages.items()]
    folder: Path = ROOT / ".cache/bun" / re.findall(r"@([\d.]+)#", pins[0])[0]
    if not (folder / "bin/bun").exists():
        subprocess.run(["sh", ROOT / "files/npm-package", folder, *pins], check=True)
    return folder / "bin/bun"


def test_what_runs_on_bun(bun: Path, tmp_path: Path) -> None:
    command: list[str | Path] = [bun, "test", "./tests/unit/frontend"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0, run.stderr
    passed, failed = (int(re.search(rf"(\d+) {word}", run.stderr)[1]) for word in ("pass", "fail"))  # type: ignore[index]
    assert failed == 0
    assert passed >= 25
