"""One command makes a vault of the configured providers' keys, and never shows or stores one in the clear."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible import constants
from ansible.parsing.vault import parse_vaulttext_envelope
from vault_bed import KEYS, ROOT, Bed, Typing

import key_rules
import sealed
import vault_keys

COMMAND = ROOT / "files/vault/vault_keys.py"
OPENAI = "vault_openai_api_key"
NEW = "sk-proj-" + "n" * 20
MODEL = [{"name": "gpt", "provider": "openai"}]


def files(folder: Path) -> dict[str, bytes]:
    """Return all that is in a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_first_vault_holds_each_key_and_only_its_owner_reads_it(bed: Bed) -> None:
    code, said = bed.run(given=KEYS)
    assert code == 0, said
    assert bed.values() == KEYS
    assert stat.S_IMODE(bed.vault.stat().st_mode) == 0o600
    for name, key in KEYS.items():
        assert key not in said
        assert f"{name} is set, fingerprint {key_rules.fingerprint(key)}" in said


def test_a_person_is_asked_for_each_without_echo(bed: Bed, typing: Typing) -> None:
    answers = [
        ("New vault password: ", "open sesame, please"),
        ("The same again: ", "open sesame, please"),
        ("vault_anthropic_api_key (a key of anthropic): ", KEYS["vault_anthropic_api_key"]),
        ("vault_openai_api_key (a key of openai): ", KEYS["vault_anthropic_api_key"]),
        ("vault_openai_api_key (a key of openai): ", KEYS[OPENAI]),
        ("vault_gemini_api_key (a key of gemini): ", KEYS["vault_gemini_api_key"]),
    ]
    code, said = typing(["-i", bed.inventory, "--ask-vault-pass"], answers)
    assert code == 0, said
    assert "That looks like a key of anthropic, not of openai. Once more, or Ctrl-C to change nothing" in said
    assert not [typed for typed in (*KEYS.values(), "open sesame, please") if typed in said]
    typed = bed.secret(bed.password.with_name("typed"))
    typed.write_text("open sesame, please", encoding="utf-8")
    assert bed.values(password=typed) == KEYS


def test_ctrl_c_changes_nothing(bed: Bed, typing: Typing) -> None:
    before = files(bed.inventory)
    command = ["-i", str(bed.inventory), "--vault-password-file", str(bed.password)]
    code, said = typing(command, [("(a key of anthropic): ", KEYS["vault_anthropic_api_key"]), ("(a key of openai): ", "\x03")])
    assert (code, "Nothing was changed" in said) == (2, True)
    assert files(bed.inventory) == before


def test_two_different_new_passwords_are_refused(bed: Bed, typing: Typing) -> None:
    code, said = typing(["-i", bed.inventory], [("New vault password: ", "one of them all"), ("The same again: ", "two of them all")])
    assert (code, "The two passwords are not the same" in said) == (2, True)
    assert not bed.vault.exists()


def test_a_new_password_that_can_be_guessed_is_refused(bed: Bed, typing: Typing) -> None:
    code, said = typing(["-i", bed.inventory], [("New vault password: ", "elevenchars"), ("The same again: ", "elevenchars")])
    assert (code, "shorter than 12 characters" in said) == (2, True)
    bed.password.write_text("elevenchars", encoding="utf-8")
    code, said = bed.run(given=KEYS)
    assert (code, "shorter than 12 characters" in said) == (2, True)
    assert not bed.vault.exists()


def test_a_vault_that_is_there_opens_with_whatever_password_it_has(bed: Bed) -> None:
    """Also under a label of its own, and beside the short password of another vault id, whose vaults are elsewhere."""
    bed.password.write_text("short", encoding="utf-8")
    bed.encrypt("a: b\n", label="lab")
    code, said = bed.run(given=KEYS)
    assert code == 0, said
    other = bed.secret(bed.password.with_name("other"))
    other.write_text("another", encoding="utf-8")
    code, said = bed.run("--vault-id", f"lab@{bed.password}", "--vault-id", f"prod@{other}", "--set", OPENAI, given={OPENAI: NEW})
    assert code == 0, said
    assert bed.values()[OPENAI] == NEW


def test_nobody_is_asked_where_what_is_typed_would_show(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process without a terminal, as pytest's own is once it cannot open one."""
    opening = os.open

    def no_terminal(path: str, *more: int) -> int:
        if path == "/dev/tty":
            raise OSError("no terminal")
        return opening(path, *more)

    monkeypatch.setattr(os, "open", no_terminal)
    code, said = bed.run()
    assert (code, said.startswith("There is no terminal to ask on.")) == (2, True)


def test_nothing_in_the_clear_gets_to_the_disk_and_a_failure_leaves_nothing(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files(bed.inventory)
    staged: list[tuple[bytes, int]] = []

    def failing(source: str, target: Path) -> None:
        staged.append((Path(source).read_bytes(), stat.S_IMODE(os.stat(source).st_mode)))
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", failing)
    code, said = bed.run(given=KEYS)
    assert (code, said) == (2, "no space left\n")
    assert [(content[:14], mode) for content, mode in staged] == [(b"$ANSIBLE_VAULT", 0o600)]
    assert files(bed.inventory) == before


def test_what_is_there_already_stays(bed: Bed) -> None:
    text = f"# Of the team.\nvault_smtp_password: [a, !unsafe '{{{{']\nvault_openai_api_key:   old # in use\nvault_gemini_api_key: {NEW}\n"
    bed.encrypt(text)
    code, said = bed.run("--set", OPENAI, given={OPENAI: NEW})
    assert code == 0, said
    assert bed.text() == text.replace(f"{OPENAI}:   old # in use", f'{OPENAI}: "{NEW}"')
    assert "nothing in the inventory refers to vault_smtp_password." in said


def test_only_what_is_missing_is_asked_for(bed: Bed, typing: Typing) -> None:
    bed.encrypt("".join(f"{name}: {key}\n" for name, key in KEYS.items() if name != OPENAI))
    code, said = typing(["-i", bed.inventory, "--vault-password-file", bed.password], [("(a key of openai): ", NEW)])
    assert (code, "gemini" in said) == (0, False)
    code, said = bed.run()
    assert (code, said.startswith("No key is missing.")) == (0, True)


def test_no_fingerprint_of_a_password_is_shown(bed: Bed) -> None:
    bed.variables({"llm_proxy_models": MODEL, "llm_proxy_keys": {"openai": "{{ vault_a }}"}, "smtp": "{{ vault_smtp_password }}"})
    assert bed.run(given={"vault_smtp_password": "two words"}) == (0, f"{bed.vault}: vault_smtp_password is set\n")


def test_one_provider_can_be_changed(bed: Bed) -> None:
    bed.run(given=KEYS)
    assert bed.run("--only", "openai", given={OPENAI: NEW})[0] == 0
    assert bed.values() == {**KEYS, OPENAI: NEW}
    assert bed.run("--only", "opnai")[1] == "--only opnai: no model is from it. Those in use want keys of: anthropic, gemini, openai\n"


def test_values_may_be_json(bed: Bed) -> None:
    first = json.dumps({OPENAI: NEW, "vault_gemini_api_key": "AIza"})
    assert bed.run(given=f'{first}\n\n{{"vault_anthropic_api_key": "k"}}\n')[0] == 0
    assert bed.values() == {OPENAI: NEW, "vault_gemini_api_key": "AIza", "vault_anthropic_api_key": "k"}


REFUSED: dict[str, tuple[str, str]] = {
    "empty": (f"{OPENAI}=\n", f"{OPENAI}: what was given is empty"),
    "white space": (f"{OPENAI}= {NEW}\n", f"{OPENAI}: what was given has white space in it"),
    "a line break": (f'{{"{OPENAI}": "{NEW}\\n"}}', f"{OPENAI}: what was given ends with a line break"),
    "a line break of Windows": (f"{OPENAI}={NEW}\r\n", f"{OPENAI}: what was given ends with a line break"),
    "quotes": (f'{OPENAI}="{NEW}"\n', f"{OPENAI}: what was given has quotes around it"),
    "a placeholder": (f"{OPENAI}=CHANGE_ME\n", f"{OPENAI}: what was given is a placeholder"),
    "another vendor's": ("vault_gemini_api_key=" + NEW, "vault_gemini_api_key: what was given looks like a key of openai, not of gemini"),
    "a name that nothing refers to": (
        f"vault_opnai_api_key={NEW}\n",
        f"vault_opnai_api_key: nothing in the inventory refers to such a variable. Did you mean {OPENAI}?",
    ),
    "a key for a name": (f"{NEW}=x\n", "Line 1 of what was given is neither name=value"),
    "a key alone": (f"{OPENAI}={NEW}\n{NEW}\n", "Line 2 of what was given is neither name=value"),
    "a number": (f'{{"{OPENAI}": 5}}', "Line 1 of what was given is neither name=value"),
    "half of an object": ('{"vault_openai_api_key": ', "Line 1 of what was given is neither name=value"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_wrong_with_a_value_is_said_and_the_value_is_not(bed: Bed, case: str) -> None:
    bed.run(given=KEYS)
    before = files(bed.inventory)
    given, words = REFUSED[case]
    code, said = bed.run(given=given)
    assert (code, said.startswith(words), len(said.splitlines())) == (2, True, 1), said
    assert NEW not in said
    assert files(bed.inventory) == before


def test_a_value_on_the_command_line_is_refused_and_not_repeated(bed: Bed) -> None:
    code, said = bed.run("--set", f"{OPENAI}={NEW}")
    assert (code, said.startswith("--set takes a name alone."), NEW in said) == (2, True, False)


def test_a_value_that_is_missing_is_named(bed: Bed) -> None:
    code, said = bed.run("--only", "openai", "--only", "gemini", given={OPENAI: NEW})
    assert (code, said) == (2, "vault_gemini_api_key: no value was given for it\n")


WRITE = """Write beside your models:
llm_proxy_keys:
  openai: "{{ vault_openai_api_key | default('') }}"
"""
REFERENCES: dict[str, tuple[dict[str, Any], list[str] | str]] = {
    "plain": ({"openai": "{{ vault_a }}"}, ["vault_a"]),
    "with a default": ({"openai": "{{ vault_a | default('') }}"}, ["vault_a"]),
    "several": (
        {"openai": [{"name": "a", "key": "{{ vault_a }}"}, {"name": "b", "key": "{{ vault_b }}", "weight": 0}]},
        ["vault_a", "vault_b"],
    ),
    "through another": ({"openai": "{{ company_key }}"}, ["vault_company"]),
    "a lookup": ({"openai": "{{ lookup('ansible.builtin.env', 'KEY') }}"}, []),
    "none": ({}, f"llm_proxy_keys: nothing says where the key of openai comes from\n{WRITE}"),
    "an empty list": ({"openai": []}, f"llm_proxy_keys: nothing says where the key of openai comes from\n{WRITE}"),
    "in the clear": (
        {"openai": NEW},
        f"llm_proxy_keys: the key of openai stands there in the clear. Have a new one, and refer to it\n{WRITE}",
    ),
    "two in one": (
        {"openai": "{{ vault_a }}{{ vault_b }}"},
        f"llm_proxy_keys: the key of openai is made from vault_a, vault_b. Refer to one variable\n{WRITE}",
    ),
}


@pytest.mark.parametrize("case", REFERENCES)
def test_a_reference_is_found_or_the_line_to_write_is_said(bed: Bed, case: str) -> None:
    keys, expected = REFERENCES[case]
    bed.variables({"llm_proxy_models": MODEL, "llm_proxy_keys": keys, "company_key": "{{ vault_company }}"})
    if isinstance(expected, list):
        code, said = bed.run(given=dict.fromkeys(expected, NEW))
        assert code == 0, said
        assert (list(bed.values()) if expected else []) == expected
    else:
        code, said = bed.run()
        assert (code, said) == (2, expected)
        assert not bed.vault.exists()


def test_what_to_write_is_said_once_for_all_providers(bed: Bed) -> None:
    bed.variables({"llm_proxy_models": [*MODEL, {"name": "x", "provider": "gemini"}]})
    said = bed.run()[1]
    assert said.splitlines()[2:4] == ["Write beside your models:", "llm_proxy_keys:"]
    assert len(said.splitlines()) == 6


def test_models_that_are_no_list_are_refused(bed: Bed) -> None:
    bed.variables({"llm_proxy_models": "gpt"})
    assert bed.run() == (2, "llm_proxy_models or llm_proxy_providers is not what it should be; `make check` says what is wrong\n")


def test_a_key_that_is_encrypted_in_place_is_left_alone(bed: Bed) -> None:
    inline = bed.lib().encrypt(NEW, bed.lib().secrets[0][1]).decode().replace("\n", "\n    ")
    text = f"llm_proxy_models: [{{name: gpt, provider: openai}}]\nllm_proxy_keys:\n  openai: !vault |\n    {inline}\n"
    (bed.inventory / "group_vars/all/main.yml").write_text(text, encoding="utf-8")
    assert bed.run() == (0, "No model wants a key from a vault. Choose models first: docs/models.md\n")


def test_keys_that_are_no_list_are_refused(bed: Bed) -> None:
    bed.variables({"llm_proxy_models": MODEL, "llm_proxy_keys": "{{ all_of_them }}"})
    code, said = bed.run()
    assert (code, "llm_proxy_keys: on workbench1.example.org it has to be a list of `provider: reference`" in said) == (2, True)


def test_a_provider_that_takes_no_key_is_not_asked_for(bed: Bed) -> None:
    local = {"litellm": "openai", "api_base": "http://gpu.lan/v1", "keyless": True}
    models = [{"name": "demo", "provider": "demo"}, {"name": "qwen", "provider": "{{ where }}"}]
    bed.variables({"llm_proxy_models": models, "llm_proxy_providers": {"local": local}, "where": "local"})
    code, said = bed.run()
    assert (code, said) == (0, "No model wants a key from a vault. Choose models first: docs/models.md\n")


def test_a_gateways_key_may_look_like_anything(bed: Bed) -> None:
    gateway = {"openai": {"litellm": "openai", "api_base": "https://gateway.example/v1"}}
    bed.variables({"llm_proxy_models": MODEL, "llm_proxy_providers": gateway, "llm_proxy_keys": {"openai": "{{ vault_a }}"}})
    assert bed.run(given={"vault_a": KEYS["vault_anthropic_api_key"]})[0] == 0


def test_a_provider_that_there_is_not_is_named(bed: Bed) -> None:
    bed.variables({"llm_proxy_models": [{"name": "x", "provider": "acme"}]})
    code, said = bed.run()
    assert (code, said.startswith("llm_proxy_models: acme on workbench1.example.org is no provider.")) == (2, True)


@pytest.mark.parametrize(("entity", "place"), [("workbench2.example.org", "host_vars"), ("lab", "group_vars")])
def test_a_host_or_group_may_have_keys_of_its_own(bed: Bed, entity: str, place: str) -> None:
    hosts = bed.inventory / "hosts.yml"
    hosts.write_text("all: {hosts: {workbench1.example.org: }, children: {lab: {hosts: {workbench2.example.org: }}}}", encoding="utf-8")
    bed.run(given=KEYS)
    common = bed.vault.read_bytes()
    code, said = bed.run("--for", entity, "--only", "openai", given={OPENAI: NEW})
    assert code == 0, said
    assert bed.values(bed.inventory / place / entity / "vault.yml") == {OPENAI: NEW}
    assert bed.vault.read_bytes() == common
    assert "goes first" not in said
    code, said = bed.run("--only", "openai", given={OPENAI: "sk-proj-" + "z" * 20})
    assert f"{bed.inventory}/{place}/{entity}/vault.yml has its own {OPENAI}, which goes first for its hosts" in said


def test_a_host_that_there_is_not_is_named(bed: Bed) -> None:
    code, said = bed.run("--for", "workbench1.example.com")
    words = "--for workbench1.example.com: the inventory has no such host or group. Did you mean workbench1.example.org?\n"
    assert (code, said) == (2, words)


def test_variables_that_a_new_folder_would_hide_are_in_the_way(bed: Bed) -> None:
    (bed.inventory / "host_vars").mkdir()
    (bed.inventory / "host_vars/workbench1.example.org.yml").write_text("a: b", encoding="utf-8")
    code, said = bed.run("--for", "workbench1.example.org", "--only", "openai", given={OPENAI: NEW})
    assert (code, "Ansible would not read it any more" in said) == (2, True)
    assert not (bed.inventory / "host_vars/workbench1.example.org").exists()


def test_a_vault_in_the_clear_is_not_written_over(bed: Bed) -> None:
    bed.vault.write_text(f"{OPENAI}: {NEW}\nvault_gemini_api_key: CHANGE_ME\n", encoding="utf-8")
    code, said = bed.run(given=KEYS)
    assert (code, f"it is not encrypted, and holds {OPENAI}." in said, NEW in said) == (2, True, False)
    assert NEW in bed.vault.read_text(encoding="utf-8")


def test_a_vault_of_placeholders_is(bed: Bed) -> None:
    bed.vault.write_text("".join(f"{name}: CHANGE_ME\n" for name in KEYS), encoding="utf-8")
    bed.vault.chmod(0o644)
    assert bed.run(given=KEYS)[0] == 0
    assert bed.values() == KEYS
    assert stat.S_IMODE(bed.vault.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"a: {NEW}\n b: [c\n", "what is encrypted in it is not YAML (line 2, column 3). Mend it with ansible-vault edit"),
        (f"{NEW}\n", "what is encrypted in it is not a list of `name: value`. Mend it with ansible-vault edit"),
        (f"{OPENAI}: a\n{OPENAI}: {NEW}\n", f"{OPENAI} stands there twice, or over several lines. Change it with ansible-vault edit"),
        (f"{OPENAI}: >\n  a\n  {NEW}\n", f"{OPENAI} stands there twice, or over several lines. Change it with ansible-vault edit"),
    ],
)
def test_a_vault_that_is_not_in_order_is_left_alone_and_not_shown(bed: Bed, text: str, words: str) -> None:
    bed.encrypt(text)
    before = bed.vault.read_bytes()
    code, said = bed.run("--set", OPENAI, given={OPENAI: "sk-proj-" + "y" * 30})
    assert (code, said.endswith(f"{bed.vault}: {words}\n"), NEW in said) == (2, True, False)
    assert bed.vault.read_bytes() == before


def test_a_wrong_password_changes_nothing(bed: Bed) -> None:
    bed.run(given=KEYS)
    before = bed.vault.read_bytes()
    code, said = bed.run("--set", OPENAI, given={OPENAI: NEW}, password=bed.secret(bed.password.with_name("wrong")))
    words = f"{bed.vault}: no password that was given opens it (vault id default; given: default). Nothing was changed\n"
    assert (code, said, bed.vault.read_bytes()) == (2, words, before)


def test_a_vault_keeps_its_label_and_a_new_one_needs_one(bed: Bed) -> None:
    lab = bed.secret(bed.password.with_name("lab"))
    ids = ("--vault-id", f"mine@{bed.password}", "--vault-id", f"lab@{lab}")
    assert bed.run(*ids, "--encrypt-vault-id", "lab", given=KEYS)[0] == 0
    assert bed.run(*ids, "--set", OPENAI, given={OPENAI: NEW})[0] == 0
    assert parse_vaulttext_envelope(bed.vault.read_bytes())[3] == "lab"
    assert bed.values(password=lab)[OPENAI] == NEW
    one = ("--for", "workbench1.example.org", "--only", "openai")
    code, said = bed.run(*ids, *one, given={OPENAI: NEW})
    assert (code, "There are several vault ids." in said, "--encrypt-vault-id mine or lab" in said) == (2, True, True)
    code, said = bed.run(*ids, *one, "--encrypt-vault-id", "house", given={OPENAI: NEW})
    assert (code, "there is no such vault id among mine, lab" in said) == (2, True)


def test_the_password_comes_from_where_ansible_would_take_it(bed: Bed, tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    (tmp_path / "ansible.cfg").write_text("[defaults]\nvault_password_file = secrets/mine\n", encoding="utf-8")
    given = "".join(f"{name}={key}\n" for name, key in KEYS.items())
    command = [sys.executable, str(COMMAND), "-i", "mine", "--stdin"]
    run = subprocess.run(command, cwd=tmp_path, env=env, input=given, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert bed.values() == KEYS


def test_a_configured_vault_id_is_heeded(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "DEFAULT_VAULT_IDENTITY_LIST", [f"lab@{bed.password}"])
    assert bed.run("--vault-id", f"mine@{bed.password}", "--encrypt-vault-id", "lab", given=KEYS)[0] == 0
    assert parse_vaulttext_envelope(bed.vault.read_bytes())[3] == "lab"


@pytest.mark.parametrize("wrong", ["readable", "inside a repository", "missing", "empty"])
def test_a_password_that_is_not_kept_as_one_is_refused(bed: Bed, wrong: str) -> None:
    breaking: dict[str, Callable[[], object]] = {
        "readable": lambda: bed.password.chmod(0o640),
        "inside a repository": (bed.password.parents[1] / ".git").mkdir,
        "missing": bed.password.unlink,
        "empty": lambda: bed.password.write_text("\n", encoding="utf-8"),
    }
    breaking[wrong]()
    said = {
        "readable": "a vault's password that others can read (mode 0640). Do: chmod 600 ",
        "inside a repository": "a vault's password inside the repository",
        "missing": "there is no password to be had from it.",
        "empty": "there is no password to be had from it.",
    }
    code, output = bed.run(given=KEYS)
    assert (code, said[wrong] in output) == (2, True), output
    assert not bed.vault.exists()


def test_an_inventory_that_there_is_not_is_named(bed: Bed) -> None:
    assert vault_keys.main(["-i", "inventories/none"]) == 2


def test_a_python_without_ansible_says_which_one_has_it() -> None:
    run = subprocess.run([sys.executable, "-I", "-S", COMMAND, "-i", "x"], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "has no Ansible. Run this with the Python that Ansible runs in" in run.stderr


def test_a_vault_that_lies_in_the_clear_is_told_of(bed: Bed) -> None:
    bed.vault.parent.mkdir(parents=True, exist_ok=True)
    bed.vault.write_text("".join(f"{name}: {key}\n" for name, key in KEYS.items()), encoding="utf-8")
    code, said = bed.run()
    assert code == 0, said
    assert "No key is missing" in said
    assert f"{bed.vault}: a vault that is not encrypted" in said


def test_what_else_has_no_value_is_told_of_and_what_is_not_used_any_more(bed: Bed) -> None:
    users = bed.inventory / "group_vars/all/users.yml"
    users.write_text("frontend_users: {ann: \"{{ vault_ann_password_hash | default('') }}\"}\n", encoding="utf-8")
    bed.encrypt("".join(f"{name}: {key}\n" for name, key in {**KEYS, "vault_mistral_api_key": "old"}.items()))
    code, said = bed.run()
    assert code == 0, said
    assert (
        "vault_ann_password_hash: the inventory refers to it, and it has no value. Give it one with --set vault_ann_password_hash" in said
    )
    assert "refers to vault_mistral_api_key. Unless something else uses it, remove it with ansible-vault edit" in said
    code, said = bed.run("--set", "vault_ann_password_hash", given={"vault_ann_password_hash": "a hash"})
    assert (code, "it has no value" in said) == (0, False), said


@pytest.mark.parametrize(
    "use",
    [
        'stack_backup_password: "{{ vault_backup_password | mandatory }}"',
        "stack_backup_password: \"{{ vault_backup_password if vault_backup_password is ansible.builtin.match('.') else omit }}\"",
        "stack_backup_password: \"{{ lookup('ansible.builtin.vars', 'vault_backup_password') }}\"",
    ],
)
def test_what_is_used_in_a_way_of_ansibles_own_is_not_to_be_removed(bed: Bed, use: str) -> None:
    (bed.inventory / "group_vars/all/backup.yml").write_text(f"{use}\n", encoding="utf-8")
    bed.encrypt("".join(f"{name}: {key}\n" for name, key in {**KEYS, "vault_backup_password": "a password of backups"}.items()))
    code, said = bed.run()
    assert (code, "vault_backup_password" in said) == (0, False), said


def test_what_a_group_without_hosts_uses_is_not_to_be_removed(bed: Bed) -> None:
    bed.variables({"frontend_users": {"ann": "{{ vault_ann }}"}}, "group_vars/not_yet/main.yml")
    bed.encrypt("".join(f"{name}: {key}\n" for name, key in {**KEYS, "vault_ann": "a hash"}.items()))
    code, said = bed.run()
    assert (code, "vault_ann" in said) == (0, False), said


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        ("elevenchars", "is shorter than 12 characters"),
        ("a password of {{ mine }}", "has {{, {% or {# in it"),
        ("a password with {# a remark", "has {{, {% or {# in it"),
        (" a password with a space before", "spaces around it"),
    ],
)
def test_a_password_for_backups_is_one(bed: Bed, value: str, wrong: str) -> None:
    (bed.inventory / "group_vars/all/backup.yml").write_text(
        "stack_backup_password: \"{{ vault_backup_password | default('') }}\"\n", encoding="utf-8"
    )
    code, said = bed.run("--set", "vault_backup_password", given={"vault_backup_password": value})
    assert (code, wrong in said, value in said) == (2, True, False), said
    assert not bed.vault.exists()
    assert vault_keys.BACKUP_PASSWORD == sealed.SHORTEST


def test_a_host_gets_a_password_for_its_backups_alone(bed: Bed) -> None:
    bed.variables({"stack_backup_password": "{{ vault_backup_password | default('') }}"}, "group_vars/all/backup.yml")
    common, own = ({"vault_backup_password": f"a password of {whose}"} for whose in ("everybody", "one host"))
    assert bed.run("--set", "vault_backup_password", given=common)[0] == 0
    code, said = bed.run("--for", "workbench1.example.org", "--set", "vault_backup_password", given=own)
    assert code == 0, said
    assert bed.values(bed.inventory / "host_vars/workbench1.example.org/vault.yml") == own
    assert bed.values() == common
    code, said = bed.run("--for", "workbench1.example.org", "--set", "vault_backup_password", given={"vault_backup_password": "short"})
    assert (code, "is shorter than 12 characters" in said) == (2, True), said


def test_a_vault_in_the_clear_with_placeholders_keeps_its_comments_and_what_is_false_is_a_value(bed: Bed) -> None:
    bed.vault.parent.mkdir(parents=True, exist_ok=True)
    bed.vault.write_text("# of the lab\nvault_openai_api_key: CHANGEME\n", encoding="utf-8")
    code, said = bed.run(given=KEYS)
    assert code == 0, said
    assert bed.text().startswith("# of the lab\n")
    assert bed.values() == KEYS
    bed.vault.write_text("vault_telemetry: false\n", encoding="utf-8")
    code, said = bed.run("--set", OPENAI, given={OPENAI: NEW})
    assert (code, "it is not encrypted, and holds vault_telemetry" in said) == (2, True), said


def test_what_cannot_be_read_is_an_error_before_anything_is_written(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    reading = Path.read_bytes

    def failing(path: Path) -> bytes:
        if path.name == "stray.old":
            raise PermissionError(13, "Permission denied", str(path))
        return reading(path)

    (bed.inventory / "stray.old").write_text("", encoding="utf-8")
    monkeypatch.setattr(Path, "read_bytes", failing)
    code, said = bed.run(given=KEYS)
    assert (code, "stray.old" in said) == (2, True), said
    assert not bed.vault.exists()
