"""What the survey says about a host decides what a deploy does there."""

import base64
import json
import os
import pwd
import re
import socket
import threading
from collections.abc import Callable, Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

import rotation
import survey
from folder import Stack

StubCommand = Callable[..., None]


def test_a_running_engine_is_described(stub_command: StubCommand) -> None:
    stub_command("""case "$*" in
        info*) echo "26.1.5+dfsg1 /srv/docker" ;;
        compose*) echo v2.26.1-4 ;;
        buildx*) echo "github.com/docker/buildx 0.13.1+ds1 abc" ;;
        "ps --filter label=com.docker.compose.project=ocweb "*) echo gateway ;;
        "image ls"*) echo localhost/ocweb/base:1; echo localhost/ocweb/backend:2 ;;
        "network ls"*) echo 1 ;;
        "network inspect"*) echo ocweb_llm internal=true ipv6=false ;;
    esac""")
    stub_command("echo docker.io not-installed; echo docker-ce installed; exit 1", "dpkg-query")
    assert survey.engine("ocweb") == {
        "state": "running",
        "package": "docker-ce",
        "version": "26.1.5",
        "root": "/srv/docker",
        "compose": "2.26.1",
        "buildx": "0.13.1",
        "images": ["localhost/ocweb/base:1", "localhost/ocweb/backend:2"],
        "running": ["gateway"],
        "networks": {"ocweb_llm": ["internal=true", "ipv6=false"]},
    }


CONTAINER: dict[str, Any] = {
    "Config": {"Labels": {"com.docker.compose.service": "backend"}},
    "HostConfig": {
        "Memory": 2**30,
        "MemorySwap": 2**30,
        "NanoCpus": 1500000000,
        "PidsLimit": 512,
        "RestartPolicy": {"Name": "unless-stopped"},
    },
    "NetworkSettings": {"Networks": {"ocweb_app": {}}},
}


@pytest.mark.parametrize(
    ("part", "other", "differs"),
    [
        ("HostConfig", {}, False),
        ("HostConfig", {"Memory": 2**31}, True),
        ("HostConfig", {"MemorySwap": 2**31}, True),
        ("HostConfig", {"NanoCpus": 1000000000}, True),
        ("HostConfig", {"NanoCpus": 1499999999}, False),
        ("HostConfig", {"PidsLimit": 513}, True),
        ("HostConfig", {"RestartPolicy": {"Name": "no"}}, True),
        # A kernel that knows no such limits.
        ("HostConfig", {"Memory": 0, "MemorySwap": -1, "PidsLimit": None}, False),
        ("NetworkSettings", {"Networks": {"ocweb_app": {}, "bridge": {}}}, True),
        ("NetworkSettings", {"Networks": {}}, True),
    ],
)
def test_a_container_that_was_changed_by_hand_is_told(
    tmp_path: Path, stub_command: StubCommand, part: str, other: dict[str, Any], differs: bool
) -> None:
    limits = {"mem_limit": str(2**30), "memswap_limit": str(2**30), "cpus": 1.5, "pids_limit": 512, "restart": "unless-stopped"}
    model = {"services": {"backend": {**limits, "networks": {"app": None}}}, "networks": {"app": {"name": "ocweb_app"}}}
    container = {**CONTAINER, part: {**CONTAINER[part], **other} if part == "HostConfig" else other}
    stub_command(f"""case "$*" in
        compose*) echo '{json.dumps(model)}' ;;
        ps*) echo 1 ;;
        "container inspect 1") echo '{json.dumps([container])}' ;;
    esac""")
    assert survey.by_hand("ocweb", str(tmp_path / "compose.yml")) == []
    (tmp_path / "compose.yml").touch()
    assert survey.by_hand("ocweb", str(tmp_path / "compose.yml")) == (["backend"] if differs else [])


def test_an_engine_that_the_user_may_not_use_is_denied(stub_command: StubCommand) -> None:
    stub_command('echo "permission denied while trying to connect to the Docker daemon socket" >&2; exit 1')
    assert survey.engine("ocweb")["state"] == "denied"


def test_an_engine_that_does_not_run_is_stopped(stub_command: StubCommand, tmp_path: Path) -> None:
    stub_command('echo "Cannot connect to the Docker daemon" >&2; exit 1')
    daemon = tmp_path / "bin/dockerd"
    daemon.touch(mode=0o755)
    assert survey.engine("ocweb")["state"] == "stopped"


def test_no_engine_is_absent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert survey.engine("ocweb")["state"] == "absent"


@pytest.mark.parametrize(("text", "number"), [("v2.26.1-4", "2.26.1"), ("github.com/docker/buildx 0.13.1+ds1", "0.13.1"), ("none", "")])
def test_a_version_is_its_first_dotted_number(text: str, number: str) -> None:
    assert survey.number(text) == number


def test_a_free_port_has_no_listener() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert survey.obstacle("127.0.0.1", port, "ocweb") == ""


def test_who_listens_on_a_port_is_named(stub_command: StubCommand, taken_port: int) -> None:
    stub_command("")
    assert f"(process {os.getpid()})" in survey.obstacle("127.0.0.1", taken_port, "ocweb")


def test_a_container_that_listens_is_named(stub_command: StubCommand, taken_port: int) -> None:
    stub_command("echo wiki-web-1 wiki")
    assert survey.obstacle("127.0.0.1", taken_port, "ocweb") == "is used by the container wiki-web-1"


def test_our_own_gateway_does_not_count_as_a_listener(stub_command: StubCommand, taken_port: int) -> None:
    stub_command("echo ocweb-gateway-1 ocweb")
    assert survey.obstacle("127.0.0.1", taken_port, "ocweb") == ""


def test_an_address_that_the_host_has_not_is_named() -> None:
    assert survey.obstacle("203.0.113.1", 3000, "ocweb") == "cannot be listened on (Cannot assign requested address)"


def test_a_workspace_is_its_real_path_and_its_owners(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    found = survey.workspace(str(tmp_path / "link"), "/nowhere", "auto")
    assert (found["kind"], found["path"], found["uid"], found["auto"]) == ("folder", str(tmp_path), os.getuid(), False)


def test_a_workspace_may_be_missing_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert survey.workspace(str(tmp_path / "file"), "/nowhere", "auto")["kind"] == "file"
    assert survey.workspace("auto", str(tmp_path), "auto")["kind"] == "missing"
    assert survey.workspace("auto", str(tmp_path), "auto")["path"] == str(tmp_path / "workspace")


def test_a_missing_workspace_is_described_as_it_will_be_once_made(tmp_path: Path) -> None:
    account = pwd.getpwnam("nobody")
    planned = survey.workspace("auto", str(tmp_path), str(account.pw_uid))
    made = tmp_path / "workspace"
    made.mkdir()
    if os.geteuid() == 0:
        os.chown(made, planned["uid"], planned["gid"])
        found = survey.workspace("auto", str(tmp_path), "auto")
        assert {**found, "kind": "missing"} == planned
    assert planned["home"] == account.pw_dir


def test_a_path_that_was_named_stays_and_an_automatic_one_has_to_exist(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    assert survey.existing(missing, "", "x") == {"path": missing, "exists": False, "strays": False}
    assert survey.existing("auto", "", "x") == {"path": "", "exists": False, "strays": False}
    assert survey.existing("auto", str(tmp_path), "missing") == {"path": "", "exists": False, "strays": False}
    (tmp_path / "there").touch()
    assert survey.existing("auto", str(tmp_path), "there") == {"path": str(tmp_path / "there"), "exists": True, "strays": False}


def test_a_link_is_followed_and_one_out_of_the_home_is_told(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (home / "workspace").symlink_to(tmp_path / "elsewhere")
    assert survey.existing("auto", str(home), "workspace") == {"path": str(tmp_path / "elsewhere"), "exists": True, "strays": True}
    named = str(home / "workspace")
    assert survey.existing(named, str(home), "x") == {"path": str(tmp_path / "elsewhere"), "exists": True, "strays": False}
    assert survey.workspace("auto", str(home), "auto")["strays"] is True
    assert survey.workspace(named, str(home), "auto")["strays"] is False


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("/", "the whole host"),
        ("/etc", "is of the system's /etc"),
        ("/etc/ssl", "is of the system's /etc"),
        ("/var", "the system's /var/lib"),
        ("/run", "is of the system's /run"),
        ("/no/such/folder", ""),
        ("", ""),
    ],
)
def test_a_mount_of_the_system_is_told(path: str, what: str) -> None:
    assert what in survey.exposure(path)
    assert bool(what) == bool(survey.exposure(path))


def test_a_mount_of_a_home_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    account = pwd.struct_passwd(("dev", "x", 1000, 1000, "", str(tmp_path / "homes/dev"), "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwall", lambda: [account])
    (tmp_path / "homes/dev/work").mkdir(parents=True)
    assert survey.exposure(str(tmp_path / "homes")) == "holds the home of dev, with all that is in it"
    assert survey.exposure(str(tmp_path / "homes/dev")) != ""
    assert survey.exposure(str(tmp_path / "homes/dev/work")) == ""


@pytest.mark.parametrize(("uid", "is_a_person"), [(0, True), (33, False), (1000, True), (1700001, True), (65534, False)])
def test_whose_home_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uid: int, is_a_person: bool) -> None:
    account = pwd.struct_passwd(("someone", "x", uid, uid, "", str(tmp_path), "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwall", lambda: [account])
    assert bool(survey.exposure(str(tmp_path))) is is_a_person


@pytest.mark.parametrize(("bound", "what"), [("/", "the whole host"), ("home", "the home of dev")])
def test_a_bind_mount_of_what_may_not_be_mounted_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, what: str) -> None:
    home = str(tmp_path / "home")
    account = pwd.struct_passwd(("dev", "x", 1000, 1000, "", home, "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwall", lambda: [account])
    (tmp_path / "elsewhere").mkdir()
    assert survey.exposure(str(tmp_path / "elsewhere")) == ""
    monkeypatch.setattr(os.path, "samefile", lambda _, other: other == (bound if bound == "/" else str(tmp_path / "elsewhere")))
    assert what in survey.exposure(str(tmp_path / "elsewhere"))


def test_a_mount_above_an_engines_socket_is_told(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(str(tmp_path / "below/docker.sock"))
        assert survey.exposure(str(tmp_path)) == f"holds {tmp_path}/below/docker.sock, and with it the engine"
        assert survey.exposure(str(tmp_path / "below/docker.sock")) != ""
    (tmp_path / "other").mkdir()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "other/editor.sock"))
        assert survey.exposure(str(tmp_path / "other")) == ""


def test_the_hosts_own_addresses_are_told_but_for_those_that_are_refused_anyway() -> None:
    every = survey.addresses([])
    assert "127.0.0.1" in every
    assert survey.addresses(["0.0.0.0/0"]) == []
    assert set(every) - set(survey.addresses(["127.0.0.0/8"])) == {one for one in every if one.startswith("127.")}


def test_names_of_private_addresses_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"lan.example": "10.1.2.3", "cgnat.example": "100.64.0.1", "loopback.example": "127.0.0.1", "public.example": "8.8.8.8"}

    def resolve(host: str, *_: object, **__: object) -> list[object]:
        if host not in known:
            raise socket.gaierror("unknown")
        return [(0, 0, 0, "", (known[host], 0))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert survey.private([*known, "unknown.example"]) == ["cgnat.example", "lan.example", "loopback.example"]


def test_the_services_folders_are_described_as_the_roles_describe_theirs(tmp_path: Path) -> None:
    secrets = tmp_path / "llm-proxy/secrets"
    secrets.mkdir(parents=True)
    secrets.chmod(0o750)
    secrets.parent.chmod(0o700)
    (tmp_path / "compose.yml").touch()
    (tmp_path / "llm-proxy/a-file").touch()
    (secrets / "too-deep").mkdir()
    mine = {"owner": os.geteuid(), "group": os.getegid()}
    assert survey.paths(str(tmp_path)) == [
        {"path": str(secrets.parent), "mode": "0700", **mine},
        {"path": str(secrets), "mode": "0750", **mine},
    ]


def test_what_is_written_is_told_as_sha256sum_would_where_its_mode_is_right(tmp_path: Path) -> None:
    for name in ("compose.yml", "gateway/config/Caddyfile", "gateway/config/exposed", "gateway/secrets/users.json"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name, encoding="utf-8")
        path.chmod(0o644)
    (tmp_path / "gateway/config/exposed").chmod(0o666)
    (tmp_path / "gateway/config/link").symlink_to("Caddyfile")
    names = ("compose.yml", "gateway/config/Caddyfile")
    assert survey.written(str(tmp_path)) == [f"{sha256(name.encode()).hexdigest()} {tmp_path / name}" for name in names]


def test_keys_that_were_revoked_are_known_by_their_fingerprints(tmp_path: Path) -> None:
    records = tmp_path / "keys.json"
    assert survey.revoked_keys(str(records)) == {}
    records.write_text("{", encoding="utf-8")
    assert survey.revoked_keys(str(records)) == {}
    records.write_text('{"revoked": {"0123456789ab": {"at": "then", "by": "me"}}}', encoding="utf-8")
    assert survey.revoked_keys(str(records)) == {"0123456789ab": {"at": "then", "by": "me"}}


def test_keys_whose_revocation_has_not_ended_are_known_too(tmp_path: Path) -> None:
    for name in ("revoked.0123456789ab.openai", "revoked.c0ffee012345.house.main"):
        (tmp_path / name).touch()
    records = tmp_path / "keys.json"
    found = survey.revoked_keys(str(records))
    assert sorted(found) == ["0123456789ab", "c0ffee012345"]
    assert found["c0ffee012345"]["at"].startswith("20") and found["c0ffee012345"]["by"] == "a run that had not ended"
    records.write_text('{"revoked": {"0123456789ab": {"at": "then", "by": "me"}}}', encoding="utf-8")
    assert survey.revoked_keys(str(records)) == {**found, "0123456789ab": {"at": "then", "by": "me"}}


@pytest.mark.parametrize(
    ("path", "overlaps"),
    [
        ("", False),
        ("/home/dev/work", False),
        ("/home/developer", False),
        ("/home/dev", True),
        ("/", True),
        ("/home/dev/stack/backend", True),
    ],
)
def test_what_lies_in_the_stacks_folder_or_around_it_is_told(path: str, overlaps: bool) -> None:
    assert survey.overlap(path, "/home/dev/stack") is overlaps


@pytest.mark.parametrize("path", ["{}", "{}/not/yet/there", "relative", ""])
def test_free_space_is_that_of_the_nearest_folder_there_is(tmp_path: Path, path: str) -> None:
    assert survey.free(path.format(tmp_path)) > 0


V1_WITHOUT_MEMORY = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t3\t1\t1\nmemory\t0\t1\t0\npids\t5\t1\t1\n"


@pytest.mark.parametrize(
    ("files", "lacks"),
    [
        ({"proc/self/status": "Seccomp:\t0\n", "sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory pids\n"}, []),
        (
            {
                "proc/self/status": "Seccomp:\t0\n",
                "proc/cgroups": V1_WITHOUT_MEMORY,
            },
            ["the memory control group"],
        ),
        ({"proc/self/status": "Name:\tx\n", "sys/fs/cgroup/cgroup.controllers": "cpu pids"}, ["the memory control group", "seccomp"]),
        ({}, ["the cpu control group", "the memory control group", "the pids control group", "seccomp"]),
    ],
)
def test_what_the_kernel_lacks_is_told(tmp_path: Path, files: dict[str, str], lacks: list[str]) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert survey.kernel_lacks(str(tmp_path)) == lacks


@pytest.mark.parametrize(
    ("machine", "flags", "name"),
    [
        ("x86_64", "fpu avx2 bmi", "x86_64"),
        ("x86_64", "fpu avx", "x86_64-baseline"),
        ("aarch64", "fp asimd", "aarch64"),
    ],
)
def test_a_processor_is_named_as_the_packages_for_it_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: str, flags: str, name: str
) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(f"flags\t\t: {flags}\n", encoding="ascii")
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "host", "6", "1", machine)))
    assert survey.architecture(str(tmp_path)) == name


def test_a_machine_is_told_from_its_clone_and_from_its_containers(tmp_path: Path) -> None:
    assert survey.machine(str(tmp_path)) == ""
    (tmp_path / "etc").mkdir()
    (tmp_path / "proc/sys/kernel/random").mkdir(parents=True)
    seen = set()
    for machine, boot in (("one", "1"), ("one", "2"), ("two", "1")):
        (tmp_path / "etc/machine-id").write_text(f"{machine}\n", encoding="ascii")
        (tmp_path / "proc/sys/kernel/random/boot_id").write_text(f"{boot}\n", encoding="ascii")
        seen.add(survey.machine(str(tmp_path)))
    assert len(seen) == 3
    (tmp_path / "etc/machine-id").write_text("", encoding="ascii")
    assert survey.machine(str(tmp_path)) == ""


def test_what_is_not_of_a_stack_is_told_where_none_is(tmp_path: Path) -> None:
    assert survey.foreign(str(tmp_path / "none"), "ocweb") == []
    for name in ("backend", "llm-proxy", "photos", ".ssh", ".compose.yml.new", ".ansible_tmpx1compose.yml"):
        (tmp_path / name).mkdir()
    assert survey.foreign(str(tmp_path), "ocweb") == [".ssh", "photos"]
    (tmp_path / "compose.yml").write_text("services: {}\nname: other\n", encoding="utf-8")
    assert survey.foreign(str(tmp_path), "ocweb") == [".ssh", "compose.yml", "photos"]
    assert survey.other_project(str(tmp_path), "ocweb") == "other"
    (tmp_path / "compose.yml").write_text("# Ours.\nname: ocweb\n", encoding="utf-8")
    assert survey.foreign(str(tmp_path), "ocweb") == []
    assert survey.other_project(str(tmp_path), "ocweb") == ""


def test_this_kernel_lacks_nothing() -> None:
    assert survey.kernel_lacks() == []


def test_a_deploy_is_the_last_good_one_as_long_as_nothing_else_is_described(tmp_path: Path) -> None:
    assert survey.last_deploy(str(tmp_path)) == ({}, False)
    (tmp_path / "deployed").mkdir()
    (tmp_path / "deployed/deploy.json").write_text('{"images": {"backend": "one"}}', encoding="utf-8")
    for path in (tmp_path / "deployed/compose.yml", tmp_path / "compose.yml"):
        path.write_text("one", encoding="utf-8")
    assert survey.last_deploy(str(tmp_path)) == ({"backend": "one"}, True)
    (tmp_path / "compose.yml").write_text("two", encoding="utf-8")
    assert survey.last_deploy(str(tmp_path)) == ({"backend": "one"}, False)


@pytest.mark.parametrize("spelt", ["{}/x", "{}/x/", "{}//x", "{}/./x//", "{}/y/../x"])
def test_a_stacks_folder_is_called_the_same_however_it_is_spelt(tmp_path: Path, spelt: str) -> None:
    """By the survey, by the programs, and in the paths that roles make of it."""
    (tmp_path / "x/llm-proxy/keys").mkdir(parents=True)
    (tmp_path / "x/compose.yml").touch(mode=0o644)
    (tmp_path / "x/compose.yml").chmod(0o644)
    given = spelt.format(tmp_path)
    called = survey.stack_folder(given, "/home/you")
    keys = rotation.Keys({"do": "place", "stack_dir": given, "keys": {}, "chosen": ["all"]})
    assert called == str(Stack(given, "ocweb").path) == str(keys.stack_dir) == f"{tmp_path}/x"
    assert [one["path"] for one in survey.paths(called)] == [f"{called}/llm-proxy", f"{called}/llm-proxy/keys"]
    assert survey.written(called) == [f"{sha256(b'').hexdigest()} {called}/compose.yml"]


def test_the_usual_folder_is_that_of_who_deploys(monkeypatch: pytest.MonkeyPatch) -> None:
    for user, folder in ((0, "/opt/ocweb"), (1000, "/home/you/.local/share/ocweb")):
        monkeypatch.setattr(os, "geteuid", lambda user=user: user)
        assert survey.stack_folder("auto", "/home//you/") == folder


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """A folder in which we may not make anything, not even as root."""
    tmp_path.chmod(0o500)
    before = os.geteuid()
    os.seteuid(before or survey.NOBODY)
    yield tmp_path
    os.seteuid(before)
    tmp_path.chmod(0o700)


def test_a_folder_that_cannot_be_made_is_told(closed: Path) -> None:
    # Nobody does not even see what lies in a folder of root's.
    told = re.fullmatch(r"you may not write to (/.*)", survey.unwritable(f"{closed}/not/yet", "you"))
    assert told and closed.is_relative_to(told[1])


def test_a_folder_that_is_none_or_another_users_stack_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "gone").symlink_to("nowhere")
    assert survey.unwritable(str(tmp_path), "you") == survey.unwritable(f"{tmp_path}/not/yet", "you") == ""
    assert survey.unwritable(f"{tmp_path}/file/stack", "you") == f"{tmp_path}/file is no folder"
    assert survey.unwritable(f"{tmp_path}/gone", "you") == f"{tmp_path}/gone is no folder"
    (tmp_path / "compose.yml").touch()
    assert survey.unwritable(str(tmp_path), "you") == ""
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1000)
    assert survey.unwritable(str(tmp_path), "you") == f"the stack there was deployed by user id {os.getuid()}"


@pytest.fixture
def source_code(tmp_path: Path) -> Path:
    folder = tmp_path / "oc-web"
    (folder / "packages/one").mkdir(parents=True)
    (folder / "package.json").write_text('{"workspaces": ["./packages/*", "../*"]}', encoding="utf-8")
    (folder / "bun.lock").write_text("{}", encoding="utf-8")
    (folder / "packages/one/package.json").write_text('{"name": "one"}', encoding="utf-8")
    return folder


def test_source_code_is_described_with_what_says_its_packages(source_code: Path) -> None:
    found = survey.source(str(source_code), "/opt/ocweb", "/home/you/workspace")
    assert {name: found[name] for name in ("kind", "uid", "modules", "exposed", "overlapping")} == {
        "kind": "folder",
        "uid": os.getuid(),
        "modules": False,
        "exposed": "",
        "overlapping": "",
    }
    texts = json.loads(base64.b64decode(found["manifests"]))
    assert texts == {
        "package.json": '{"workspaces": ["./packages/*", "../*"]}',
        "bun.lock": "{}",
        "packages/one/package.json": '{"name": "one"}',
    }


@pytest.mark.parametrize("name", ["package.json", "bun.lock"])
def test_source_code_without_its_packages_has_none(source_code: Path, name: str) -> None:
    (source_code / name).unlink()
    assert survey.source(str(source_code), "", "")["manifests"] == ""


@pytest.mark.parametrize("name", ["package.json", "bun.lock", "packages/one/package.json"])
def test_a_link_out_of_the_source_is_not_followed(source_code: Path, name: str) -> None:
    secret = source_code.parent / "key"
    secret.write_text('{"key": "canary"}', encoding="utf-8")
    (source_code / name).unlink()
    (source_code / name).symlink_to(secret)
    assert b"canary" not in base64.b64decode(survey.source(str(source_code), "", "")["manifests"])


def test_source_code_that_changes_while_it_is_looked_at_does_not_lead_elsewhere(source_code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its owner puts a link in a folder's place after its folder was looked through, and before it is read."""
    secret = source_code.parent / "elsewhere"
    (secret / "one").mkdir(parents=True)
    (secret / "one/package.json").write_text('{"key": "canary"}', encoding="utf-8")
    real = survey.opened

    def opened(name: str, above: int | None, how: int = os.O_DIRECTORY) -> Any:
        if name == "packages":
            (source_code / name).rename(source_code / "before")
            (source_code / name).symlink_to(secret)
        return real(name, above, how)

    monkeypatch.setattr(survey, "opened", opened)
    assert set(survey.manifests(str(source_code))) == {"package.json", "bun.lock"}


def test_source_code_keeps_nobody_waiting(source_code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (source_code / "packages/one/package.json").unlink()
    os.mkfifo(source_code / "packages/one/package.json")
    assert set(survey.manifests(str(source_code))) == {"package.json", "bun.lock"}
    monkeypatch.setattr(survey, "LARGEST_MANIFEST", 10)
    assert survey.manifests(str(source_code)) == {}


def test_source_code_whose_workspaces_are_no_list_has_no_packages(source_code: Path) -> None:
    (source_code / "package.json").write_text('{"workspaces": 5}', encoding="utf-8")
    assert survey.manifests(str(source_code)) == {}


def test_source_code_in_the_workspace_or_the_stack_is_told(source_code: Path) -> None:
    assert survey.source(str(source_code), "/opt/ocweb", str(source_code.parent))["overlapping"] == "backend_workspace"
    assert survey.source(str(source_code), str(source_code), "/home/you/workspace")["overlapping"] == "stack_dir"


def test_no_source_code_is_nothing() -> None:
    assert survey.source("", "/opt/ocweb", "/home/you/workspace")["manifests"] == ""
    assert survey.source("/no/such", "/opt/ocweb", "/home/you/workspace")["kind"] == "missing"


class Mirror(BaseHTTPRequestHandler):
    """Has nothing to show, or, where the path says so, wants a proxy's password or is silent the first time."""

    silent: ClassVar[list[str]] = []

    def do_HEAD(self) -> None:
        if self.path in self.silent:
            self.silent.remove(self.path)
            return
        self.send_error(407 if "proxied" in self.path else 404)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_any_answer_shows_that_a_mirror_is_reached(mirror: str) -> None:
    assert survey.unreachable({"stack_debian_mirror": f"{mirror}/debian"}, "") == {}


def test_a_mirror_whose_first_answer_is_lost_is_asked_again(mirror: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Mirror, "silent", ["/once", "/twice", "/twice"])
    assert list(survey.unreachable({"a": f"{mirror}/once", "b": f"{mirror}/twice"}, "")) == ["b"]


def test_what_is_in_the_way_of_a_mirror_is_said(mirror: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        found = survey.unreachable({"a": nobody, "b": "https://no-such-host.invalid/", "c": f"{mirror}/proxied", "d": "not a url"}, "")
    assert list(found) == ["a", "b", "c", "d"]
    assert "refused" in found["a"]
    assert found["c"] == "the proxy wants a password"


def test_a_mirror_is_reached_by_the_proxy_that_builds_have(mirror: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"stack_debian_mirror": "http://deb.example.invalid/debian"}
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert survey.unreachable(asked, "") != {}
    (tmp_path / "config.json").write_text(json.dumps({"proxies": {"default": {"httpProxy": mirror}}}), encoding="utf-8")
    assert survey.unreachable(asked, "") == {}


SOURCES = {
    "stack_debian_mirror": "http://debian.example/",
    "docker_repository": "https://docker.example/",
    "docker_debian_mirror": "http://trixie.example/",
    "frontend_acme_directory": "https://authority.example/",
}
COMPLETE = {"state": "running", "compose": "2.26.1", "buildx": "0.13.1", "images": ["localhost/ocweb/backend:1"]}
NONE = {"state": "absent", "compose": "", "buildx": "", "images": []}


@pytest.mark.parametrize(
    ("engine", "version", "description", "asked"),
    [
        (NONE, "13", "", ["stack_debian_mirror", "docker_repository", "frontend_acme_directory"]),
        (NONE, "12", "", list(SOURCES)),
        ({**COMPLETE, "buildx": ""}, "12", "services:", ["docker_repository", "docker_debian_mirror", "frontend_acme_directory"]),
        ({**COMPLETE, "images": []}, "12", "", ["stack_debian_mirror", "frontend_acme_directory"]),
        (COMPLETE, "12", "", ["frontend_acme_directory"]),
        (COMPLETE, "12", 'ocweb.acme: "false"', ["frontend_acme_directory"]),
        (COMPLETE, "12", 'ocweb.acme: "true"', []),
    ],
)
def test_what_a_deploy_fetches_from_is_asked_and_nothing_else(
    stub_command: Callable[..., None], engine: dict[str, Any], version: str, description: str, asked: list[str]
) -> None:
    stub_command("echo 'APT::Architecture \"amd64\";'", "apt-config")
    host = {"engine": engine, "distribution": "debian", "version": version, "description": description, "deployed": description != ""}
    assert list(survey.needed(SOURCES, host)) == asked


@pytest.mark.parametrize("line", ['Acquire::http::Proxy "http://proxy:3142";', 'Acquire::https::proxy-auto-detect "/bin/proxy";'])
def test_packages_that_come_by_a_proxy_of_apts_are_apts_to_reach(stub_command: Callable[..., None], line: str) -> None:
    stub_command(f"echo '{line}'", "apt-config")
    host = {"engine": NONE, "distribution": "debian", "version": "12", "description": "", "deployed": False}
    assert list(survey.needed(SOURCES, host)) == ["stack_debian_mirror", "frontend_acme_directory"]
