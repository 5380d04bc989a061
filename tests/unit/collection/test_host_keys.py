"""Nothing that ships has Ansible or SSH take a server whose key is another's: that is left to whoever deploys."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# What says how host keys are checked, in Ansible's settings and variables, in the environment and in SSH's options. Its default is right.
SAYS_HOW = re.compile(r"host_?key_?checking|known_?hosts_?file|known_?hosts_?command", re.IGNORECASE)
FOLDERS = (".config", "docs", "files", "inventories", "meta", "playbooks", "roles")
FILES = ("ansible.cfg", "Makefile", "README.md", "site.yml", "tests/attacks/reach.py", "tests/bench", "tests/bundle")
SHIPPED = [*(path for folder in FOLDERS for path in ROOT.glob(f"{folder}/**/*")), *(ROOT / name for name in FILES)]


@pytest.mark.parametrize(
    "text",
    [
        "host_key_checking = False",
        "ansible_host_key_checking: false",
        "ansible_ssh_host_key_checking: no",
        "ANSIBLE_HOST_KEY_CHECKING=0",
        "ssh_args = -o StrictHostKeyChecking=accept-new",
        "-o stricthostkeychecking=no",
        "ansible_ssh_common_args: -o UserKnownHostsFile=/dev/null",
        "GlobalKnownHostsFile /dev/null",
    ],
)
def test_each_way_to_switch_it_off_is_seen(text: str) -> None:
    assert SAYS_HOW.search(text)


def test_host_keys_are_checked() -> None:
    texts = {path: path.read_bytes().decode(errors="replace") for path in SHIPPED if path.is_file() and "__pycache__" not in path.parts}
    assert {ROOT / "ansible.cfg", ROOT / "inventories/example/hosts.yml", ROOT / "roles/stack/tasks/main.yml"} < set(texts)
    assert [str(path.relative_to(ROOT)) for path, text in texts.items() if SAYS_HOW.search(text)] == []
