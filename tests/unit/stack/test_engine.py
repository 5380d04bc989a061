"""An engine that a deploy installed goes with all that came with it; any other one, and one that somebody else uses, stays."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import engine
import removal
from folder import Refusal, Stack

StubCommand = Callable[..., None]
SIMULATED = """Inst libc6 [2.41-1] (2.41-2 Debian:13 [amd64])
Inst iptables (1.8 Debian:13 [amd64])
Inst docker.io (26.1 Debian:13 [amd64]) []
Conf docker.io (26.1 Debian:13 [amd64])
"""
PACKAGES = """installed\tdocker.io\t\t, iptables (>= 1.4), libc6
installed\tiptables\tfirewall (= 1)\t, libc6
installed\tlibc6\t\t,
config-files\told\t\t, docker.io
"""
# $STRANGE is asked as a script: it may say what else there is.
ENGINE = """case "$*" in
    version*) echo 26.1.5 ;;
    "ps --all --format {{.Names}} --filter"*) echo ocweb-backend-1 ;;
    ps*) echo ocweb-backend-1; [ "$STRANGE" != container ] || echo theirs ;;
    "image ls --format {{.Repository}}:{{.Tag}} {{.ID}}") echo localhost/ocweb/base:1 11; echo "debian:<none> 22"
        [ "$STRANGE" != image ] || echo "alpine:3 33"; [ "$STRANGE" != stack ] || echo localhost/elsewhere/base:1 11 ;;
    "image ls"*localhost/ocweb/*) echo localhost/ocweb/base:1 ;;
    "image inspect"*22) echo '["a"]' ;;
    "image inspect"*33) echo '["c"]' ;;
    "image inspect"*) echo '["a", "b"]' ;;
    "network ls --format {{.Name}}") printf 'bridge\\nhost\\nnone\\n' ;;
    info*Swarm*) [ "$STRANGE" = swarm ] && echo active || echo inactive ;;
    "plugin ls"*) [ "$STRANGE" != plugin ] || echo theirs/driver:1 ;;
    "volume ls --format {{.Name}}") [ "$STRANGE" != volume ] || echo data ;;
esac
echo "docker $@" >>LOG"""


@pytest.fixture
def host(tmp_path: Path, stub_command: StubCommand, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host whose engine and packages are stubs, and whose folders are the test's own; `log` tells what was called."""
    for name, path in (("RECORD", "ocweb/engine.json"), ("LEFT", "etc/key.json")):
        monkeypatch.setattr(engine, name, tmp_path / path)
    monkeypatch.setattr(engine, "DATA", (tmp_path / "data", tmp_path / "none"))
    monkeypatch.setattr(engine, "LEFT_FOLDERS", (tmp_path / "etc",))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setenv("STRANGE", "")
    (tmp_path / "stack").mkdir()
    (tmp_path / "stack/compose.yml").write_text("\nname: ocweb\n", encoding="utf-8")
    (tmp_path / "packages").write_text(PACKAGES, encoding="utf-8")
    stub_command(ENGINE.replace("LOG", str(tmp_path / "log")))
    stub_command("true", "dockerd")
    stub_command(f"cat {tmp_path}/packages", "dpkg-query")
    stub_command("exit 2", "getent")
    for command in ("dpkg", "systemctl", "service"):
        stub_command(f'echo "{command} $@" >>{tmp_path}/log', command)
    stub_command('[ "$STRANGE" != namespace ] || echo k8s.io; echo moby', "ctr")
    return tmp_path


def recorded(host: Path, *files: str) -> None:
    """Write down an engine that is about to come."""
    simulation = ["printf", "%s", SIMULATED]
    assert engine.main({"files": list(files), "simulation": simulation}) == {"error": "", "changed": True}


def no_engine(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no engine's programs, whatever this machine has; the engine itself is looked for beyond PATH too."""
    for command in ("docker", "dockerd", "ctr"):
        (host / "bin" / command).unlink()
    assert shutil.which("docker") is shutil.which("ctr") is None
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)


def question(host: Path, **other: object) -> dict[str, object]:
    given = {"stack_dir": str(host / "stack"), "project": "ocweb", "confirmation": "ocweb", "workspace": False, "check": False}
    return {**given, "engine": True, "bases": [], **other}


def test_what_comes_is_written_down_before_it_comes(host: Path) -> None:
    (host / "there").touch()
    assert engine.main({"files": [str(host / "there"), str(host / "new")], "simulation": []})["changed"]
    (host / "new").touch()
    # The engine came, and what failed after that is run again.
    (host / "data").mkdir()
    (host / "data/image").touch()
    recorded(host, str(host / "new"))
    assert json.loads(engine.RECORD.read_text(encoding="utf-8")) == {
        "files": [str(host / "new")],
        "group": True,
        "packages": ["docker.io", "iptables"],
    }
    assert engine.RECORD.stat().st_mode & 0o777 == 0o644
    assert engine.main({"files": [], "simulation": []}) == {"error": "", "changed": False}


def test_nothing_is_written_down_where_an_engine_was(host: Path) -> None:
    (host / "data").mkdir()
    (host / "data/volumes").mkdir()
    assert engine.main({"files": ["/new"], "simulation": []}) == {"error": "", "changed": False}
    assert not engine.RECORD.exists()


def test_what_cannot_be_installed_is_said(host: Path) -> None:
    answer = engine.main({"files": [], "simulation": ["sh", "-c", "echo E: Unable to locate package docker.io >&2; exit 100"]})
    assert "cannot be installed: E: Unable to locate package docker.io" in answer["error"]


def test_all_that_came_goes(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded(host, str(host / "key"))
    for file in ("key", "data/image", "etc/key.json"):
        (host / file).parent.mkdir(exist_ok=True)
        (host / file).touch()
    dry = removal.answer(question(host, check=True))
    assert {"package docker.io", "package iptables", f"folder {host}/data", f"file {host}/key"} <= set(dry["lines"])
    assert (host / "data/image").exists() and "dpkg" not in (host / "log").read_text(encoding="utf-8")
    assert removal.answer(question(host))["lines"] == dry["lines"]
    assert "dpkg --purge docker.io iptables\n" in (host / "log").read_text(encoding="utf-8")
    assert {path.name for path in host.iterdir()} == {"bin", "log", "packages"}
    # And again: there is nothing left.
    no_engine(host, monkeypatch)
    assert removal.answer(question(host, confirmation=""))["changed"] is False


def test_the_packages_are_asked_for_once_and_before_anything_goes(host: Path, stub_command: StubCommand) -> None:
    recorded(host)
    stub_command(f"mkdir {host}/asked || exit 1; cat {host}/packages", "dpkg-query")
    assert {"package docker.io", "package iptables"} <= set(removal.answer(question(host))["lines"])
    assert "dpkg --purge docker.io iptables\n" in (host / "log").read_text(encoding="utf-8")


def test_the_packages_that_others_need_stay(host: Path) -> None:
    recorded(host)
    with (host / "packages").open("a", encoding="utf-8") as file:
        file.write("installed\tufw\t\t, nothing | firewall\n")
    assert "(package iptables stays: ufw needs it)" in removal.answer(question(host))["lines"]
    assert "dpkg --purge docker.io\n" in (host / "log").read_text(encoding="utf-8")


def test_what_something_else_is_there_for_as_well_goes(host: Path) -> None:
    recorded(host)
    with (host / "packages").open("a", encoding="utf-8") as file:
        file.write("installed\tufw\t\t, libc6 | iptables\n")
    assert "package iptables" in removal.answer(question(host, check=True))["lines"]


@pytest.mark.parametrize(
    ("strange", "words"),
    [
        ("container", "container theirs"),
        ("volume", "volume data"),
        ("image", r"image alpine:3 \(33\)"),
        ("stack", r"image localhost/elsewhere/base:1 \(11\)"),
        ("swarm", r"a swarm \(active\)"),
        ("plugin", "plugin theirs/driver:1"),
        ("namespace", "containerd's namespace k8s.io"),
        ("package", r"package kit \(needs docker.io\)"),
    ],
)
def test_one_that_somebody_else_uses_stays_and_all_of_the_stack(
    host: Path, monkeypatch: pytest.MonkeyPatch, strange: str, words: str
) -> None:
    recorded(host)
    monkeypatch.setenv("STRANGE", strange)
    if strange == "package":
        with (host / "packages").open("a", encoding="utf-8") as file:
            file.write("installed\tkit\t\tdocker.io, libc6\n")
    for check in (True, False):
        with pytest.raises(Refusal, match=f"stack_remove_engine: something else uses the engine: {words}"):
            removal.answer(question(host, check=check))
    log = (host / "log").read_text(encoding="utf-8")
    assert (host / "stack/compose.yml").exists() and " rm " not in log and "dpkg" not in log


@pytest.mark.parametrize("case", ["no record", "another engine", "no root", "stopped"])
def test_one_that_is_not_ours_or_cannot_be_asked_stays(
    host: Path, stub_command: StubCommand, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    if case != "no record":
        recorded(host)
    if case == "another engine":
        (host / "packages").write_text("installed\tdocker-ce\t\t,\n", encoding="utf-8")
    if case == "no root":
        # Of a stack of one's own, without root.
        if os.getuid() == 0:
            os.chown(host / "stack/compose.yml", 1000, 1000)
        monkeypatch.setattr("os.geteuid", lambda: os.getuid() or 1000)
    if case == "stopped":
        stub_command("exit 1")
    words = {"no root": "by root alone", "stopped": "does not answer"}.get(case, "not installed by this collection")
    with pytest.raises(Refusal, match=f"^stack_remove_engine: .*{words}"):
        removal.answer(question(host))
    assert (host / "stack/compose.yml").exists()


@pytest.mark.parametrize("command", ["ctr", "dpkg-query"])
def test_what_does_not_say_who_else_is_there_keeps_it_all(host: Path, stub_command: StubCommand, command: str) -> None:
    recorded(host)
    stub_command("echo it is busy >&2; exit 1", command)
    with pytest.raises(Refusal, match=f"`{command}.*it is busy. Nothing was removed"):
        removal.answer(question(host))
    assert (host / "stack/compose.yml").exists()


def test_a_removal_that_was_killed_after_the_packages_went_can_be_run_again(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded(host)
    (host / "data").mkdir()
    (host / "data/image").touch()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(engine, "empty", killed)
        engine.remove(engine.to_remove(Stack(str(host / "stack"), "ocweb"), removal.found(Stack(str(host / "stack"), "ocweb")), []))
    no_engine(host, monkeypatch)
    (host / "packages").write_text("", encoding="utf-8")
    assert removal.answer(question(host))["changed"]
    assert not (host / "data").exists() and not engine.RECORD.exists()


def test_what_an_engine_left_that_is_gone_stays(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is left to say whose it is."""
    recorded(host)
    (host / "data").mkdir()
    (host / "data/image").touch()
    no_engine(host, monkeypatch)
    with pytest.raises(Refusal, match="the engine is gone, and who else used it cannot be seen"):
        removal.answer(question(host))
    assert (host / "data/image").exists()


def test_packages_that_do_not_go_keep_the_record(host: Path, stub_command: StubCommand) -> None:
    recorded(host)
    stub_command("echo dpkg was locked >&2; exit 2", "dpkg")
    with pytest.raises(Refusal, match="could not be removed, run again: dpkg was locked"):
        removal.answer(question(host))
    assert engine.RECORD.exists()
