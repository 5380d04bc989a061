"""A revocation reaches every host before any of them is searched: what an agent does to the search of one host holds up no other."""

import os
from pathlib import Path

import plays

HOSTS = ("one", "two", "three")
# Asked for containers, as a search begins by doing, it notes which keys are still in their places.
DOCKER = """#!/bin/sh
case "$1" in ps) ls {folder}/*/llm-proxy/keys/openai >> {folder}/late 2> /dev/null; echo searched >> {folder}/searches ;; esac
"""


def test_keys_are_taken_away_on_all_hosts_before_one_is_searched(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    # Of this machine's own files, none is looked at.
    for name, text in (("docker", DOCKER.format(folder=tmp_path)), ("grep", "#!/bin/sh\nexit 1\n")):
        (tools / name).write_text(text, encoding="utf-8")
        (tools / name).chmod(0o755)
    for name in HOSTS:
        keys = tmp_path / name / "llm-proxy/keys"
        keys.mkdir(parents=True)
        (keys / "openai").write_text(f"sk-{name}-0123456789", encoding="utf-8")
    hosts = {name: {"stack_dir": str(tmp_path / name)} for name in HOSTS}
    words = ("playbooks/revoke_keys.yml", "--forks=1", "--extra-vars=llm_proxy_revoke=openai")
    dry = plays.run(tmp_path, hosts, {}, *words, "--check", path=f"{tools}:{os.environ['PATH']}")
    said = [line for task, _, one in plays.results(dry.stdout) if task.endswith("by their fingerprints") for line in one.get("msg", [])]
    assert ["openai: would be revoked" in line for line in said] == [True] * 3, said
    done = plays.run(tmp_path, hosts, {}, *words, path=f"{tools}:{os.environ['PATH']}")
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "searches").read_text(encoding="utf-8").split() == ["searched"] * len(HOSTS)
    assert (tmp_path / "late").read_text(encoding="utf-8") == ""
    said = [line for task, _, one in plays.results(done.stdout) if task.endswith("by their fingerprints") for line in one.get("msg", [])]
    assert [sum(words in line for line in said) for words in ("openai: revoked", "openai: on record as revoked", "Where the old key")] == [
        3
    ] * 3
    again = plays.run(tmp_path, hosts, {}, *words, path=f"{tools}:{os.environ['PATH']}")
    said = [line for task, _, one in plays.results(again.stdout) if task.endswith("by their fingerprints") for line in one.get("msg", [])]
    assert sorted(said) == ["None of these keys is here."] * 3 + ["There is nothing to look for."] * 3
    assert again.returncode == 0, again.stdout
