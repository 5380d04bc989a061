"""Runs of playbooks on hosts that are this machine, and what comes of them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# No network but this machine's is asked whether it reaches what images are built from.
COMMON = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "stack_check_network": False}
JSON = {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"}


def run(
    folder: Path,
    hosts: Mapping[str, Mapping[str, Any]],
    common: Mapping[str, Any],
    *words: str,
    path: str,
    settings: Mapping[str, str] = JSON,
) -> "subprocess.CompletedProcess[str]":
    """Run a playbook, which may fail, on hosts with these variables, each one's and ``common`` ones; ``words`` are it and its options.

    The inventory is ``folder``/hosts.json, and stays there. ``path`` is the PATH, on which hosts find their engine; ``settings`` is
    further environment.
    """
    inventory = folder / "hosts.json"
    inventory.write_text(json.dumps({"all": {"hosts": hosts, "vars": {**COMMON, **common}}}), encoding="utf-8")
    return subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), f"--inventory={inventory}", *words],
        cwd=ROOT,
        env={**os.environ, "PATH": path, **settings},
        capture_output=True,
        text=True,
        check=False,
    )


def rendered(folder: Path, template: Path, hosts: Mapping[str, Mapping[str, Any]], *files: Path) -> dict[str, str]:
    """Return what Ansible makes of a template for hosts with these variables; those of ``files`` stand above them."""
    inventory = folder / "hosts.json"
    inventory.write_text(json.dumps({"all": {"hosts": hosts, "vars": COMMON}}), encoding="utf-8")
    ansible = Path(sys.executable).with_name("ansible")
    given = [f"--inventory={inventory}", *(f"--extra-vars=@{file}" for file in files)]
    arguments = f"src={template} dest={folder}/{{{{ inventory_hostname }}}}"
    subprocess.run([ansible, "all", *given, "-m", "ansible.builtin.template", "-a", arguments], capture_output=True, check=True)
    return {name: (folder / name).read_text(encoding="utf-8") for name in hosts}


def results(said: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield of each task that a run in JSON reports the task's name, a host's, and what came of it there."""
    report = json.loads(said[said.index('{\n    "custom_stats"') : said.rindex("}") + 1])
    for play in report["plays"]:
        for task in play["tasks"]:
            for host, result in task["hosts"].items():
                yield task["task"]["name"], host, result


def errors(said: str, hosts: Mapping[str, object]) -> dict[str, list[str]]:
    """Return what each host failed with, in a run in JSON that may change nothing."""
    found: dict[str, list[str]] = {name: [] for name in hosts}
    for task, host, result in results(said):
        assert not result.get("changed"), f"{task} changed {host}"
        if result.get("failed"):
            found[host].append(result["msg"])
    return found
