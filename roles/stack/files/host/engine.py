"""The engine that a deploy installs on a host that has none: what comes with it is written down before it comes, so that it can go again.

The record is the host's and not a stack's, since stacks share an engine. It goes with the engine.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from folder import Refusal, Stack, answered, clear, read, run, said, write

RECORD = Path("/var/lib/ocweb/engine.json")
DATA = (Path("/var/lib/docker"), Path("/var/lib/containerd"))
# What engines make besides, and leave behind: a file of theirs, and folders as far as nothing else is in them.
LEFT = Path("/etc/docker/key.json")
LEFT_FOLDERS = tuple(
    Path(path) for path in ("/etc/docker", "/etc/cni/net.d", "/etc/cni", "/opt/containerd/bin", "/opt/containerd/lib", "/opt/containerd")
)
GROUP = "docker"
ENGINES = {"docker.io", "docker-ce"}
# Data of others may lie with these.
PARTS = ENGINES | {"containerd", "containerd.io"}
# Containerd's, of the engine itself.
NAMESPACES = {"moby", "plugins.moby"}


def remember(question: dict[str, Any]) -> dict[str, Any]:
    """Add to the record what is about to come: those of the ``files`` that are not there, and what ``simulation`` (apt's) would install.

    A host that has an engine's data already had an engine: nothing is written down there.
    """
    known = read(RECORD)
    if not known and any(set(os.listdir(path)) - {"lost+found"} for path in DATA if path.is_dir()):
        return {"changed": False}
    simulated = run("env", "LC_ALL=C", *question["simulation"], timeout=None) if question["simulation"] else None
    if simulated is not None and simulated.returncode:
        raise Refusal(f"The engine cannot be installed: {(simulated.stderr.strip().splitlines() or ['apt gave no reason'])[-1]}")
    # One that is there already has its version in brackets first.
    packages = re.findall(r"^Inst (\S+) \(", simulated.stdout, re.M) if simulated else []
    record = {
        "files": sorted({*known.get("files", []), *(path for path in question["files"] if not os.path.lexists(path))}),
        "group": known.get("group", run("getent", "group", GROUP).returncode != 0),
        "packages": sorted({*known.get("packages", []), *packages}),
    }
    if record == known:
        return {"changed": False}
    RECORD.parent.mkdir(mode=0o755, exist_ok=True)
    write(RECORD, json.dumps(record, indent=2).encode() + b"\n", 0o644)
    return {"changed": True}


def to_remove(stack: Stack, ours: dict[str, list[str]], bases: list[str]) -> dict[str, Any]:
    """Return the record of an engine that may go; {} where there is no engine.

    Of its packages, ``kept`` are those that are needed without it, and ``leaving`` those of the others that are there.
    ``ours`` is what the engine has of the stack, by kind, and ``bases`` are the images that its base may have been made from.

    Raises:
        Refusal: it is not ours, or somebody else uses it.
    """
    record = read(RECORD)
    engine = shutil.which("dockerd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if not record and not engine:
        return {}
    there = installed()
    stays = "Nothing was removed: set stack_remove_engine to false, and the engine stays"
    if not record or (engine and not ENGINES & set(record["packages"]) & set(there)):
        raise Refusal(f"stack_remove_engine: the engine was not installed by this collection on a host that had none. {stays}.")
    if os.geteuid() != 0:
        raise Refusal(f"stack_remove_engine: packages are removed by root alone (--become). {stays}.")
    if engine and (problem := stack.engine_problem()):
        raise Refusal(f"stack_remove_engine: who else uses the engine cannot be seen. {problem} Nothing was removed.")
    kept = needed(set(record["packages"]), there)
    # A removal that was killed looked before it began, and there is nobody left to ask.
    if not engine and not record.get("going") and any(path.is_dir() and os.listdir(path) for path in DATA):
        raise Refusal(f"stack_remove_engine: the engine is gone, and who else used it cannot be seen in {DATA[0]}. {stays}.")
    others = [*(foreign(ours, bases) if engine else []), *(f"package {kept[name]} (needs {name})" for name in sorted(PARTS & set(kept)))]
    if others:
        more = f" and {len(others) - 5} more" if len(others) > 5 else ""
        raise Refusal(f"stack_remove_engine: something else uses the engine: {', '.join(others[:5])}{more}. {stays}.")
    return {**record, "kept": kept, "leaving": [name for name in record["packages"] if name in there and name not in kept]}


def foreign(ours: dict[str, list[str]], bases: Iterable[str]) -> list[str]:
    """Return what the engine has that is not the stack's."""

    def layers(image: str) -> list[str]:
        found = run("docker", "image", "inspect", "--format", "{{json .RootFS.Layers}}", image)
        return list(json.loads(found.stdout or "null") or []) if found.returncode == 0 else []

    # A base that was pulled is not named as ours are: what ours are made from is the beginning of them.
    bases_of_ours = [found for found in map(layers, [*ours.get("image", []), *bases]) if found]

    def ours_is_made_from(image: str) -> bool:
        found = layers(image)
        return bool(found) and any(one[: len(found)] == found for one in bases_of_ours)

    images = [row.split() for row in said("docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}")]
    strange = [(name, number) for name, number in images if name not in ours.get("image", [])]
    swarm = said("docker", "info", "--format", "{{.Swarm.LocalNodeState}}")
    there = {
        "container": said("docker", "ps", "--all", "--format", "{{.Names}}"),
        "volume": said("docker", "volume", "ls", "--format", "{{.Name}}"),
        "plugin": said("docker", "plugin", "ls", "--format", "{{.Name}}"),
        "network": [name for name in said("docker", "network", "ls", "--format", "{{.Name}}") if name not in {"bridge", "host", "none"}],
    }
    return [
        *(f"a swarm ({state})" for state in swarm if state not in {"", "inactive"}),
        *(f"{kind} {name}" for kind, names in there.items() for name in names if name not in ours.get(kind, [])),
        *(f"image {name} ({number})" for name, number in strange if name.startswith("localhost/") or not ours_is_made_from(number)),
        *(f"containerd's namespace {name}" for name in said("ctr", "namespaces", "list", "--quiet") if name and name not in NAMESPACES),
    ]


def installed() -> dict[str, tuple[set[str], list[set[str]]]]:
    """Return for each package that is installed what it is good for, and what it needs: of each set one."""
    shown = "${db:Status-Status}\t${Package}\t${Provides}\t${Pre-Depends}, ${Depends}\n"
    rows = [row.split("\t") for row in said("dpkg-query", "--show", "--showformat", shown)]

    def names(text: str) -> set[str]:
        return {re.split(r"[ (:]", one.strip())[0] for one in re.split(r"[,|]", text)} - {""}

    return {
        name: ({name, *names(provides)}, [wanted for group in needs.split(",") if (wanted := names(group))])
        for state, name, provides, needs in rows
        if state == "installed"
    }


def needed(going: set[str], there: dict[str, tuple[set[str], list[set[str]]]]) -> dict[str, str]:
    """Return those of the packages that what stays needs, each with one that needs it."""
    kept: dict[str, str] = {}
    while True:
        stays = {name for name in there if name not in going or name in kept}
        good_for = {one for name in stays for one in there[name][0]}
        more = {
            one: name
            for name in stays
            for group in there[name][1]
            if not group & good_for
            for one in (going & set(there)) - set(kept)
            if there[one][0] & group
        }
        if not more:
            return kept
        kept.update(more)


def lines(record: dict[str, Any]) -> list[str]:
    """Say what goes with an engine, and what stays of it."""
    return [
        *(f"package {name}" for name in record["leaving"]),
        *(f"folder {path}" for path in DATA if path.exists()),
        *(f"file {path}" for path in [*record["files"], RECORD] if os.path.lexists(path)),
        *(f"(package {name} stays: {why} needs it)" for name, why in sorted(record["kept"].items())),
    ]


def remove(record: dict[str, Any]) -> None:
    """Take an engine away with all that came with it; what it has is gone then. One that was killed can be run again."""
    os.environ.update(DEBIAN_FRONTEND="noninteractive", PATH=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    systemd = os.path.isdir("/run/systemd/system")
    stop = ["systemctl", "stop", "docker.socket", "docker.service"] if systemd else ["service", "docker", "stop"]
    if shutil.which("dockerd"):
        run(*stop, timeout=None)
    write(RECORD, json.dumps({**record, "going": True}, indent=2).encode() + b"\n", 0o644)
    # Unlike apt's, this takes nothing else along: it refuses where another package would break.
    done = run("dpkg", "--purge", *record["leaving"], timeout=None) if record["leaving"] else None
    if done is not None and done.returncode:
        raise Refusal(f"The engine's packages could not be removed, run again: {'; '.join(done.stderr.strip().splitlines())}", changed=True)
    for path in DATA:
        if path.is_dir():
            empty(path)
    LEFT.unlink(missing_ok=True)
    for path in LEFT_FOLDERS:
        if path.is_dir() and not os.listdir(path):
            path.rmdir()
    for file in record["files"]:
        Path(file).unlink(missing_ok=True)
    if record["group"] and run("getent", "group", GROUP).returncode == 0:
        run("groupdel", GROUP)
    RECORD.unlink()
    if not os.listdir(RECORD.parent):
        RECORD.parent.rmdir()


def empty(folder: Path, last: tuple[str, ...] = ()) -> None:
    """Remove a folder, the files ``last`` in it at the end; one that is mounted here is emptied and stays."""
    clear(folder, last)
    real = folder.resolve()
    if not os.path.ismount(real):
        real.rmdir()
    if folder.is_symlink():
        folder.unlink()


def main(question: dict[str, Any]) -> dict[str, Any]:
    """Return whether something was written down, and ``error``."""
    return answered(remember, question)
