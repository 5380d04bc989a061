"""What root of one host can do to the machine that deploys, and to keys that are not the host's: it answers as it likes."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

import closed_files
import plays

# Runs modules as Python does, and lets the answers of those whose text has a word hold more than theirs.
HOSTILE = """#!{python}
import json, subprocess, sys
given = sys.stdin.buffer.read()
done = subprocess.run([{python!r}, *sys.argv[1:]], input=given, capture_output=True)
try:
    answer = json.loads(done.stdout)
except ValueError:
    sys.stdout.buffer.write(done.stdout)
    sys.stderr.buffer.write(done.stderr)
    sys.exit(done.returncode)
with open({log!r}, "ab") as log:
    log.write(given)
if {said!r} and "cmd" in answer and {program!r}.encode() in given:
    answer = {{"changed": False, "rc": 0, "stdout": {said!r}, "cmd": answer["cmd"]}}
if {facts!r} != "{{}}" and {word!r}.encode() in given:
    answer["ansible_facts"] = json.loads({facts!r})
print(json.dumps(answer))
"""
BROKEN_INTO = "take it for broken into, replace the keys that it has, set it up anew, and clear the cache of facts if you have one."
# As it is where the collection is installed, and the user's own settings are in force.
INJECTED = {"ANSIBLE_INJECT_FACT_VARS": "True", "ANSIBLE_NOCOLOR": "1"}
REPORT = {"changed": True, "error": "", "lines": [], "report": {"stack_dir": "{{ lookup('pipe', 'id') }}", "deployed": True}}
TLS: dict[str, Any] = {
    "frontend_tls": "internal",
    "frontend_users": {"ann": f"$scrypt$ln=15,r=8,p=3${'a' * 22}${'b' * 43}"},
    "stack_minimum_free_gib": 0,
    "stack_check_network": False,
}
PASSWORD = "a password for tests alone"


class Hostile:
    """A host that answers as it likes, and the folder that nobody named for anything."""

    def __init__(self, folder: Path, path: str) -> None:
        self.folder, self.path = folder, path
        self.log = folder / "log"
        self.settings = INJECTED
        self.shown = ""
        self.taken = folder / "taken"
        self.taken.mkdir()

    def run(
        self,
        play: str,
        *options: str,
        facts: dict[str, Any] | None = None,
        said: tuple[str, object] = ("", None),
        word: str = "",
        **given: Any,
    ) -> tuple[int, str]:
        """Run a play on it, as ``web``, and return its exit code and what was said, as one line.

        ``said`` is a word, and what is said in place of programs whose text has it; ``facts`` is what is in the answers of modules whose
        text has ``word`` in it.
        """
        python = self.folder / "python"
        words = {"program": said[0], "said": json.dumps(said[1]) if said[1] else "", "word": word, "facts": json.dumps(facts or {})}
        text = HOSTILE.format(python=sys.executable, log=str(self.log), **words)
        python.write_text(text, encoding="utf-8")
        python.chmod(0o755)
        common = {
            "stack_dir": f"{self.folder}/stack",
            "stack_status_reports": f"{self.folder}/reports",
            "stack_verify_reports": f"{self.folder}/reports",
            "stack_backup_password": PASSWORD,
            "frontend_port": 29905,
        }
        host = {"ansible_python_interpreter": str(python), **given}
        done = plays.run(self.folder, {"web": host}, common, play, *options, path=self.path, settings=self.settings)
        self.shown = done.stdout + done.stderr
        return done.returncode, " ".join(self.shown.split())

    def found(self) -> list[str]:
        """Return what lies where nobody wanted anything, and of the reports of hosts what is not this one's."""
        reports = [path for path in self.folder.glob("reports/**/*") if path.name != "web.json"]
        return sorted(str(path.relative_to(self.folder)) for path in [*self.taken.rglob("*"), *self.folder.glob("*.json"), *reports])


def told(said: str, *names: str) -> bool:
    """Tell whether it was said that the host is broken into, and by which variables one sees it."""
    return f"{BROKEN_INTO} These are the variables: {', '.join(sorted(names))}" in said


@pytest.fixture
def hostile(tmp_path: Path, engine_path: str) -> Hostile:
    return Hostile(tmp_path, engine_path)


@pytest.mark.parametrize(
    ("play", "names"),
    [("status", "ours"), ("status", "hosts"), ("status", "users"), ("backup", "ours"), ("verify", "hosts"), ("upgrade", "users")],
)
def test_it_does_not_say_where_files_are_written(hostile: Hostile, play: str, names: str) -> None:
    taken = str(hostile.taken)
    facts = {
        "ours": dict.fromkeys(("stack_status_reports", "stack_verify_reports", "stack_backup_fetch"), taken),
        "hosts": {"inventory_hostname": "../taken/web"},
        "users": {"place": taken},
    }[names]
    source = hostile.folder / "ocweb-20260101T000000Z.tar.gpg"
    source.write_text("of the host's choice", encoding="utf-8")
    given: dict[str, Any] = {"place": f"{hostile.folder}/reports", **({"stack_status_reports": "{{ place }}"} if names == "users" else {})}
    if names != "ours":
        given["stack_backup_fetch"] = "{{ place }}"
    code, said = hostile.run(f"playbooks/{play}.yml", facts=facts, said=("", {**REPORT, "file": str(source)}), **given)
    assert code != 0 and told(said, *facts), said
    assert hostile.found() == ["hosts.json"]


def test_it_does_not_say_what_is_read_here(hostile: Hostile) -> None:
    """A folder for the backup is the first thing that is made on it by a module of Ansible's, behind which a file goes there."""
    for name in ("secret", "backup"):
        (hostile.folder / name).write_text(f"{name} of who deploys", encoding="utf-8")
    sent: dict[str, Any] = {
        "stack_restore_upload": f"{hostile.folder}/backup",
        "stack_restore_file": f"{hostile.folder}/on-the-host/backup",
    }
    facts = {"stack_restore_upload": f"{hostile.folder}/secret"}
    code, said = hostile.run("playbooks/restore.yml", facts=facts, said=("", {**REPORT, "file": ""}), word="on-the-host", **sent)
    assert code != 0 and told(said, *facts), said
    assert not (hostile.folder / "on-the-host/backup").exists()


@pytest.mark.parametrize(("word", "names"), [("upstreams", "ours"), ("llm-proxy/secrets/master_key", "users")], ids=["survey", "secrets"])
def test_it_gets_its_own_keys_alone(hostile: Hostile, word: str, names: str) -> None:
    """From whatever task on its answers have more in them: the first one, or the last before the keys."""
    models = [{"name": "one", "provider": "openai"}]
    more = [*models, {"name": "two", "provider": "anthropic"}]
    keys = {"openai": "sk-proj-0123456789abcdefOPENAI", "anthropic": "sk-ant-0123456789abcdefANTHROPIC"}
    given: dict[str, Any] = {
        "llm_proxy_models": models if names == "ours" else "{{ team_models }}",
        "team_models": models,
        "llm_proxy_keys": keys,
    }
    facts = {"llm_proxy_models" if names == "ours" else "team_models": more}
    code, said = hostile.run("site.yml", "--check", facts=facts, word=word, stack_minimum_free_gib=0, stack_check_network=False, **given)
    assert code != 0 and told(said, *facts), said
    assert keys["anthropic"] not in hostile.log.read_text(encoding="utf-8", errors="replace")


def test_it_gets_no_login_of_another_proxy(hostile: Hostile) -> None:
    """From the program on that lays out folders and secrets, behind whose answer the first secret is sent."""
    facts = {"team_login": "all:of-another"}
    given: dict[str, Any] = {
        "llm_proxy_egress_proxy": "http://127.0.0.1:3128",
        "llm_proxy_egress_proxy_login": "{{ team_login }}",
        "team_login": "web:of-its-own",
        "backend_egress_policy": "none",
        "stack_minimum_free_gib": 0,
        "stack_check_network": False,
    }
    code, said = hostile.run("site.yml", "--check", facts=facts, word="llm-proxy/secrets/master_key", **given)
    assert code != 0 and told(said, *facts), said
    assert "of-another" not in hostile.log.read_text(encoding="utf-8", errors="replace")


def test_a_checkout_takes_no_answer_for_a_variable(hostile: Hostile) -> None:
    (hostile.folder / "play.yml").write_text(
        json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [{"command": "id"}, {"debug": {"msg": "the place: {{ place }}"}}]}]),
        encoding="utf-8",
    )
    hostile.settings = {}
    code, said = hostile.run(f"{hostile.folder}/play.yml", facts={"place": "theirs"}, place="ours")
    assert code == 0 and "the place: ours" in said, said


@pytest.mark.parametrize(
    ("facts", "refused"),
    [
        ({"ansible_distribution": "Debian", "place": "here"}, False),
        ({"ansible_distribution": "Debian", "stack_dir": "/nowhere"}, True),
        ({"__stack_facts": {}}, True),
        ({"inventory_hostname": "../x"}, True),
    ],
    ids=["usual", "ours", "inner", "name"],
)
def test_what_the_user_gathered_stays_as_long_as_it_is_nothing_of_ours(hostile: Hostile, facts: dict[str, Any], refused: bool) -> None:
    first = {"hosts": "all", "gather_facts": False, "tasks": [{"command": "echo gathered-by-the-user"}]}
    plays_of_users = [first, {"import_playbook": f"{plays.ROOT}/playbooks/status.yml"}]
    (hostile.folder / "play.yml").write_text(json.dumps(plays_of_users), encoding="utf-8")
    code, said = hostile.run(f"{hostile.folder}/play.yml", facts=facts, said=("", REPORT), word="gathered-by-the-user")
    assert (code != 0) == refused == (BROKEN_INTO in said), said
    assert ("Work on the host" in said) != refused, said


@pytest.mark.parametrize("name", ["authorized_keys", ".bashrc", "x.pth", "ocweb-20260101T000000Z.tar.gpg"])
def test_what_it_calls_its_backup_is_what_backups_are_called(hostile: Hostile, name: str) -> None:
    source = hostile.folder / "source" / name
    source.parent.mkdir()
    source.write_text("of the host's choice", encoding="utf-8")
    fetched: dict[str, Any] = {"stack_backup_fetch": str(hostile.taken)}
    code, said = hostile.run("playbooks/backup.yml", said=("", {**REPORT, "file": str(source)}), **fetched)
    right = name.endswith(".gpg")
    assert (code == 0, "backups are not called so" in said) == (right, not right), said
    assert hostile.found() == (["hosts.json", "taken/web", f"taken/web/{name}"] if right else ["hosts.json"])


@pytest.mark.parametrize("name", ["../web", ".web"])
def test_a_name_that_cannot_name_a_file_is_refused(tmp_path: Path, engine_path: str, name: str) -> None:
    done = plays.run(tmp_path, {name: {}}, {"stack_status_reports": str(tmp_path)}, "playbooks/status.yml", path=engine_path, settings={})
    assert done.returncode != 0
    assert f"inventory: the name {name} begins with a dot or has a slash in it" in " ".join(done.stdout.split())


def test_what_it_hands_back_as_its_root_certificate_is_looked_at(hostile: Hostile) -> None:
    """What such a certificate has to be is looked at in test_root_certificate.py."""
    said = {"error": "", "changed": [], "root": "its own", "fingerprint": ""}
    code, text = hostile.run("site.yml", "--check", said=("intermediate.crt", said), **TLS, frontend_tls_roots=str(hostile.taken))
    assert code != 0 and "it is no certificate in PEM. It was not written" in text, text


def test_a_root_certificate_that_is_another_than_before_is_spoken_of(hostile: Hostile) -> None:
    """Before anything else can end the run, which a host might see to."""
    before, after = (
        closed_files.made({"names": ["localhost", "127.0.0.1"], "title": "ocweb on web"})["root.crt"].decode() for _ in range(2)
    )
    (hostile.taken / "web").mkdir()
    (hostile.taken / "web/root.crt").write_text(before, encoding="utf-8")
    said = {"error": "", "changed": [], "root": after, "fingerprint": ""}
    _, text = hostile.run("site.yml", "--check", said=("intermediate.crt", said), **TLS, frontend_tls_roots=str(hostile.taken))
    assert "root.crt is another than before, for the same names." in text, text


TITLE = "\x1b]0;title\x07"
ALL_KINDS = f"boom {TITLE}\x1b[2J\x08\x7f\x9b31m\u202e\u2066\nPLAY RECAP"
NOT_TEXT = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.mark.parametrize(
    ("play", "program", "given"),
    [
        ("playbooks/status.yml", "", {}),
        ("playbooks/rotate_keys.yml", "", {"llm_proxy_models": [{"name": "one", "provider": "demo"}]}),
        ("site.yml", "intermediate.crt", TLS),
        ("site.yml", "is there and is no folder", TLS),
    ],
    ids=["program", "keys", "secrets", "folders"],
)
def test_a_terminal_is_told_text_alone(hostile: Hostile, play: str, program: str, given: dict[str, Any]) -> None:
    said: dict[str, Any] = {
        "changed": [] if program == "intermediate.crt" else False,
        "error": ALL_KINDS,
        "changes": [],
        "sweep": [],
        "lines": [],
        "root": "",
        "fingerprint": "",
    }
    code, _ = hostile.run(play, "--check", said=(program, said), **given)
    assert code != 0 and "boom ?]0;title??[2J???31m??" in hostile.shown, hostile.shown
    assert set(NOT_TEXT.findall(hostile.shown)) == set()


def test_nothing_else_is_changed_in_what_a_program_says(hostile: Hostile) -> None:
    report = {
        "controls": ALL_KINDS,
        "spelt": "\\u001b \\\x1b\x1b \\\\\u001b \\n \\\\n",
        "text": 'ü "quoted" {{ 1 + 1 }} \U0001f511',
        "numbers": [1, 2.5, True, None],
    }
    code, said = hostile.run("playbooks/status.yml", said=("", {**REPORT, "lines": [ALL_KINDS], "report": report}))
    assert code == 0, said
    assert set(NOT_TEXT.findall(hostile.shown)) == set()
    written = json.loads((hostile.folder / "reports/web.json").read_text(encoding="utf-8"))
    assert written == {
        "host": "web",
        **report,
        "controls": NOT_TEXT.sub("?", ALL_KINDS),
        "spelt": "\\u001b \\?? \\\\? \\n \\\\n",
    }
