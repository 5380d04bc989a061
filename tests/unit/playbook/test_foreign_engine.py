"""An engine that came another way is completed by nobody but its owner: packages of another family would put it out."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
WITHOUT_BUILDX = """#!/bin/sh
case "$*" in
  info*) echo "29.1.0 /var/lib/docker" ;;
  compose\\ version*) echo 2.40.0 ;;
  *) exit 1 ;;
esac
"""


@pytest.mark.parametrize(("package", "called"), [("docker-ce", "docker-ce"), ("", "from no package")])
def test_it_is_not_replaced(tmp_path: Path, package: str, called: str) -> None:
    for name, script in (("docker", WITHOUT_BUILDX), ("dpkg-query", f"#!/bin/sh\necho {package} installed\nexit 1\n")):
        (tmp_path / name).write_text(script, encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    run = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), "--check", "--tags=engine", "--inventory=inventories/local", "site.yml"],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    refused = f"docker_source: the engine on the host is {called}, without the buildx plugin, and is not replaced"
    expected = refused if os.geteuid() == 0 else "docker: there is no engine with Compose and buildx"
    assert expected in " ".join(run.stdout.split())
    assert "changed=0" in run.stdout
