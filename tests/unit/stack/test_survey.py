"""What the survey says about a host decides what a deploy does there."""

import json
import pwd
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

STACK = Path(__file__).parents[3] / "roles/stack"
MODULES = [*yaml.safe_load((STACK / "vars/main.yml").read_text(encoding="utf-8"))["__stack_programs"]["survey"], "survey"]


@pytest.fixture
def question(tmp_path: Path) -> dict[str, Any]:
    """What is asked of a host that has no engine, and on which nothing was deployed."""
    return {
        "given": ["stack_dirr", "stack_dir"],
        "known": ["stack_dir"],
        "project": "ocweb",
        "stack_dir": f"{tmp_path}/stack/",
        "ca_bundle": f"{tmp_path}/none",
        "listen": {"address": "127.0.0.1", "port": 0, "redirect": 0},
        "debug_port": 0,
        "source": "",
        "workspace": f"{tmp_path}/work",
        "workspace_owner": "auto",
        "gitconfig": "auto",
        "ssh_dir": "auto",
        "networks": {},
        "fetched": {},
        "private_ranges": ["0.0.0.0/0"],
        "upstreams": [],
    }


def test_each_module_is_sent_before_those_that_stand_on_it(
    tmp_path: Path, stub_command: Callable[..., None], question: dict[str, Any]
) -> None:
    """All that there are, to where nothing else of the project is; and what they say is one line, all for one question."""
    stub_command("exit 1")
    paths = {name: STACK / f"files/survey/{name}.py" for name in MODULES}
    assert sorted(paths.values()) == sorted((STACK / "files/survey").glob("*.py"))
    given = {"modules": {name: path.read_text(encoding="utf-8") for name, path in paths.items()}, "question": question}
    runner = (STACK / "files/host/run.py").read_text(encoding="utf-8")
    done = subprocess.run([sys.executable, "-I", "-c", runner], input=json.dumps(given), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [line] = done.stdout.splitlines()
    host = json.loads(line)
    assert host["misspelt"] == {"stack_dirr": "stack_dir"}
    assert (host["stack_dir"], host["deployed"], host["unwritable"]) == (f"{tmp_path}/stack", False, "")
    assert (host["user"], host["by_file"]) == (pwd.getpwuid(host["uid"]).pw_name, False)
    assert (host["engine"]["state"], host["by_hand"], host["wrong_networks"]) == ("absent", [], [])
    assert (host["obstacle"], host["redirect_obstacle"], host["debug_obstacle"]) == ("", "", "")
    assert (host["workspace"]["kind"], host["source"]["kind"]) == ("missing", "missing")
    assert set(host["exposed"].values()) == {""} and host["overlapping"] == []
    assert (host["addresses"], host["private_upstreams"], host["ca_bundle"], host["unreachable"]) == ([], [], "", {})
    assert set(host["free"]) == {"stack_dir", "engine"} and min(host["free"].values()) > 0
