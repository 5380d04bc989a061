"""No key is in what a run says or leaves on the controller: in whatever form it was given, however talkative Ansible is."""

import json
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from talkative import TALKATIVE

import plays

ROOT = Path(__file__).resolve().parents[3]
CANARY = "C4n4ryC4n4ry"
NUMBER = 5550123456789555

# What people put where a mapping of providers to keys belongs; the last is right, and goes on to the tasks that write keys.
GIVEN: dict[str, Any] = {
    "text": f"sk-proj-{CANARY}",
    "pair": f"openai=sk-proj-{CANARY}",
    "list": [f"sk-proj-{CANARY}"],
    "number": NUMBER,
    "nested": {"openai": {"key": f"sk-proj-{CANARY}"}},
    "in_a_list": {"openai": [f"sk-proj-{CANARY}"]},
    "right": {"openai": f"sk-proj-{CANARY}"},
}

# On this machine, where what is sent to a host lies is a folder of the test's too.
LOCAL = {**TALKATIVE, "ANSIBLE_REMOTE_TEMP": "{}/remote"}
FORMATS: dict[str, dict[str, str]] = {
    "yaml": {"ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml"},
    "json": {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json", "ANSIBLE_PIPELINING": "false"},
}
# With these, Ansible keeps and tells what no task can hide.
HOPELESS = {"ANSIBLE_KEEP_REMOTE_FILES": "true", "ANSIBLE_DEBUG": "true"}


def run(more: dict[str, str], names: Iterable[str], folder: Path, path: str) -> str:
    """Run the deploy dry on a host for each of the ways in which keys are given, and return what it says."""
    # One server with one folder may not be two hosts.
    common = {"stack_minimum_free_gib": 0, "stack_dir": f"{folder}/no-such-{{{{ inventory_hostname }}}}"}
    models = [{"name": "gpt", "provider": "openai"}]
    hosts = {
        name: {"llm_proxy_keys": keys, "llm_proxy_models": models, "frontend_port": 29990} for name, keys in GIVEN.items() if name in names
    }
    settings = {name: value.format(folder) for name, value in {**LOCAL, **more}.items()}
    options = ["-vvv", "--check", "--diff", f"--forks={len(GIVEN)}"]
    done = plays.run(folder, hosts, common, "site.yml", *options, path=path, settings=settings)
    # What was given is not what was left.
    (folder / "hosts.json").unlink()
    return done.stderr + done.stdout


@pytest.fixture(scope="module")
def said(engine_path: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, Path]]:
    """What each run says, and the folder with what it left."""
    folders = {form: tmp_path_factory.mktemp(form) for form in FORMATS}
    with ThreadPoolExecutor() as pool:
        texts = pool.map(lambda form: run(FORMATS[form], GIVEN, folders[form], engine_path), FORMATS)
        return {form: (text, folders[form]) for form, text in zip(FORMATS, texts, strict=True)}


@pytest.mark.parametrize("form", FORMATS)
def test_no_key_is_said_or_left_behind(said: dict[str, tuple[str, Path]], form: str) -> None:
    text, folder = said[form]
    # The tasks that write keys were run, on the host where they are right.
    assert "Do what is to be done with the keys on the host" in text
    assert re.search(r"no_log: true|\"censored\"|the output has been hidden|censored:", text)
    leaves_nothing(text, folder)
    assert {path.name for path in folder.iterdir()} >= {"log", "junit", "plays"}


def leaves_nothing(text: str, folder: Path) -> None:
    """See that no key was said, or is in a file of a folder."""
    left = {str(path): path.read_text(encoding="utf-8", errors="replace") for path in folder.rglob("*") if path.is_file()}
    for where, content in {"said": text, **left}.items():
        for secret in (CANARY, str(NUMBER)):
            assert secret not in content, f"{where}: {content[max(0, content.index(secret) - 200) :][:300]}"


@pytest.mark.parametrize("switch", HOPELESS)
def test_what_would_tell_a_key_in_any_case_is_refused(switch: str, engine_path: str, tmp_path: Path) -> None:
    text = run({switch: HOPELESS[switch]}, ["right"], tmp_path, engine_path)
    leaves_nothing(text, tmp_path)
    assert f"{switch}: with it, Ansible " in text
    assert "Do what is to be done with the keys on the host" not in text


@pytest.mark.parametrize("given", [name for name in GIVEN if name != "right"])
def test_what_is_given_wrongly_is_one_clear_error(said: dict[str, tuple[str, Path]], given: str) -> None:
    [failed] = [result for _, host, result in plays.results(said["json"][0]) if host == given and result.get("failed")]
    assert "llm_proxy_keys" in json.dumps(failed)


def documents() -> Iterator[tuple[str, Any]]:
    """Yield each YAML file of tasks and plays."""
    for place in ("roles", "playbooks", "molecule", "site.yml"):
        start = ROOT / place
        for path in [start] if start.is_file() else sorted(start.rglob("*.yml")):
            yield str(path.relative_to(ROOT)), yaml.safe_load(path.read_text(encoding="utf-8"))


def values(node: Any, name: str) -> Iterator[Any]:
    """Yield every value that stands under a name anywhere in a document."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == name:
                yield value
            yield from values(value, name)
    elif isinstance(node, list):
        for each in node:
            yield from values(each, name)


def test_nothing_switches_the_masking_off() -> None:
    found = {path: list(values(document, "no_log")) for path, document in documents()}
    # Tasks, and the types of arguments.
    assert sum(map(len, found.values())) > 5
    assert {path: said for path, said in found.items() if any(value is not True for value in said)} == {}


def test_keys_go_to_no_host_where_ansible_would_write_them_into_a_file(engine_path: str, tmp_path: Path) -> None:
    """Where root is become by `su`, Ansible leaves pipelining out, and says nothing of it."""
    su = tmp_path / "su"
    su.write_text('#!/bin/sh\nexec sh -c "$3"\n', encoding="utf-8")
    su.chmod(0o755)
    own = {"stack_dir": str(tmp_path / "stack"), "stack_minimum_free_gib": 0, "frontend_port": 29990, "ansible_become_exe": str(su)}
    # Said here, it is in no variable.
    done = plays.run(tmp_path, {"one": own}, {}, "site.yml", "--check", "--become", "--become-method=su", path=engine_path)
    [message] = plays.errors(done.stdout, {"one": own})["one"]
    assert message.startswith("ansible_become_method: Ansible writes what it hands to this host into files there")


@pytest.mark.parametrize("play", ["rotate_keys", "rotate_secrets", "backup", "restore"])
def test_nor_in_any_other_play_where_the_inventory_says_so(play: str, engine_path: str, tmp_path: Path) -> None:
    own = {"stack_dir": str(tmp_path), "ansible_become": True, "ansible_become_method": "ansible.builtin.su"}
    done = plays.run(tmp_path, {"one": own}, {}, f"playbooks/{play}.yml", path=engine_path)
    [message] = plays.errors(done.stdout, {"one": own})["one"]
    assert message.startswith("ansible_become_method: Ansible writes")


@pytest.mark.parametrize("play", ["rotate_keys", "backup", "status"])
@pytest.mark.parametrize("switch", HOPELESS)
def test_nor_does_any_other_play_with_what_would_tell_them(play: str, switch: str, engine_path: str, tmp_path: Path) -> None:
    settings = {**plays.JSON, switch: HOPELESS[switch]}
    done = plays.run(tmp_path, {"one": {"stack_dir": str(tmp_path)}}, {}, f"playbooks/{play}.yml", path=engine_path, settings=settings)
    assert f"{switch}: with it, Ansible " in done.stdout and "Work on the host" not in done.stdout
