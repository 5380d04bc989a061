"""The collection as `make build` makes it, installed, and its playbooks run by their names in it."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent


def build(folder: Path) -> Path:
    """Build the collection into a folder; return the archive."""
    subprocess.run([BIN / "ansible-galaxy", "collection", "build", f"--output-path={folder}"], cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("ocweb-stack-*.tar.gz"))


def install(archive: Path, folder: Path, path: str) -> dict[str, str]:
    """Install an archive of the collection into a folder; return an environment with this PATH in which it is installed."""
    environment = {**os.environ, "PATH": path, "ANSIBLE_COLLECTIONS_PATH": str(folder)}
    subprocess.run(
        [BIN / "ansible-galaxy", "collection", "install", "--no-deps", archive], env=environment, check=True, capture_output=True
    )
    return environment


def play(environment: dict[str, str], cwd: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run one of its playbooks on this machine, from a folder; it may fail."""
    here = ("--inventory=localhost,", "--connection=local", "-e", f"ansible_python_interpreter={sys.executable}")
    return subprocess.run([BIN / "ansible-playbook", *here, *words], cwd=cwd, env=environment, capture_output=True, text=True, check=False)
