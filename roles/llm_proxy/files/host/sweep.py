"""Looks for keys that are to be gone in every place where one may have been left. Standard library only.

What is looked for goes to grep by standard input, and is nowhere else: not in a command line, not in a file.
"""

from __future__ import annotations

import base64
import contextlib
import glob
import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

SECONDS = 120
# In the memory of the one who had it, a key is to be expected.
HOLDER = "llm-proxy"
BLOCK = 1024 * 1024
PAGE = os.sysconf("SC_PAGE_SIZE")
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


def spellings(key: str) -> list[str]:
    """Return the ways in which a key may be written down: plain, in JSON, in a URL, in hexadecimal digits, within base64."""
    raw = key.encode()
    found = {key, json.dumps(key)[1:-1], quote(key, safe=""), raw.hex()}
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + raw).decode()
        whole = encoded[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
        found |= {whole, whole.replace("+", "-").replace("/", "_")}
    return sorted(found)


def sweep(keys: list[str], stack_dir: str, project: str, holder: bool = True) -> list[Place]:
    """Look for ``keys`` everywhere on this machine; ``holder``: the proxy had them and may remember them.

    Returns of each place its name (``place``), how many files or pieces of memory hold one (``found``) and which (``where``, a few), what
    could not be read (``unread``), and whether that is to be ``expected``.
    """
    words = sorted({word for key in keys for word in spellings(key)})
    containers = _containers(project)
    root = _output(["docker", "info", "--format", "{{.DockerRootDir}}"]).strip() or "/var/lib/docker"
    places = {
        "the stack's folder": [stack_dir],
        "temporary files": TEMPORARY,
        "logs and mail": LOGS,
        "the system's configuration": SETTINGS,
        "homes: histories, caches, configuration": [path for home in _homes() for name in HOMES for path in glob.glob(f"{home}/{name}")],
        "the engine: containers' metadata and logs, images' metadata, volumes, build cache": [f"{root}/{name}" for name in ENGINE],
        **{f"{one['service']}: file system and image": one["layers"] for one in containers},
    }
    with ThreadPoolExecutor(4) as pool:
        files = pool.map(lambda item: _in_files(item[0], item[1], words), places.items())
        memory = pool.map(lambda one: _in_memory(one, words, holder), containers)
        environment = pool.submit(_in_processes, words)
        return [*files, *memory, environment.result()]


def _homes() -> list[str]:
    with contextlib.suppress(OSError):
        lines = Path("/etc/passwd").read_text(encoding="utf-8").splitlines()
        return sorted({home for line in lines if len(home := line.split(":")[5]) > 1 and home.startswith(("/root", "/home"))})
    return [str(Path.home())]


def _containers(project: str) -> list[dict[str, Any]]:
    """Return of each of the project's containers its service, the processes in it, and the folders that its file system is made of."""
    ids = _output(["docker", "ps", "--all", "--quiet", "--filter", f"label=com.docker.compose.project={project}"]).split()
    found = json.loads(_output(["docker", "inspect", *ids]) or "[]") if ids else []
    described, seen = [], set()
    for one in found:
        # Layers that several have in common are looked at once.
        layers = [path for path in _layers(one) if path not in seen]
        seen.update(layers)
        described.append({"service": one["Config"]["Labels"]["com.docker.compose.service"], "id": one["Id"], "layers": layers})
    return sorted(described, key=lambda one: one["service"])


def _layers(container: dict[str, Any]) -> list[str]:
    """Return the folders that a container's file system is made of; where the engine does not tell, what its first process sees."""
    graph = (container.get("GraphDriver") or {}).get("Data") or {}
    layers = [path for name in ("UpperDir", "LowerDir") for path in str(graph.get(name) or "").split(":") if path]
    root = f"/proc/{container['State']['Pid']}/root"
    return layers or [path for path in glob.glob(f"{root}/*") if os.path.basename(path) not in ("dev", "proc", "sys", "workspace")]


def _in_files(place: str, paths: list[str], words: list[str]) -> Place:
    """Look into every regular file under some paths, without leaving their file system for another's sockets and devices."""
    paths = [path for path in paths if os.path.exists(path)]
    found: Place = {"place": place, "found": 0, "where": [], "unread": [], "expected": False}
    if not paths:
        return found
    command = ["grep", "-r", "-l", "-a", "-F", "-D", "skip", "-Z", "-f", "-", "--", *paths]
    done = _run(command, "\n".join(words))
    names = [name for name in done.stdout.split("\0") if name]
    # What is gone again between the look at its folder and its turn was not left behind.
    unread = [line for line in done.stderr.splitlines() if "No such file" not in line and "No such device" not in line]
    return {
        **found,
        "found": len(names),
        "where": names[:5],
        "unread": unread[:3] + ([f"grep: {done.returncode}"] if done.returncode > 2 else []),
    }


def _in_memory(container: dict[str, Any], words: list[str], holder: bool) -> Place:
    """Look into what the processes of a container have written to their memory."""
    service = container["service"]
    found: Place = {"place": f"{service}: memory", "found": 0, "where": [], "unread": [], "expected": holder and service == HOLDER}
    needles = [word.encode() for word in words]
    for pid in _output(["docker", "top", container["id"], "-eo", "pid"]).split()[1:]:
        try:
            found["found"] += _pieces(int(pid), needles)
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
    found: Place = {"place": "every process: command line and environment", "found": 0, "where": [], "unread": [], "expected": False}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for name in ("cmdline", "environ"):
            with contextlib.suppress(OSError):
                content = Path("/proc", pid, name).read_bytes()
                if any(needle in content for needle in needles):
                    found["found"] += 1
                    found["where"].append(f"/proc/{pid}/{name}")
    found["where"] = found["where"][:5]
    return found


def _output(command: list[str]) -> str:
    return _run(command).stdout


def _run(command: list[str], given: str = "") -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, input=given, capture_output=True, text=True, errors="surrogateescape", timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 99, "", str(error))
