"""Looks for keys that are to be gone in every place where one may have been left. Standard library only.

What is looked for goes to grep by standard input, and is nowhere else: not in a command line, not in a file.
"""

from __future__ import annotations

import contextlib
import glob
import gzip
import json
import os
import re
import subprocess
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from masking import spellings

SECONDS = 120
# In the memory of the one who had it, a key is to be expected.
HOLDER = "llm-proxy"
BLOCK = 1024 * 1024
PAGE = os.sysconf("SC_PAGE_SIZE")
# What is shorter stands everywhere.
MIN_WORD = 8
# Kilobytes for grep, which holds a line whole: in the agent's home there may be a file whose one line is larger than this machine's memory.
GREP_MEMORY = 1024 * 1024
# Of the engine's own, by its root folder: what it knows of containers (and their logs), images, networks, volumes and builds.
ENGINE = ("containers", "image", "network", "volumes", "buildkit", "swarm", "plugins")
TEMPORARY = ["/tmp", "/var/tmp", "/dev/shm", "/run/user"]
LOGS = ["/var/log", "/var/spool"]
SETTINGS = ["/etc"]
HOMES = (
    ".ansible",
    ".cache/ansible*",
    ".*history",
    ".bashrc",
    ".profile",
    ".env",
    ".config",
    ".docker",
    ".local/share/docker",
    ".netrc",
    ".aws",
)

Place = dict[str, Any]


def sweep(keys: list[str], stack_dir: str, project: str) -> list[Place]:
    """Look for ``keys`` everywhere on this machine.

    Returns of each place its name (``place``), how many files or pieces of memory hold one (``found``) and which (``where``, a few), what
    could not be read (``unread``), and whether that is to be ``expected``.
    """
    written = {word.decode() for key in keys if len(key) >= MIN_WORD for word in spellings(key)}
    words = sorted(word for word in written if len(word) >= MIN_WORD)
    short = []
    if any(len(key) < MIN_WORD for key in keys):
        short = [_place(f"a key of less than {MIN_WORD} characters", unread=["it was not looked for: it may stand anywhere"])]
    if not words:
        return short
    containers, trouble = _containers(project)
    root = _output(["docker", "info", "--format", "{{.DockerRootDir}}"]).strip() or "/var/lib/docker"
    places = {
        "the stack's folder": [stack_dir],
        "temporary files": TEMPORARY,
        "logs and mail": LOGS,
        "the system's configuration": SETTINGS,
        "homes: histories, caches, configuration": [path for home in _homes() for name in HOMES for path in glob.glob(f"{home}/{name}")],
        "the engine: containers' metadata and logs, images' metadata, volumes, build cache": [f"{root}/{name}" for name in ENGINE],
    }
    for one in containers:
        # Of a service, there may be more than one container.
        places.setdefault(f"{one['service']}: file system and image", []).extend(one["layers"])
    with ThreadPoolExecutor(4) as pool:
        files = pool.map(lambda item: _in_files(item[0], item[1], words), places.items())
        packed = pool.submit(_in_packed, "logs that are packed", LOGS, words)
        memory = pool.map(lambda one: _in_memory(one, words), containers)
        environment = pool.submit(_in_processes, words)
        unknown = [_place("the stack's containers", unread=[trouble])] if trouble else []
        return [*short, *files, packed.result(), *unknown, *memory, environment.result()]


def _place(place: str, unread: list[str] | None = None, expected: bool = False) -> Place:
    return {"place": place, "found": 0, "where": [], "unread": unread or [], "expected": expected}


def _homes() -> list[str]:
    with contextlib.suppress(OSError):
        lines = Path("/etc/passwd").read_text(encoding="utf-8").splitlines()
        return sorted({home for line in lines if len(home := line.split(":")[5]) > 1 and home.startswith(("/root", "/home"))})
    return [str(Path.home())]


def _containers(project: str) -> tuple[list[dict[str, Any]], str]:
    """Return of each of the project's containers its service, its id and the folders of its file system, and why that is not known."""
    asked = _run(["docker", "ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={project}"])
    if asked.returncode == 0 and asked.stdout:
        asked = _run(["docker", "inspect", *asked.stdout.split()])
    trouble = (asked.stderr.strip()[:200] or "the engine did not answer") if asked.returncode else ""
    described, seen = [], set()
    for one in json.loads(asked.stdout or "[]"):
        # Layers that several have in common are looked at once.
        layers = [path for path in _layers(one) if path not in seen]
        seen.update(layers)
        service = one["Config"]["Labels"].get("com.docker.compose.service", one["Id"][:12])
        described.append({"service": service, "id": one["Id"], "running": one["State"]["Running"], "layers": [*layers, *_tmpfs(one)]})
    return sorted(described, key=lambda one: one["service"]), trouble


def _layers(container: dict[str, Any]) -> list[str]:
    """Return the folders that a container's file system is made of; where the engine does not tell, what its first process sees."""
    graph = (container.get("GraphDriver") or {}).get("Data") or {}
    layers = [path for name in ("UpperDir", "LowerDir") for path in str(graph.get(name) or "").split(":") if path]
    root = f"/proc/{container['State']['Pid']}/root"
    return layers or [path for path in glob.glob(f"{root}/*") if os.path.basename(path) not in ("dev", "proc", "sys", "workspace")]


def _tmpfs(container: dict[str, Any]) -> list[str]:
    """Return the folders of a container that lie in memory, and so in none of its layers."""
    pid = container["State"]["Pid"]
    try:
        lines = Path(f"/proc/{pid}/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    mounts = [line.split()[4] for line in lines if line.partition(" - ")[2].split()[0] == "tmpfs"]
    # What the engine itself mounts there holds devices, or hides files; and without layers, the first process's root shows the others.
    layered = bool((container.get("GraphDriver") or {}).get("Data"))
    kept = [mount for mount in mounts if (layered and not re.match(r"/(proc|sys|dev)(/|\Z)", mount)) or mount == "/dev/shm"]
    return [f"/proc/{pid}/root{mount}" for mount in sorted(set(kept))]


def _in_files(place: str, paths: list[str], words: list[str]) -> Place:
    """Look into every regular file under some paths, without leaving their file system for another's sockets and devices."""
    found = _place(place)
    paths, hidden = _reachable(paths)
    found["unread"] = hidden[:3] if paths or hidden or "file system" not in place else ["the engine does not tell where it is"]
    if not paths:
        return found
    # Lines end at zero bytes, of which files of that kind mostly consist.
    command = ["grep", "-z", "-r", "-l", "-a", "-F", "-D", "skip", "-Z", "-f", "-", "--", *paths]
    done = _run(["sh", "-c", f'ulimit -v {GREP_MEMORY}; exec "$@"', "sh", *command], "\n".join(words))
    names = [name for name in done.stdout.split("\0") if name]
    # What is gone again between the look at its folder and its turn was not left behind.
    unread = [line for line in done.stderr.splitlines() if not line.endswith(("No such file or directory", "No such device or address"))]
    return {
        **found,
        "found": len(names),
        "where": names[:5],
        "unread": (hidden + unread)[:3] + ([f"grep: {done.returncode}"] if done.returncode > 2 else []),
    }


def _reachable(paths: list[str]) -> tuple[list[str], list[str]]:
    """Return which paths are there, and of which that cannot be told, and why."""
    there, hidden = [], []
    for path in paths:
        try:
            os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            hidden.append(f"{path}: {error.strerror}")
        else:
            there.append(path)
    return there, hidden


def _in_packed(place: str, folders: list[str], words: list[str]) -> Place:
    """Look into the logs that gzip has packed; what is unreadable, the look at all files says."""
    found, needles = _place(place), [word.encode() for word in words]
    longest = max(map(len, needles))
    for path in (path for folder in folders for path in glob.glob(f"{folder}/**/*.gz", recursive=True)):
        try:
            with gzip.open(path) as file:
                rest = b""
                while block := file.read(BLOCK):
                    if any(needle in rest + block for needle in needles):
                        found["found"] += 1
                        found["where"] = [*found["where"], path][:5]
                        break
                    rest = block[-longest:]
        except FileNotFoundError:
            continue
        except (OSError, EOFError, zlib.error) as error:
            found["unread"] = [*found["unread"], f"{path}: {error}"][:3]
    return found


def _in_memory(container: dict[str, Any], words: list[str]) -> Place:
    """Look into what the processes of a container have written to their memory."""
    service = container["service"]
    found = _place(f"{service}: memory", expected=service == HOLDER)
    needles = [word.encode() for word in words]
    pids = _output(["docker", "top", container["id"], "-eo", "pid"]).split()[1:]
    if container["running"] and not pids:
        found["unread"] = ["the engine does not tell its processes; it needs the command ps on this host"]
    for pid in pids:
        try:
            found["found"] += _pieces(int(pid), needles)
        except (FileNotFoundError, ProcessLookupError):
            # It has ended, and its memory with it.
            continue
        except OSError as error:
            found["unread"].append(f"process {pid}: {error.strerror}")
    found["unread"] = found["unread"][:3]
    return found


def _pieces(pid: int, needles: list[bytes]) -> int:
    """Count the regions of a process's memory that hold a key."""
    count, longest = 0, max(map(len, needles))
    with (
        open(f"/proc/{pid}/maps", encoding="utf-8") as maps,
        open(f"/proc/{pid}/pagemap", "rb", buffering=0) as pages,
        open(f"/proc/{pid}/mem", "rb", buffering=0) as memory,
    ):
        for line in maps:
            region, rights, *_ = line.split()
            if not rights.startswith("rw") or line.rstrip().endswith(("[vvar]", "[vsyscall]")):
                continue
            start, end = (int(part, 16) for part in region.split("-"))
            rest = b""
            for at in range(start, end, BLOCK):
                size = min(BLOCK, end - at)
                if not _written(pages.fileno(), at, size):
                    rest = b""
                    continue
                try:
                    block = os.pread(memory.fileno(), size, at)
                except OSError:
                    break
                if any(needle in rest + block for needle in needles):
                    count += 1
                    break
                rest = block[-longest:]
    return count


def _written(pages: int, at: int, size: int) -> bool:
    """Tell by a process's page map whether memory was ever written: runtimes reserve tens of GiB that reading would fill with zeros."""
    described = os.pread(pages, size // PAGE * 8, at // PAGE * 8)
    # The highest bits say that a page is in memory, or swapped out.
    return not described or max(described[7::8]) >= 0x40


def _in_processes(words: list[str]) -> Place:
    """Look into the command line and the environment of every process on the host."""
    needles = [word.encode() for word in words]
    found, hidden = _place("every process: command line and environment"), 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for name in ("cmdline", "environ"):
            try:
                content = Path("/proc", pid, name).read_bytes()
            except PermissionError:
                hidden += 1
                continue
            except OSError:
                continue
            if any(needle in content for needle in needles):
                found["found"] += 1
                found["where"].append(f"/proc/{pid}/{name}")
    found["where"] = found["where"][:5]
    found["unread"] = [f"{hidden} times, this user was not allowed to"] if hidden else []
    return found


def _output(command: list[str]) -> str:
    return _run(command).stdout


def _run(command: list[str], given: str = "") -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, input=given, capture_output=True, text=True, errors="replace", timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 99, "", str(error))
