"""The documents' examples work: variables pass the roles' own checks, and commands are commands that there are."""

import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import plays
from documents import DOCUMENTS, ELSEWHERE, LIVED, ROOT, blocks, commands

VERSION = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))["version"]
# What a reader's vault would hold.
VAULT = {f"vault_{name}_api_key": f"a-key-for-{name}" for name in ("anthropic", "openai", "openai_team", "openai_spare", "mistral")}
VAULT["vault_ann_password_hash"] = f"$scrypt$ln=15,r=8,p=3${'a' * 22}${'b' * 43}"
VAULT["vault_proxy_secret"] = "a-secret-that-a-proxy-shows-12345"
VAULT["vault_proxy_login"] = VAULT["vault_mirror_login"] = "someone:a-password"
VAULT["vault_backup_password"] = "a-password-for-backups"


def certificate(folder: Path, names: list[str]) -> tuple[str, str]:
    """Make what a reader's certificate would be; return its path and its key's."""
    files = (str(folder / "certificate.pem"), str(folder / "key.pem"))
    made = ("-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=x", "-out", files[0], "-keyout", files[1])
    names_in_it = ",".join(f"DNS:{name}" for name in names)
    subprocess.run(["openssl", "req", "-x509", *made, "-addext", f"subjectAltName={names_in_it}"], check=True, capture_output=True)
    return files


@pytest.fixture(scope="module")
def outcome(engine_path: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the playbook's checks say to each example's variables: one host an example, "" where all is well."""
    folder = tmp_path_factory.mktemp("examples")
    (folder / "workspace").mkdir()
    os.chown(folder / "workspace", 1000, 1000) if os.getuid() == 0 else None
    hosts: dict[str, Any] = {}
    for name, text in blocks("yaml"):
        given = yaml.safe_load(text)
        if given.get("backend_workspace"):
            given["backend_workspace"] = str(folder / "workspace")
        if given.get("frontend_tls") == "files":
            given["frontend_tls_certificate"], given["frontend_tls_key"] = certificate(folder, given["frontend_hosts"])
        hosts[name] = {"stack_dir": str(folder / name), **given}
    run = plays.run(folder, hosts, {"frontend_port": 29999, **VAULT}, "site.yml", "--check", "--tags=check", path=engine_path)
    said = dict.fromkeys(hosts, "")
    for task, host, result in plays.results(run.stdout):
        if result.get("failed"):
            said[host] += f"{task}: {result['msg']}"
    return said


@pytest.mark.parametrize("example", [name for name, _ in blocks("yaml")])
def test_an_example_of_variables_is_accepted(outcome: dict[str, str], example: str) -> None:
    assert outcome[example] == ""


# A line of a crontab is five fields and a command, which begins in the checkout and may be hushed.
CRON = [(name, re.sub(r"^(\S+ ){5}cd /\S+ && (chronic )?", "", text, flags=re.M)) for name, text in blocks("cron")]


# Those of keys.md are run by test_keys_document.py.
@pytest.mark.parametrize(("example", "text"), [(name, text) for name, text in blocks("sh") if not name.startswith("keys-")] + CRON)
def test_an_example_of_a_command_names_what_there_is(example: str, text: str) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    for line in text.splitlines():
        words = shlex.split(line, comments=True)
        if words[0] == "make":
            assert words[1] in targets
            for setting in words[2:]:
                assert re.match(r"(INVENTORY=inventories/\w+|ARGS=--\S.+|SOURCE=/\S+)$", setting)
        elif words[0] == "cp":
            assert (ROOT / words[2]).exists()
        elif words[0] in {"tar", "sha256sum"}:
            assert words[-1].startswith(f"ocweb-bundle-{VERSION}-")
        elif words[0] == "cd" and words[1].startswith("ocweb-"):
            assert words[1] == f"ocweb-{VERSION}"
        elif words[0].endswith("ansible-playbook"):
            assert (ROOT / "playbooks" / f"{Path(words[-1]).name.removeprefix('ocweb.stack.').removesuffix('.yml')}.yml").exists()
        elif words[:3] == ["docker", "compose", "exec"]:
            assert words[3] in {"gateway", "frontend", "backend", "llm-proxy", "egress"}
        else:
            assert words[0] in {"ssh", "mkdir", "cd", "git", "printf"} or words[:3] == ["sudo", "docker", "login"]


def test_every_command_is_run_or_said_to_be_done_elsewhere() -> None:
    pages = {document.stem for document in DOCUMENTS} - {"keys", *LIVED}
    known = tuple(ELSEWHERE)
    assert [line for line in commands(*sorted(pages)) if not line.startswith(known)] == []
    all_lines = commands(*sorted(pages), *LIVED)
    assert [start for start in known if not any(line.startswith(start) for line in all_lines)] == []
    assert [(path, words) for path, words in ELSEWHERE.values() if words not in (ROOT / path).read_text(encoding="utf-8")] == []


def test_the_table_of_providers_is_the_list_of_providers() -> None:
    known = yaml.safe_load((ROOT / "roles/llm_proxy/vars/main.yml").read_text(encoding="utf-8"))["__llm_proxy_known_providers"]
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| `(\S+)` \|$", (ROOT / "docs/models.md").read_text(encoding="utf-8"), re.M)
    described = {name: {"litellm": kind, "api_base": address} for name, kind, address in rows}
    assert described == {name: provider for name, provider in known.items() if name != "demo"}


def test_every_variable_that_is_named_exists() -> None:
    roles = {path.parent.parent.name: yaml.safe_load(path.read_text(encoding="utf-8")) for path in ROOT.glob("roles/*/defaults/main.yml")}
    known = {name for variables in roles.values() for name in variables}
    pattern = re.compile(rf"\b(?:{'|'.join(roles)})_[a-z_]+\b")
    for document in DOCUMENTS:
        assert set(pattern.findall(document.read_text(encoding="utf-8"))) - known == set(), document.name


def test_every_link_to_a_file_leads_somewhere() -> None:
    for document in DOCUMENTS:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
