"""The examples in the documents: README.md, and docs/."""

import os
import re
import shlex
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]


def blocks(language: str) -> list[tuple[str, str]]:
    """Return the fenced blocks in a language, each with the name of its document and its number there."""
    found = []
    for document in DOCUMENTS:
        matches = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", document.read_text(encoding="utf-8"), re.M | re.S)
        found += [
            (f"{document.stem}-{number}", re.sub(rf"^{indent}", "", text, flags=re.M)) for number, (indent, text) in enumerate(matches)
        ]
    return found


def commands(*documents: str) -> list[str]:
    """Return the command lines of some documents, in their order, each once."""
    lines = [line for name, text in blocks("sh") if name.rpartition("-")[0] in documents for line in text.splitlines()]
    return list(dict.fromkeys(re.sub(r"\s+# .*", "", line) for line in lines))


def spans() -> list[tuple[str, str]]:
    """Return what stands in backticks outside of the fenced blocks, each with the name of its document."""
    found = []
    for document in DOCUMENTS:
        text = re.sub(r"^( *)```.*?^ *```$", "", document.read_text(encoding="utf-8"), flags=re.M | re.S)
        found += [(document.stem, span) for span in re.findall(r"`([^`]+)`", text)]
    return list(dict.fromkeys(found))


def span(document: str, start: str) -> str:
    """Return the one span of a document that begins so."""
    [found] = [text for name, text in spans() if name == document and text.startswith(start)]
    return found


def options(playbook: str, variable: str) -> list[str]:
    """Return what stands behind a playbook in the one command of docs/keys.md that names a variable."""
    [line] = [line for line in commands("keys") if f" playbooks/{playbook}.yml " in line and f" {variable}=" in line]
    return shlex.split(line.partition(".yml ")[2])


def made(*words: str) -> list[str]:
    """Return the words of the last command that `make` would run."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "MFLAGS"}
    done = subprocess.run(["make", "--dry-run", *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return shlex.split(done.stdout.splitlines()[-1])


# The pages whose commands molecule/lifecycle/tests/test_documents.py runs as they are written down.
LIVED = ("README", "first-server", "server", "models", "upgrade", "backup", "troubleshooting", "verify", "security", "edge", "removal")
# How those begin that no page's test runs, and where the same is done, if by other means: a file, and words in it.
ELSEWHERE = {
    "make test": (".ci/run", "make test"),
    # Keys are asked for by a program that wants a terminal.
    "make keys": ("tests/unit/docs/test_keys_document.py", "make keys"),
    "cp -r ": ("molecule/lifecycle/tests/test_documents.py", 'startswith("cp -r ")'),
    "cp -i ": ("tests/unit/docs/test_keys_document.py", '"cp -i "'),
    "ssh ": ("molecule/remote/tests/test_first_server.py", 'commands("first-server")'),
    "make deploy INVENTORY=inventories/mine ARGS=--become": (
        "molecule/remote/inventory/group_vars/servers/bed.yml",
        "ansible_become: true",
    ),
    "ansible-playbook -i your-inventory ": ("tests/unit/collection/test_artifact.py", 'play(environment, tmp_path, "ocweb.stack.verify"'),
    "make restore INVENTORY=inventories/mine ARGS='--ask-vault-pass --limit=": ("molecule/remote/verify.yml", "stack_restore_upload"),
    # What make hands to Ansible is seen in test_make.py.
    "make remove ARGS=--extra-vars=stack_remove=ocweb": ("molecule/lifecycle/tests/test_removal.py", '{"stack_remove": "ocweb"}'),
    "make dev ": ("tests/unit/collection/test_make.py", '"dev"'),
    "sudo docker login ": ("molecule/offline/tests/test_walls.py", "docker login"),
    "make bundle ": ("tests/bundle", "playbooks/bundle.yml"),
    "sha256sum ": ("tests/unit/stack/test_bundle.py", '"sha256sum"'),
    "tar ": ("tests/bundle", "tar -xf"),
    "cd ocweb-": ("molecule/offline/deploy", "bundle/ocweb-"),
    "make deploy INVENTORY=inventories/mine": ("molecule/offline/deploy", "make deploy INVENTORY="),
    # A source that is there in another way.
    "git clone ": ("molecule/dev/tests/test_development.py", "tests/development/source"),
    "docker compose exec frontend bun ": ("molecule/dev/tests/test_development.py", "docker compose exec -T frontend"),
    "printf ": ("tests/attacks/test_development.py", "printf 'user = "),
    "make verify ARGS=--extra-vars=stack_mode=development": ("molecule/dev/tests/test_development.py", '"stack_verify": True'),
}
