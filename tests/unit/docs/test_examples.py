"""The documents' examples work: variables pass the roles' own checks, and commands are commands that there are."""

import json
import os
import re
import shlex
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.cli.playbook import PlaybookCLI
from ansible.parsing.splitter import parse_kv

import passwords
import plays
import vault_keys
from documents import DOCUMENTS, ELSEWHERE, LIVED, ROOT, blocks, commands, made, span, spans

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
CRON = [(name, re.sub(r"^\d+ \d+( \*){3} cd /\S+ && (chronic )?", "", text, flags=re.M)) for name, text in blocks("cron")]
# Outside of the blocks, what begins so is a command or a part of one.
INLINE = [
    (f"{name}: {text}", text)
    for name, text in spans()
    if re.match(r"make\b|(sudo|docker|ansible-playbook|python3|-e|--forks) |ARGS=-", text)
]
SERVICES = {"gateway", "frontend", "backend", "llm-proxy", "egress", "<service>"}
# Programs that are not this project's, and words of the shell.
THEIRS = {"ssh", "mkdir", "cd", "git", "printf", "pass", "secret-tool", "op", "mv", "sudo", "export", "(umask"}
SETTABLE = {name for path in ROOT.glob("roles/*/defaults/main.yml") for name in yaml.safe_load(path.read_text(encoding="utf-8"))}


def see_play(*words: str) -> None:
    """See that what is said to ansible-playbook are options of its, playbooks that there are, and variables that may be set."""
    command = PlaybookCLI(["ansible-playbook", *words])
    command.init_parser()
    given = command.parser.parse_args(list(words))
    for playbook in given.args:
        assert (ROOT / re.sub(r"^ocweb\.stack\.(\w+)$", r"playbooks/\1.yml", playbook)).is_file()
    for variables in given.extra_vars:
        if not variables.startswith("@"):
            assert set(json.loads(variables) if variables.startswith("{") else parse_kv(variables)) <= SETTABLE, variables


def see_make(*words: str) -> None:
    """See that what is said to make are settings of its, and that what it would run is so too."""
    for setting in words[1:]:
        assert re.match(r"(INVENTORY=inventories/\w+|ARGS=-\S.+|SOURCE=/\S+)$", setting)
    program, *rest = made(*(re.sub("^INVENTORY=.*", "INVENTORY=inventories/example", word) for word in words))
    if program.endswith("/ansible-playbook"):
        see_play(*rest)
    elif rest and rest[0].endswith("/vault_keys.py"):
        vault_keys.options().parse_args(rest[1:])


def see(line: str) -> None:
    """See that a command names what there is."""
    words = shlex.split(line, comments=True)
    match words:
        case ["make", *rest] | ["sudo", "make", *rest]:
            see_make(*rest)
        case [setting] if setting.startswith("ARGS="):
            see_make("deploy", setting)
        case ["-e" | "--forks", _]:
            see_play("site.yml", *words)
        case ["cp", _, path, *_] | ["python3", path, *_]:
            assert (ROOT / path.removeprefix("/path/to/")).exists()
        case ["tar" | "sha256sum", *_, name]:
            assert name.startswith(f"ocweb-bundle-{VERSION}-")
        case ["cd", name] if name.startswith("ocweb-"):
            assert name == f"ocweb-{VERSION}"
        case ["docker", "compose", "exec" | "logs", *rest]:
            assert SERVICES & set(rest)
        case ["docker", *rest] | ["sudo", "docker", *rest]:
            known = ("compose ps", "compose config", "compose down", "compose up", "image prune", "builder prune", "inspect", "login ")
            assert " ".join(rest).startswith(known)
        case [program, *rest] if program.endswith("ansible-playbook"):
            see_play(*rest)
        case [program, *_] if program.endswith("ansible-vault"):
            assert program == ".venv/bin/ansible-vault"
        case [program, *_]:
            assert program in THEIRS


@pytest.mark.parametrize(("example", "text"), [*blocks("sh"), *CRON, *INLINE], ids=lambda value: value.replace("\n", " ")[:60])
def test_an_example_of_a_command_names_what_there_is(example: str, text: str) -> None:
    for line in text.splitlines():
        see(line)


@pytest.mark.parametrize(
    "line",
    [
        "make deplay",
        "make deploy ARGS=--chekc",
        "make remove ARGS=\"--extra-vars 'stack_remove=ocweb stack_remov_engine=true'\"",
        "make keys ARGS='--ask-vault-pass --sett vault_backup_password'",
        "-e lm_proxy_rotate_batch=5",
        "ansible-playbook -i your-inventory ocweb.stack.bakcup",
        ".venv/bin/ansible-playbook -i inventories/mine playbooks/revok_keys.yml -e llm_proxy_revoke=openai",
        ".venv/bin/ansible-playbook -i inventories/mine playbooks/revoke_keys.yml -e llm_proxy_revok=openai",
        "python3 roles/frontend/files/login/password.py --stdin",
        "docker compose logs proxy",
    ],
)
def test_a_command_that_names_what_there_is_not_is_found(line: str) -> None:
    with pytest.raises((AssertionError, SystemExit, subprocess.CalledProcessError)):
        see(line)


def test_a_block_is_of_a_kind_that_tests_know() -> None:
    """The samples of proxies are run in scenario `remote`, which takes one of each."""
    kinds = [kind for document in DOCUMENTS for kind in re.findall(r"^ *```(.*)\n", document.read_text(encoding="utf-8"), re.M)]
    assert set(kinds) == {"", "sh", "yaml", "cron", "caddyfile", "apache"}
    assert (kinds.count("caddyfile"), kinds.count("apache")) == (1, 1)


def test_every_playbook_that_is_named_exists() -> None:
    for document in DOCUMENTS:
        named = re.findall(r"\b(?:ocweb\.stack\.|playbooks/)(\w+)", document.read_text(encoding="utf-8"))
        assert [name for name in named if not (ROOT / f"playbooks/{name}.yml").is_file()] == [], document.name


def test_the_tunnels_are_one() -> None:
    said = [line for _, text in blocks("sh") + spans() for line in text.splitlines() if line.startswith("ssh -")]
    port = yaml.safe_load((ROOT / "roles/frontend/defaults/main.yml").read_text(encoding="utf-8"))["frontend_port"]
    assert len(said) == 3
    assert {line.rpartition(" ")[0] for line in said} == {f"ssh -L {port}:127.0.0.1:{port}"}


@pytest.mark.parametrize("batch", [[], span("keys", "-e llm_proxy_rotate_batch").split()])
def test_a_rotation_takes_as_many_hosts_at_a_time_as_are_said(tmp_path: Path, engine_path: str, batch: list[str]) -> None:
    """There is no stack, so that the first ones fail, and the others do not begin."""
    common = {"stack_dir": f"{tmp_path}/{{{{ inventory_hostname }}}}", "llm_proxy_keys": {"openai": "a-key"}}
    run = plays.run(tmp_path, {"one": {}, "two": {}}, common, "playbooks/rotate_keys.yml", *batch, path=engine_path, settings={})
    assert run.returncode != 0
    assert ("fatal: [one]" in run.stdout, "fatal: [two]" in run.stdout) == (True, batch != [])


def test_old_backups_are_removed_and_nothing_else(tmp_path: Path) -> None:
    for name, days in {"old.tar.gpg": 32, "new.tar.gpg": 29, "old.txt": 32}.items():
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, time.time() - days * 86400))
    subprocess.run(shlex.split(span("backup", "find ").replace("/var/backups/ocweb", str(tmp_path))), check=True)
    assert {path.name for path in tmp_path.iterdir()} == {"new.tar.gpg", "old.txt"}


def test_a_script_has_a_password_hashed() -> None:
    command = shlex.split(span("edge", "python3 "))
    done = subprocess.run(command, cwd=ROOT, input="correct horse battery\n", capture_output=True, text=True, check=True)
    assert passwords.fits("correct horse battery", done.stdout.strip())


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
    roles = "|".join(path.name for path in ROOT.glob("roles/*"))
    for document in DOCUMENTS:
        assert set(re.findall(rf"\b(?:{roles})_[a-z_]+\b", document.read_text(encoding="utf-8"))) - SETTABLE == set(), document.name


def test_every_link_to_a_file_leads_somewhere() -> None:
    for document in DOCUMENTS:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_variables_that_a_bundle_depends_on_are_those_that_are_compared() -> None:
    known = yaml.safe_load((ROOT / "roles/stack/vars/main.yml").read_text(encoding="utf-8"))["__stack_bundle_variables"]
    [listed] = re.findall(r"images depend on a few variables \((.*?)\)", (ROOT / "docs/offline.md").read_text(encoding="utf-8"), re.S)
    assert set(re.findall(r"`(\w+)`", listed)) == set(known)
