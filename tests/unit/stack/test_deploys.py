"""What is kept of a deploy is what comes back, to the byte, and nothing else is touched."""

import errno
import json
import os
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any

import pytest

import deploys
from folder import Refusal, Stack

StubCommand = Callable[..., None]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A stack's folder with a configuration, a key and a secret."""
    for name, text in {
        "compose.yml": "\nname: ocweb\n",
        "gateway/config/Caddyfile": "one",
        "egress/config/deep/squid.conf": "one",
        "llm-proxy/keys/openai": "sk-secret",
        "backend/secrets/password": "secret",
        "backend/home/config/mine": "mine",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "backend/home/config").rename(tmp_path / "backend/home/.config")
    (tmp_path / "gateway/config/link").symlink_to("/etc/passwd")
    return tmp_path


def test_a_deploy_is_its_description_and_what_is_mounted_from_config_folders(root: Path) -> None:
    (root / "deployed/config").mkdir(parents=True)
    (root / "deployed/config/of-a-record").touch()
    assert set(deploys.configuration(root)) == {"compose.yml", "gateway/config/Caddyfile", "egress/config/deep/squid.conf"}


def test_putting_one_back_changes_what_differs_and_keeps_the_rest_in_its_place(root: Path) -> None:
    kept = deploys.configuration(root)
    same = (root / "egress/config/deep/squid.conf").stat().st_ino
    (root / "gateway/config/Caddyfile").write_text("two", encoding="utf-8")
    (root / "gateway/config/new").touch()
    os.chmod(root / "compose.yml", 0o600)
    assert deploys.put(kept, root) == ["compose.yml", "gateway/config/Caddyfile", "gateway/config/new"]
    assert deploys.configuration(root) == kept
    assert (root / "egress/config/deep/squid.conf").stat().st_ino == same
    assert (root / "llm-proxy/keys/openai").read_text(encoding="utf-8") == "sk-secret"


def test_one_that_cannot_be_kept_leaves_nothing_in_the_way(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fchmod", full)
    before = deploys.configuration(root)
    with pytest.raises(OSError, match="No space left"):
        deploys.Deploys(Stack(str(root), "ocweb")).keep()
    assert not (root / ".deployed.new").exists()
    with pytest.raises(OSError, match="No space left"):
        deploys.put({**before, "compose.yml": (b"another", 0o644)}, root)
    assert deploys.configuration(root) == before
    assert list(root.glob(".*")) == []


@pytest.fixture
def record(root: Path) -> Callable[[str, str], None]:
    """Keeps what is described as a deploy, under a name and with a time."""

    def keep(name: str, at: str) -> None:
        (root / name).mkdir()
        deploys.put(deploys.configuration(root), root / name)
        (root / name / "deploy.json").write_text(
            json.dumps({"at": at, "images": {"backend": "localhost/ocweb/backend:1"}}), encoding="utf-8"
        )

    return keep


def test_a_rollback_goes_to_the_last_good_deploy_where_another_is_described(root: Path, record: Callable[[str, str], None]) -> None:
    record("deployed", "today")
    kept = deploys.Deploys(Stack(str(root), "ocweb"))
    assert kept.target() == root / "previous"
    (root / "gateway/config/Caddyfile").write_text("of a run that was killed", encoding="utf-8")
    assert kept.target() == root / "deployed"


def test_the_keys_weights_are_no_part_of_a_deploy(root: Path, record: Callable[[str, str], None]) -> None:
    """Nor of one that has kept them: a rotation changes them, and a spare key that came since is not to become one like the others."""
    weights, old = root / "llm-proxy/config/keys.json", '{"openai": 3}'
    weights.parent.mkdir()
    record("deployed", "today")
    (root / "deployed/llm-proxy/config").mkdir(parents=True)
    for path in (weights, root / "deployed/llm-proxy/config/keys.json"):
        path.write_text(old, encoding="utf-8")
    kept = deploys.Deploys(Stack(str(root), "ocweb"))
    assert kept.target() == root / "previous"
    weights.write_text('{"openai": 3, "openai.spare": 0}', encoding="utf-8")
    assert kept.target() == root / "previous"
    assert not kept.keep()
    assert deploys.put(deploys.configuration(root / "deployed"), root) == []
    assert json.loads(weights.read_text(encoding="utf-8")) == {"openai": 3, "openai.spare": 0}


@pytest.mark.parametrize("moved", [0, 1, 2, 3])
def test_an_exchange_that_was_killed_is_ended_by_the_next_program(root: Path, record: Callable[[str, str], None], moved: int) -> None:
    record("deployed", "newer")
    record("previous", "older")
    steps = [("deployed", ".swap"), ("previous", "deployed"), (".swap", "previous")]
    for start, end in steps[:moved]:
        (root / start).rename(root / end)
    deploys.Deploys(Stack(str(root), "ocweb")).exchange()
    kept = [json.loads((root / name / "deploy.json").read_text(encoding="utf-8"))["at"] for name in ("deployed", "previous")]
    assert kept == (["older", "newer"] if moved else ["newer", "older"])
    assert not (root / ".swap").exists()


def test_a_rollback_to_a_time_without_a_login_says_so(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    target = tmp_path_factory.mktemp("target")
    record = {"at": "then", "images": {}}
    words = "The page has no login then"
    kept = deploys.Deploys(Stack(str(root), "ocweb"))
    assert not [line for line in kept.plan(target, record) if words in line]
    (root / "gateway/config/Caddyfile").write_text("@login path /-/login /-/logout", encoding="utf-8")
    assert [line for line in kept.plan(target, record) if words in line]
    (target / "gateway/config").mkdir(parents=True)
    (target / "gateway/config/Caddyfile").write_text("@login path /-/login /-/logout", encoding="utf-8")
    assert not [line for line in kept.plan(target, record) if words in line]


def test_a_rollback_without_its_images_is_refused(root: Path, record: Callable[[str, str], None], stub_command: StubCommand) -> None:
    stub_command('case "$*" in version*) echo 26.1.5 ;; *) exit 1 ;; esac')
    record("deployed", "today")
    record("previous", "yesterday")
    with pytest.raises(Refusal, match=r"The deploy of yesterday cannot come back: its images are gone \(localhost/ocweb/backend:1\)"):
        deploys.answer({"do": "roll_back", "stack_dir": str(root), "project": "ocweb"})


@pytest.mark.parametrize(
    ("project", "engine", "words"),
    [
        ("other", "echo 26.1.5", "is not of the project other"),
        ("ocweb", "echo no socket >&2; exit 1", "The engine does not answer: no socket"),
    ],
)
def test_a_stack_that_cannot_be_worked_on_is_refused(root: Path, stub_command: StubCommand, project: str, engine: str, words: str) -> None:
    stub_command(engine)
    with pytest.raises(Refusal, match=words):
        deploys.answer({"do": "roll_back", "stack_dir": str(root), "project": project})


class Home:
    """The agent's home: what `Sessions` is asked is answered from here, and kept in `asked`."""

    def __init__(self) -> None:
        self.format_now: list[str] | None = []
        self.size = b"1"
        self.asked: list[tuple[str, ...]] = []
        self.broken = ""

    def format(self) -> list[str]:
        if self.format_now is None:
            raise RuntimeError("database is locked")
        return self.format_now

    def ask(self, *words: str, stdin: object = None, stdout: IO[bytes] | None = None) -> bytes:
        self.asked.append(words)
        if words[0] == self.broken:
            raise RuntimeError("database is locked")
        if words[0] == "copy" and stdout:
            stdout.write(b"copied")
        return {"put": b"20261128T000000Z\n", "size": self.size}.get(words[0], b"")


class Engine(Stack):
    """An engine that has all images, and on which services are as unwell as `unwell` says, one start after the other."""

    unwell: list[str]
    waited: list[int]
    stopped = 0
    without = ""

    def missing(self, images: Iterable[str]) -> list[str]:
        return []

    def model(self, file: Path | None = None) -> dict[str, Any]:
        return {"services": {"llm-proxy": {"image": "localhost/ocweb/llm-proxy:1"}}}

    def compose(self, *arguments: str, file: Path | None = None, timeout: float | None = 60) -> subprocess.CompletedProcess[str]:
        self.stopped += arguments[0] == "stop"
        return subprocess.CompletedProcess(arguments, 0, "", "")

    def up(self, seconds: int, recreate: bool = False, hurry: bool = True, without: str = "") -> str:
        self.waited.append(seconds)
        self.without = without
        return self.unwell.pop(0)


Kept = tuple[deploys.Deploys, Home, Engine]


@pytest.fixture
def kept(root: Path, monkeypatch: pytest.MonkeyPatch) -> Kept:
    """Two deploys that are kept, of formats 1 and 1, and the database from before the last one."""
    home, engine = Home(), Engine(str(root), "ocweb")
    engine.unwell, engine.waited = [], []
    monkeypatch.setattr(deploys.Deploys, "sessions", lambda *_: home)
    for name, text in (("previous", "one"), ("deployed", "two")):
        (root / "gateway/config/Caddyfile").write_text(text, encoding="utf-8")
        (root / name).mkdir()
        deploys.put(deploys.configuration(root), root / name)
        images = {"llm-proxy": "localhost/ocweb/llm-proxy:1"}
        (root / name / "deploy.json").write_text(json.dumps({"at": name, "images": images, "format": ["1"]}), encoding="utf-8")
    (root / "previous/opencode.db").write_bytes(b"from before")
    return deploys.Deploys(engine), home, engine


def test_a_copy_from_before_an_upgrade_is_not_replaced_by_what_a_killed_one_left(kept: Kept, root: Path) -> None:
    record, home, _ = kept
    home.format_now = ["1"]
    assert record.before()
    assert (root / "deployed/opencode.db").read_bytes() == b"copied"
    (root / "deployed/opencode.db").write_bytes(b"in the format of before")
    home.format_now = ["1", "2"]
    assert not record.before()
    assert (root / "deployed/opencode.db").read_bytes() == b"in the format of before"
    # An upgrade that failed and came back has left a copy that is no longer of use.
    home.format_now = ["1"]
    assert record.before()
    assert (root / "deployed/opencode.db").read_bytes() == b"copied"


def test_sessions_that_cannot_be_copied_keep_what_changes_them_from_starting(kept: Kept) -> None:
    record, home, _ = kept
    home.format_now = None
    with pytest.raises(Refusal, match=r"cannot be copied before: database is locked\. Where they are damaged, restore a backup"):
        record.before()
    home.format_now, home.broken = ["1"], "copy"
    with pytest.raises(Refusal, match="cannot be copied before: database is locked"):
        record.before()
    home.broken, home.size = "", b"9" * 30
    with pytest.raises(Refusal, match="has no room for a copy of the sessions"):
        record.before()


def test_a_deploy_whose_sessions_cannot_be_read_is_kept_with_the_format_that_was_known(kept: Kept, root: Path) -> None:
    record, home, _ = kept
    home.format_now = None
    (root / "gateway/config/Caddyfile").write_text("three", encoding="utf-8")
    assert record.keep()
    assert json.loads((root / "deployed/deploy.json").read_text(encoding="utf-8"))["format"] == ["1"]


@pytest.mark.parametrize(
    ("found", "put_back", "copy_stays"),
    [(["1"], False, False), (["1", "2"], True, False), (None, True, False)],
    ids=["the same format", "a newer format", "one that cannot be read"],
)
def test_a_deploy_comes_back_with_the_sessions_that_it_can_read(
    kept: Kept, root: Path, found: list[str] | None, put_back: bool, copy_stays: bool
) -> None:
    record, home, engine = kept
    (root / "deployed/opencode.db").write_bytes(b"from before")
    (root / "gateway/config/Caddyfile").write_text("three", encoding="utf-8")
    home.format_now, engine.unwell = found, [""]
    said = record.come_back(1, recreate=False)
    assert said.startswith("The deploy of deployed is back and healthy.")
    assert ("opencode.db.20261128T000000Z" in said) == put_back
    assert home.asked == ([("put",)] if put_back else [])
    assert (root / "deployed/opencode.db").exists() == copy_stays
    assert (root / "gateway/config/Caddyfile").read_text(encoding="utf-8") == "two"


@pytest.mark.parametrize("others", ["", "frontend"])
def test_sessions_that_cannot_be_put_back_are_kept_and_the_other_services_are_those_of_the_deploy(
    kept: Kept, root: Path, others: str
) -> None:
    record, home, engine = kept
    (root / "deployed/opencode.db").write_bytes(b"from before")
    (root / "gateway/config/Caddyfile").write_text("three", encoding="utf-8")
    home.format_now, home.broken, engine.unwell = ["1", "2"], "put", [others]
    said = record.come_back(1, recreate=False)
    stopped = "backend, which is stopped (its sessions cannot be put back: database is locked)"
    assert f"is back, but not healthy either: {stopped}{', frontend' if others else ''}. Why the new one failed" in said
    assert (engine.waited, engine.without) == ([1], "backend")
    assert (root / "deployed/opencode.db").read_bytes() == b"from before"


def test_a_service_that_is_left_out_is_neither_started_nor_waited_for(root: Path, stub_command: StubCommand) -> None:
    described = [
        {
            "Id": service,
            "Name": service,
            "RestartCount": 0,
            "Config": {"Image": "i", "Labels": {"com.docker.compose.service": service}},
            "NetworkSettings": {"Ports": {}},
            "State": {**state, "StartedAt": "", "ExitCode": 0, "OOMKilled": False, "Health": {"Status": "healthy"}},
        }
        for service, state in {"backend": {"Status": "exited"}, "frontend": {"Status": "running"}}.items()
    ]
    stub_command(
        f"""case "$*" in
          *config*) echo '{{"services": {{"backend": {{}}, "frontend": {{}}}}}}' ;;
          ps*) echo backend frontend ;;
          *inspect*) echo '{json.dumps(described)}' ;;
          start*) echo "$*" >>{root}/started ;;
        esac"""
    )
    assert Stack(str(root), "ocweb").up(0, without="backend") == ""
    assert (root / "started").read_text(encoding="utf-8") == "start frontend\n"
    assert Stack(str(root), "ocweb").up(0) == "backend"


def test_a_rollback_to_the_last_good_deploy_starts_what_it_can(kept: Kept, root: Path) -> None:
    record, home, engine = kept
    (root / "deployed/opencode.db").write_bytes(b"from before")
    (root / "gateway/config/Caddyfile").write_text("of a run that was killed", encoding="utf-8")
    home.format_now, home.broken, engine.unwell = ["1", "2"], "put", [""]
    with pytest.raises(Refusal, match=r"did not become healthy within 1 seconds .*: backend, which is stopped"):
        record.roll_back(1, restore_sessions=True, check=False)
    assert (engine.waited, engine.without) == ([1], "backend")


def test_what_it_does_not_know_changes_nothing(kept: Kept, root: Path) -> None:
    record, home, engine = kept
    (root / "deployed").rename(root / ".swap")
    with pytest.raises(KeyError, match="rollback"):
        deploys.carried_out(record, {"do": "rollback"})
    assert (root / ".swap").exists()
    assert (home.asked, engine.waited) == ([], [])


def test_a_copy_goes_once_the_sessions_are_those_of_the_deploy(kept: Kept, root: Path) -> None:
    record, home, _ = kept
    copy = root / "deployed/opencode.db"
    for found, stays in ((["1", "2"], True), (None, True), (["1"], False)):
        copy.write_bytes(b"from before")
        home.format_now = found
        assert not record.keep()
        assert copy.exists() == stays


def test_a_rollback_that_does_not_get_healthy_brings_todays_sessions_back(kept: Kept, root: Path) -> None:
    record, home, engine = kept
    home.format_now, engine.unwell = ["1", "2"], ["backend", ""]
    with pytest.raises(Refusal, match=r"What ran before is back and healthy\."):
        record.roll_back(1, restore_sessions=True, check=False)
    assert home.asked == [("put",), ("take_back", "20261128T000000Z")]
    assert engine.stopped == 2
    # What ran before has its time, however little the other one had.
    assert engine.waited == [1, 180]
    assert (root / "gateway/config/Caddyfile").read_text(encoding="utf-8") == "two"


def test_a_rollback_whose_sessions_cannot_be_put_back_goes_back_without_them(kept: Kept) -> None:
    record, home, engine = kept
    home.format_now, home.broken, engine.unwell = ["1", "2"], "put", [""]
    with pytest.raises(Refusal, match=r"its sessions cannot be put back: database is locked\)\. What ran before is back and healthy"):
        record.roll_back(1, restore_sessions=True, check=False)
    assert home.asked == [("put",)]


def test_one_program_at_a_time_works_on_a_stack(root: Path) -> None:
    stack, other = Stack(str(root), "ocweb"), Stack(str(root), "ocweb")
    with stack.alone(), pytest.raises(Refusal, match="Another deploy, rollback or restore is at work in"), other.alone(seconds=0):
        pass
    with other.alone(seconds=0):
        pass
