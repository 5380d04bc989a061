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
import select
import subprocess
import time
import zlib
from collections.abc import Container, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from masking import spellings

# For each place, for all of them, and between two looks at whether there is still time.
SECONDS = 120
MOST_SECONDS = 600
STEP = 1
OUT_OF_TIME = "the time for it ran out"
# In the memory of the one who had it, a key is to be expected.
HOLDER = "llm-proxy"
BLOCK = 1024 * 1024
# So much memory is described at once.
CHUNK = 64 * BLOCK
PAGE = os.sysconf("SC_PAGE_SIZE")
# The highest bits of a page's description say that it is in memory, or swapped out; the others also stand where nothing was ever written.
UNWRITTEN = bytes(range(0x40))
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


class OutOfTimeError(Exception):
    """A search has taken as long as it may."""


class Limit:
    """So many seconds, but no longer than the ``callers`` are there."""

    def __init__(self, seconds: float, asking: Iterable[int] = ()) -> None:
        self._end = time.monotonic() + seconds
        self._asking = list(asking)

    def within(self, seconds: float) -> Limit:
        """Return another one that ends with this one, and after so many seconds at the latest."""
        return Limit(min(seconds, self.left()), self._asking)

    def left(self) -> float:
        """Return how many seconds are left."""
        ended = select.poll()
        for one in self._asking:
            ended.register(one, select.POLLIN)
        return 0.0 if self._asking and ended.poll(0) else max(0.0, self._end - time.monotonic())

    def check(self) -> None:
        """See that there is time.

        Raises:
            OutOfTimeError: there is none.
        """
        if not self.left():
            raise OutOfTimeError


@contextlib.contextmanager
def callers() -> Iterator[list[int]]:
    """Yield descriptors of the processes that wait for this one, up to the one that serves the connection: they can be read when those end.

    When a connection breaks, this is all that is seen of it. Whoever is nobody's child is a service that may be restarted meanwhile.
    """
    found: list[int] = []
    pid = os.getppid()
    with contextlib.suppress(OSError):
        while (above := int(Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[1])) > 1:
            found.append(os.pidfd_open(pid))
            pid = above
    try:
        yield found
    finally:
        for one in found:
            os.close(one)


def sweep(keys: list[str], stack_dir: str, project: str, limit: Limit, kept: Container[str] = ()) -> list[Place]:
    """Look for ``keys`` everywhere on this machine but in the files of these ``kept`` paths.

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
        files = pool.map(lambda item: _in_files(item[0], item[1], words, limit, kept), places.items())
        packed = pool.submit(_in_packed, "logs that are packed", LOGS, words, limit)
        memory = pool.map(lambda one: _in_memory(one, words, limit), containers)
        environment = pool.submit(_in_processes, words, limit)
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


def _in_files(place: str, paths: list[str], words: list[str], limit: Limit, kept: Container[str] = ()) -> Place:
    """Look into every regular file under some paths, without leaving their file system for another's sockets and devices."""
    found = _place(place)
    paths, hidden = _reachable(paths)
    found["unread"] = hidden[:3] if paths or hidden or "file system" not in place else ["the engine does not tell where it is"]
    if not paths:
        return found
    # Lines end at zero bytes, of which files of that kind mostly consist.
    command = ["grep", "-z", "-r", "-l", "-a", "-F", "-D", "skip", "-Z", "-f", "-", "--", *paths]
    done = _run(["sh", "-c", f'ulimit -v {GREP_MEMORY}; exec "$@"', "sh", *command], "\n".join(words), limit)
    names = [name for name in done.stdout.split("\0") if name and name not in kept]
    # What is gone again between the look at its folder and its turn was not left behind.
    unread = [line for line in done.stderr.splitlines() if not line.endswith(("No such file or directory", "No such device or address"))]
    # An end before the time is the last that may be left out.
    unread = sorted(hidden + unread, key=lambda line: not line.startswith(OUT_OF_TIME))
    return {
        **found,
        "found": len(names),
        "where": names[:5],
        "unread": unread[:3] + ([f"grep: {done.returncode}"] if done.returncode not in (0, 1, 2, 99) else []),
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


def _in_packed(place: str, folders: list[str], words: list[str], limit: Limit) -> Place:
    """Look into the logs that gzip has packed; what is unreadable, the look at all files says."""
    found, needles = _place(place), [word.encode() for word in words]
    longest = max(map(len, needles))
    limit = limit.within(SECONDS)
    for path in (path for folder in folders for path in glob.glob(f"{folder}/**/*.gz", recursive=True)):
        try:
            with gzip.open(path) as file:
                rest = b""
                while block := file.read(BLOCK):
                    limit.check()
                    if any(needle in rest + block for needle in needles):
                        found["found"] += 1
                        found["where"] = [*found["where"], path][:5]
                        break
                    rest = block[-longest:]
        except OutOfTimeError:
            found["unread"] = [f"{OUT_OF_TIME} at {path}", *found["unread"]][:3]
            break
        except FileNotFoundError:
            continue
        except (OSError, EOFError, zlib.error) as error:
            found["unread"] = [*found["unread"], f"{path}: {error}"][:3]
    return found


def _in_memory(container: dict[str, Any], words: list[str], limit: Limit) -> Place:
    """Look into what the processes of a container have written to their memory. They may have reserved more than could ever be read."""
    service = container["service"]
    found = _place(f"{service}: memory", expected=service == HOLDER)
    needles = [word.encode() for word in words]
    limit = limit.within(SECONDS)
    pids = _output(["docker", "top", container["id"], "-eo", "pid"]).split()[1:]
    if container["running"] and not pids:
        found["unread"] = ["the engine does not tell its processes; it needs the command ps on this host"]
    for number, pid in enumerate(pids):
        try:
            for _ in _pieces(int(pid), needles, limit):
                found["found"] += 1
        except OutOfTimeError:
            rest = f"{len(pids) - number} of its {len(pids)} processes were not searched, or not to the end"
            found["unread"].insert(0, f"{OUT_OF_TIME}: {rest}")
            break
        except (FileNotFoundError, ProcessLookupError):
            # It has ended, and its memory with it.
            continue
        except OSError as error:
            found["unread"].append(f"process {pid}: {error.strerror}")
    found["unread"] = found["unread"][:3]
    return found


def _pieces(pid: int, needles: list[bytes], limit: Limit) -> Iterator[int]:
    """Yield where each region of a process's memory begins that holds a key."""
    longest = max(map(len, needles))
    with (
        open(f"/proc/{pid}/smaps", encoding="utf-8", errors="replace") as maps,
        open(f"/proc/{pid}/pagemap", "rb", buffering=0) as pages,
        open(f"/proc/{pid}/mem", "rb", buffering=0) as memory,
    ):
        # What could take all the time comes last.
        for start, end in sorted(_regions(maps, limit), key=lambda one: one[1] - one[0]):
            rest, after = b"", start
            for at, size in _written(pages.fileno(), start, end, limit):
                try:
                    block = os.pread(memory.fileno(), size, at)
                except OSError:
                    break
                text = (rest if at == after else b"") + block
                if any(needle in text for needle in needles):
                    yield start
                    break
                rest, after = block[-longest:], at + size


def _regions(maps: Iterable[str], limit: Limit) -> Iterator[tuple[int, int]]:
    """Yield from where to where a process may write, and has: what is only reserved costs nothing, and may be larger than any memory."""
    start = end = held = 0
    for line in maps:
        first, *more = line.split()
        if not first.endswith(":"):
            limit.check()
            if held:
                yield start, end
            writable = more[0].startswith("rw") and more[-1] not in ("[vvar]", "[vsyscall]")
            start, end = (int(part, 16) for part in first.split("-")) if writable else (0, 0)
            held = 0
        elif end and first in ("Rss:", "Swap:", "Private_Hugetlb:", "Shared_Hugetlb:"):
            held += int(more[0])
    if held:
        yield start, end


def _written(pages: int, start: int, end: int, limit: Limit) -> Iterator[tuple[int, int]]:
    """Yield the blocks, and their sizes, of a process's memory that were ever written, by its page map.

    Raises:
        OutOfTimeError: there is no time for the rest.
    """
    for chunk in range(start, end, CHUNK):
        limit.check()
        size = min(CHUNK, end - chunk)
        marks = os.pread(pages, size // PAGE * 8, chunk // PAGE * 8)[7::8]
        if marks and not marks.translate(None, UNWRITTEN):
            continue
        for at in range(0, size, BLOCK):
            limit.check()
            some = marks[at // PAGE : (at + BLOCK) // PAGE]
            if not some or some.translate(None, UNWRITTEN):
                yield chunk + at, min(BLOCK, size - at)


def _in_processes(words: list[str], limit: Limit) -> Place:
    """Look into the command line and the environment of every process on the host."""
    needles = [word.encode() for word in words]
    found, hidden = _place("every process: command line and environment"), 0
    limit, pids = limit.within(SECONDS), [pid for pid in os.listdir("/proc") if pid.isdigit()]
    late = 0
    for pid in pids:
        if not limit.left():
            late += 1
            continue
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
    found["unread"] = [f"{OUT_OF_TIME}: {late} of {len(pids)} processes were not looked at"] if late else []
    found["unread"] += [f"{hidden} times, this user was not allowed to"] if hidden else []
    return found


def _output(command: list[str]) -> str:
    return _run(command).stdout


def _run(command: list[str], given: str = "", limit: Limit | None = None) -> subprocess.CompletedProcess[str]:
    limit = limit.within(SECONDS) if limit else Limit(SECONDS)
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, errors="replace")
    except OSError as error:
        return subprocess.CompletedProcess(command, 99, "", str(error))
    with process:
        rest: str | None = given
        while limit.left():
            with contextlib.suppress(subprocess.TimeoutExpired):
                said, trouble = process.communicate(rest, timeout=min(STEP, limit.left()))
                return subprocess.CompletedProcess(command, process.returncode, said, trouble)
            rest = None
        process.kill()
        said, trouble = process.communicate()
    return subprocess.CompletedProcess(command, 99, said, f"{OUT_OF_TIME}, and the rest was not looked at\n{trouble}")
