"""Looks at a host in one round trip and changes nothing.

Called as ``python3 - QUESTION`` with one JSON object:
``listen`` ({address, port, redirect}: ports, 0 is none), ``project`` (Compose project name), ``workspace_owner`` (a user id or "auto"),
``stack_dir``, ``workspace``, ``gitconfig`` and ``ssh_dir`` (paths, or "auto" to have them chosen), ``ca_bundle`` ("auto" or a path),
``upstreams`` (host names), ``private_ranges`` (of addresses),
``debug_port`` (a port on loopback; 0 is none), ``source`` (the folder of the page's source code; "" is none),
``networks`` (of each of the project's networks, the words that are to be said of it),
``fetched`` (what a deploy may fetch from: URL by the variable that names it),
``given`` and ``known`` (names of variables: those that the user set, and those that there are).

Prints one JSON object; sizes are bytes, ids are numbers, a path that does not apply is "".
"""

from __future__ import annotations

import base64
import contextlib
import difflib
import errno
import fnmatch
import glob
import hashlib
import ipaddress
import json
import os
import pwd
import re
import shutil
import socket
import ssl
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import datetime, timezone
from typing import Any

# What a deploy that was killed leaves in its folder, before that shows whose it is.
HALF_WRITTEN = re.compile(r"\.(ansible_tmp.*|.*\.new)$")
OURS = {"backend", "build.env", "bundle", "egress", "frontend", "gateway", "llm-proxy", "lost+found"}
CA_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
)
# Whoever can write to one of these is root on the host.
RUNTIME_SOCKET = re.compile(r"(docker|containerd|podman|crio|buildkitd|libvirt-sock|libpod|incus|lxd|kubelet)[^/]*$")
SYSTEM_FOLDERS = ("/bin", "/boot", "/dev", "/etc", "/lib", "/proc", "/run", "/sbin", "/sys", "/usr")
ENGINE_FOLDERS = ("/var/lib/containerd", "/var/lib/docker")
# What lies in these may be work; they themselves are not.
PARENT_FOLDERS = ("/root", "/var/lib")
NOBODY = 65534
SECONDS_FOR_NAMES = 3
SECONDS_FOR_AN_ANSWER = 10
LARGEST_MANIFEST = 2**23


# Of each network of the project (or, where it was made otherwise, of its name) what Compose does not compare with the description.
NETWORKS = (
    "docker network ls --quiet --filter name=^$1_ | xargs --no-run-if-empty docker network inspect --format "
    "'{{.Name}} internal={{.Internal}} ipv6={{.EnableIPv6}}{{range $k, $v := .Options}} {{$k}}={{$v}}{{end}}'"
)


# All that the engine knows of each container of the project.
CONTAINERS = "docker ps --quiet --filter label=com.docker.compose.project=$1 | xargs --no-run-if-empty docker container inspect"


def run(*command: str) -> tuple[int, str, str]:
    """Return (exit code, standard output, standard error), stripped; (127, "", reason) where the command is missing."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return 127, "", str(error)
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def system() -> dict[str, Any]:
    """Name the distribution, the processor, and who we are here."""
    release = {}
    with open("/etc/os-release", encoding="utf-8") as lines:
        for line in lines:
            key, _, value = line.strip().partition("=")
            release[key] = value.strip('"')
    user = pwd.getpwuid(os.geteuid())
    return {
        "distribution": release.get("ID", ""),
        "version": release.get("VERSION_ID", ""),
        "codename": release.get("VERSION_CODENAME", ""),
        "architecture": architecture(),
        "cpus": os.cpu_count() or 1,
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel_lacks": kernel_lacks(),
        "openssl": shutil.which("openssl") is not None,
        "systemd": os.path.isdir("/run/systemd/system"),
        "machine": machine(),
        "ipv6": os.path.exists("/proc/sys/net/ipv6/conf/all/disable_ipv6"),
        "uid": user.pw_uid,
        "gid": user.pw_gid,
        "user": user.pw_name,
        "home": user.pw_dir,
    }


def architecture(root: str = "/") -> str:
    """Return the processor's name as files/npm-package has it: an x86_64 without AVX2 runs programs of its own."""
    name = os.uname().machine
    with contextlib.suppress(OSError), open(os.path.join(root, "proc/cpuinfo"), encoding="ascii", errors="replace") as file:
        if name == "x86_64" and "avx2" not in file.read().split():
            return "x86_64-baseline"
    return name


def machine(root: str = "/") -> str:
    """Return what is the same for two names of one host, and no other host has; "" where it has nothing of the kind.

    Machines that were cloned may share the one, and containers on one kernel the other.
    """
    parts = []
    for path in ("etc/machine-id", "proc/sys/kernel/random/boot_id"):
        try:
            with open(os.path.join(root, path), encoding="ascii") as file:
                parts.append(file.read().strip())
        except OSError:
            return ""
    return " ".join(parts) if all(parts) else ""


def kernel_lacks(root: str = "/") -> list[str]:
    """Return what the kernel lacks without which an engine would run, and limits and filters of ours would not hold."""

    def read(path: str) -> str:
        try:
            with open(os.path.join(root, path), encoding="ascii", errors="replace") as file:
                return file.read()
        except OSError:
            return ""

    # Version 1 has a table of them, version 2 a line.
    rows = [row.split() for row in read("proc/cgroups").splitlines()[1:]]
    controllers = {row[0] for row in rows if row[-1] == "1"} | set(read("sys/fs/cgroup/cgroup.controllers").split())
    missing = [f"the {name} control group" for name in ("cpu", "memory", "pids") if name not in controllers]
    return missing + ([] if "Seccomp:" in read("proc/self/status") else ["seccomp"])


def engine(project: str) -> dict[str, Any]:
    """Report the engine, its two plugins, and what it has of the project: images, networks, and the services that run.

    ``state`` is one of absent, stopped, denied, running; ``package`` is the one that the engine came with, "" if it came otherwise.
    """
    label = "com.docker.compose"
    questions = {
        "info": ("docker", "info", "--format", "{{.ServerVersion}} {{.DockerRootDir}}"),
        "compose": ("docker", "compose", "version", "--short"),
        "buildx": ("docker", "buildx", "version"),
        "images": ("docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", f"localhost/{project}/*"),
        "running": ("docker", "ps", "--filter", f"label={label}.project={project}", "--format", f'{{{{.Label "{label}.service"}}}}'),
        "networks": ("sh", "-c", NETWORKS, "sh", project),
        "packages": ("dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n", "docker.io", "docker-ce"),
    }
    with ThreadPoolExecutor() as pool:
        asked = {name: pool.submit(run, *command) for name, command in questions.items()}
        done = {name: future.result() for name, future in asked.items()}
    code = {name: result[0] for name, result in done.items()}
    answer = {name: result[1] for name, result in done.items()}
    error = {name: result[2] for name, result in done.items()}
    version, _, root = answer["info"].partition(" ") if code["info"] == 0 else ("", "", "")
    if version:
        state = "running"
    elif "permission denied" in error["info"].lower():
        state = "denied"
    else:
        state = "stopped" if shutil.which("dockerd") else "absent"
    return {
        "state": state,
        "package": next((line.split()[0] for line in answer["packages"].splitlines() if line.endswith(" installed")), ""),
        "version": number(version),
        "root": root,
        "compose": number(answer["compose"]) if code["compose"] == 0 else "",
        "buildx": number(answer["buildx"]) if code["buildx"] == 0 else "",
        "images": answer["images"].split() if code["images"] == 0 else [],
        "running": answer["running"].split() if code["running"] == 0 else [],
        "networks": {name: words for name, *words in map(str.split, answer["networks"].splitlines())} if code["networks"] == 0 else {},
    }


def by_hand(project: str, description: str) -> list[str]:
    """Return the services of which a container has other limits than described, another restart policy, or other networks.

    Compose compares a container with the description that it was made from, and not with what became of it.
    """
    if not os.path.exists(description):
        return []
    questions = (
        ("docker", "compose", "--file", description, "config", "--format", "json"),
        ("sh", "-c", CONTAINERS, "sh", project),
    )
    with ThreadPoolExecutor() as pool:
        model, containers = (
            json.loads(text or "null") if code == 0 else None for code, text, _ in pool.map(lambda one: run(*one), questions)
        )
    services = (model or {}).get("services", {})
    names = {name: one["name"] for name, one in (model or {}).get("networks", {}).items()}
    found = set()
    for one in containers or []:
        service = one["Config"]["Labels"].get("com.docker.compose.service", "")
        if service in services and differs(one, services[service], names):
            found.add(service)
    return sorted(found)


def differs(container: dict[str, Any], described: dict[str, Any], names: dict[str, str]) -> bool:
    """Tell whether a container is not as described; ``names`` are the networks' names at the engine."""
    limits = container["HostConfig"]
    wanted = {
        "Memory": float(described.get("mem_limit", 0)),
        "MemorySwap": float(described.get("memswap_limit", 0)),
        "NanoCpus": float(described.get("cpus", 0)) * 1e9,
    }
    # A limit that this kernel cannot hold is 0, -1 or nothing at the engine. Compose counts processors with seven digits.
    other_limits = any(
        abs((limits.get(name) or 0) - value) > 1e6 for name, value in wanted.items() if limits.get(name) not in (0, -1, None)
    )
    return (
        other_limits
        or limits["PidsLimit"] not in (None, 0, -1, int(described.get("pids_limit", 0)))
        or limits["RestartPolicy"]["Name"] != described.get("restart", "no")
        or set(container["NetworkSettings"]["Networks"]) != {names.get(name, name) for name in described.get("networks") or {}}
    )


def number(text: str) -> str:
    """Return the first dotted number of a text such as "v2.26.1-4", "" if there is none."""
    found = re.search(r"\d+(\.\d+)+", text)
    return found.group() if found else ""


def obstacle(address: str, port: int, project: str) -> str:
    """Say why address:port cannot be listened on; "" if it can, or if our own gateway already does."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except (PermissionError, OverflowError):  # a low port, which the engine may use all the same, or no port at all
            return ""
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                return f"cannot be listened on ({error.strerror})"
        else:
            return ""
    row = '{{.Names}} {{.Label "com.docker.compose.project"}}'
    _, listed, _ = run("docker", "ps", "--filter", f"publish={port}", "--format", row)
    for line in listed.splitlines():
        name, _, owner = line.partition(" ")
        return "" if owner == project else f"is used by the container {name}"
    return f"is used by {process_on(port) or 'another process (as root, `ss -ltnp` names it)'}"


def process_on(port: int) -> str:
    """Name the process that listens on a TCP port, as far as this user may see; "" if it cannot be told."""
    sockets = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table, encoding="ascii") as lines:
                rows = [line.split() for line in lines][1:]
        except OSError:
            continue
        sockets |= {f"socket:[{row[9]}]" for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port}
    for link in glob.glob("/proc/[0-9]*/fd/*"):
        try:
            if os.readlink(link) in sockets:
                pid = link.split("/")[2]
                with open(f"/proc/{pid}/comm", encoding="utf-8") as name:
                    return f"{name.read().strip()} (process {pid})"
        except OSError:
            continue
    return ""


def workspace(path: str, home: str, new_owner: str) -> dict[str, Any]:
    """Describe the workspace, and whose it is: the owner's id, home and account decide what else may be mounted.

    A missing one is described as it will be made: for user id ``new_owner``, or "auto": 1000 by root, else us.
    """
    chosen = path == "auto"
    path = os.path.join(home, "workspace") if chosen else path
    found: dict[str, Any] = {"path": path, "auto": chosen, "kind": "missing", "home": "", "strays": False}
    try:
        status = os.stat(path)
    except OSError:
        root = os.geteuid() == 0
        found["uid"] = (1000 if root else os.geteuid()) if new_owner == "auto" else int(new_owner)
        found["gid"] = found["uid"] if root else os.getegid()
    else:
        found["kind"] = "folder" if stat.S_ISDIR(status.st_mode) else "file"
        found["path"] = os.path.realpath(path)
        found["strays"] = chosen and not inside(path, home)
        found["uid"], found["gid"] = status.st_uid, status.st_gid
    with contextlib.suppress(KeyError):
        account = pwd.getpwuid(found["uid"])
        found["home"] = account.pw_dir
        if found["kind"] == "missing":
            found["gid"] = account.pw_gid
    return found


def existing(choice: str, home: str, name: str) -> dict[str, Any]:
    """Resolve a path that may be "auto": ``name`` in ``home``; an automatic path that does not exist is "".

    Links are followed, so that what was looked at is what is mounted; ``strays`` tells of an automatic one that leads out of the home.
    """
    path = choice if choice != "auto" else os.path.join(home, name) if home else ""
    there = bool(path) and os.path.exists(path)
    if not there:
        return {"path": path if choice != "auto" else "", "exists": False, "strays": False}
    return {"path": os.path.realpath(path), "exists": True, "strays": choice == "auto" and not inside(path, home)}


def inside(path: str, folder: str) -> bool:
    """Tell whether a path, links followed, lies in a folder or is it."""
    folder = os.path.realpath(folder)
    return os.path.commonpath([os.path.realpath(path), folder]) == folder


def same(one: str, other: str) -> bool:
    """Tell whether two paths lead to the same thing, be it by a bind mount."""
    with contextlib.suppress(OSError):
        return os.path.samefile(one, other)
    return False


def exposure(path: str) -> str:
    """Say what a mount of this path would hand over that is more than work; "" if nothing does."""
    if not path or not os.path.exists(path):
        return ""
    resolved = os.path.realpath(path)
    reasons = [
        *("is the whole host" for _ in [0] if same(resolved, "/")),
        *(f"holds the system's {one}" for one in PARENT_FOLDERS if inside(one, resolved)),
        *(f"is of the system's {one}" for one in SYSTEM_FOLDERS + ENGINE_FOLDERS if inside(one, resolved) or inside(resolved, one)),
        *(f"holds the home of {name}, with all that is in it" for name, home in homes() if inside(home, resolved) or same(home, resolved)),
        *(f"holds {one}, and with it the engine" for one in sockets() if inside(one, resolved)),
    ]
    return next(iter(reasons), "")


def homes() -> list[tuple[str, str]]:
    """Return the people who have an account here, each with their home."""
    accounts = pwd.getpwall()
    people = [one for one in accounts if one.pw_uid == 0 or (one.pw_uid >= 1000 and one.pw_uid != NOBODY)]
    return [(one.pw_name, one.pw_dir) for one in people if one.pw_dir not in ("", "/")]


def sockets() -> list[str]:
    """Return the paths of the sockets by which something that runs containers or machines is commanded."""
    with open("/proc/net/unix", encoding="utf-8", errors="replace") as lines:
        named = {fields[7] for fields in (line.split(maxsplit=7) for line in lines) if len(fields) == 8}
    return sorted(path for path in (name.strip() for name in named) if path.startswith("/") and RUNTIME_SOCKET.search(path))


def addresses(known: list[str]) -> list[str]:
    """Return the host's own IPv4 addresses that are in none of the ``known`` ranges."""
    ranges = [ipaddress.IPv4Network(one) for one in known]
    found, last = set(), ""
    with open("/proc/net/fib_trie", encoding="ascii") as lines:
        for line in lines:
            if leaf := re.search(r"-- ([0-9.]+)", line):
                last = leaf.group(1)
            elif "/32 host LOCAL" in line and not any(ipaddress.IPv4Address(last) in one for one in ranges):
                found.add(last)
    return sorted(found)


def private(hosts: list[str]) -> list[str]:
    """Return those of the host names that resolve to an address which is not the internet's; one that cannot be resolved is none."""

    def resolves_to_private(host: str) -> bool:
        with contextlib.suppress(OSError, UnicodeError):
            found = {entry[4][0] for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
            return any(not ipaddress.ip_address(str(address).partition("%")[0]).is_global for address in found)
        return False

    pool = ThreadPoolExecutor()
    asked = {host: pool.submit(resolves_to_private, host) for host in hosts}
    wait(asked.values(), timeout=SECONDS_FOR_NAMES)
    pool.shutdown(wait=False, cancel_futures=True)
    return sorted(host for host, answer in asked.items() if answer.done() and answer.result())


def unreachable(fetched: dict[str, str], ca_bundle: str) -> dict[str, str]:
    """Say why there is no answer from those of the URLs (by variable) that have none. Any answer will do: a mirror may have no front page.

    The way is that of the builds: the proxies of the environment, else those that Docker's client is configured with.
    """
    proxies = urllib.request.getproxies() or docker_proxies()
    trust = ssl.create_default_context(cafile=ca_bundle or None)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler(proxies), urllib.request.HTTPSHandler(context=trust))

    def obstacle_to(url: str) -> str:
        try:
            opener.open(urllib.request.Request(url, method="HEAD"), timeout=SECONDS_FOR_AN_ANSWER).close()
        except urllib.error.HTTPError as error:
            return "the proxy wants a password" if error.code == 407 else ""
        except (OSError, ValueError) as error:
            return str(getattr(error, "reason", error))
        return ""

    def asked_again(url: str) -> str:
        # One answer that is lost on its way is no reason to refuse a deploy.
        return obstacle_to(url) and obstacle_to(url)

    with ThreadPoolExecutor() as pool:
        asked = {variable: pool.submit(asked_again, url) for variable, url in fetched.items()}
    reasons = {variable: answer.result() for variable, answer in asked.items()}
    return {variable: reason for variable, reason in reasons.items() if reason}


def needed(fetched: dict[str, str], host: dict[str, Any]) -> dict[str, str]:
    """Return those of the URLs (by variable) that a deploy to this host fetches from, as far as it shows before images have their names."""
    engine = host["engine"]
    packages = (engine["state"] == "absent" or not engine["compose"] or not engine["buildx"]) and not apt_has_proxies()
    images = not host["deployed"] and not engine["images"]
    when = {
        "docker_repository": packages,
        # One release has no Compose of its own.
        "docker_debian_mirror": packages and (host["distribution"], host["version"]) == ("debian", "12"),
        # A gateway that has certificates can wait.
        "frontend_acme_directory": 'ocweb.acme: "true"' not in host["description"],
    }
    return {variable: url for variable, url in fetched.items() if when.get(variable, images)}


def apt_has_proxies() -> bool:
    """Tell whether apt goes by proxies of its own, so that its way is another than ours."""
    return re.search(r"^Acquire::(https?::)?Proxy", run("apt-config", "dump")[1], re.MULTILINE | re.IGNORECASE) is not None


def docker_proxies() -> dict[str, str]:
    """Return the proxies that Docker's client hands to builds, by scheme."""
    folder = os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")
    try:
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
            configured = json.load(file)["proxies"]["default"]
        return {scheme: configured[f"{scheme}Proxy"] for scheme in ("http", "https") if configured.get(f"{scheme}Proxy")}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}


def source(path: str, stack_dir: str, workspace: str) -> dict[str, Any]:
    """Describe the folder of the page's source code: whose it is, and which files tell what packages it needs.

    ``manifests`` is a JSON object of their texts by path, in base64, so that nothing takes what stands in them for its own; "" if
    there is no package.json with a bun.lock.
    """
    found: dict[str, Any] = {"path": path, "kind": "missing", "uid": 0, "gid": 0, "modules": False, "manifests": ""}
    with contextlib.suppress(OSError):
        status = os.stat(path)
        found["path"] = path = os.path.realpath(path)
        found["kind"] = "folder" if stat.S_ISDIR(status.st_mode) else "file"
        found["uid"], found["gid"] = status.st_uid, status.st_gid
        found["modules"] = os.path.lexists(os.path.join(path, "node_modules"))
    found["exposed"] = exposure(path) if path else ""
    found["overlapping"] = next(
        (name for name, other in (("stack_dir", stack_dir), ("backend_workspace", workspace)) if overlap(path, other)), ""
    )
    if found["kind"] == "folder":
        texts = manifests(path)
        found["manifests"] = base64.b64encode(json.dumps(texts, sort_keys=True).encode()).decode() if texts else ""
    return found


def manifests(folder: str) -> dict[str, str]:
    """Return the texts of package.json and bun.lock, and of the package.json of each workspace; nothing where one of the two is missing."""
    with contextlib.suppress(OSError, ValueError, AttributeError, LookupError, TypeError), contextlib.ExitStack() as folders:
        # What is on the way may be for others to enter, and not to read.
        *way, last = os.path.realpath(folder).split("/")
        here = folders.enter_context(opened("/", None))
        for name in filter(None, way):
            here = folders.enter_context(opened(name, here, os.O_PATH | os.O_DIRECTORY))
        here = folders.enter_context(opened(last, here))
        texts = {**texts_below(here, ["package.json"]), **texts_below(here, ["bun.lock"])}
        patterns = json.loads(texts["package.json"]).get("workspaces") or []
        for pattern in patterns.get("packages", []) if isinstance(patterns, dict) else patterns:
            texts.update(texts_below(here, [*(part for part in pattern.split("/") if part not in ("", ".")), "package.json"]))
        return texts if "bun.lock" in texts else {}
    return {}


@contextlib.contextmanager
def opened(name: str, above: int | None, how: int = os.O_DIRECTORY) -> Iterator[int]:
    """Open what a folder that is open holds, but no link. Where others may change a path while it is looked at, it is not named twice.

    Raises:
        OSError: it is not there, a link, or no folder.
    """
    handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | how, dir_fd=above)
    try:
        yield handle
    finally:
        os.close(handle)


def texts_below(folder: int, parts: Sequence[str], place: str = "") -> dict[str, str]:
    """Return the texts of the files that the parts of a pattern lead to from a folder that is open, by path.

    Raises:
        ValueError: one is no text.
    """
    first, *rest = parts
    found = {}
    for name in fnmatch.filter(sorted(os.listdir(folder)), first):
        with contextlib.suppress(OSError), opened(name, folder, os.O_DIRECTORY if rest else os.O_NONBLOCK) as handle:
            if rest:
                found.update(texts_below(handle, rest, f"{place}{name}/"))
            elif stat.S_ISREG(os.fstat(handle).st_mode) and os.fstat(handle).st_size <= LARGEST_MANIFEST:
                with open(handle, encoding="utf-8", closefd=False) as file:
                    found[f"{place}{name}"] = file.read(LARGEST_MANIFEST)
    return found


def revoked_keys(records: str) -> dict[str, dict[str, str]]:
    """Return who revoked which keys when, by fingerprints; llm_proxy writes it down, and what it has not yet is a file beside that."""
    found: dict[str, dict[str, str]] = {}
    for path in glob.glob(os.path.join(glob.escape(os.path.dirname(records)), "revoked.*.*")):
        with contextlib.suppress(OSError):
            at = datetime.fromtimestamp(os.lstat(path).st_ctime, timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
            found[os.path.basename(path).split(".")[1]] = {"at": at, "by": "a run that had not ended"}
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError), open(records, encoding="utf-8") as file:
        found.update(json.load(file)["revoked"])
    return found


def by_file() -> bool:
    """Tell whether Ansible put what it runs into a file here, with what it hands to it, although it was asked not to (pipelining).

    It does so where it becomes root by `su` and the like, and where it asks for a terminal: lib/ansible/plugins/connection, become.
    """
    try:
        with open(f"/proc/{os.getppid()}/cmdline", "rb") as file:
            return b"AnsiballZ_" in file.read()
    except OSError:
        return False


def paths(root: str) -> list[dict[str, Any]]:
    """Describe the services' folders as their roles do, so that only those that differ cost a task."""
    found = []
    for path in sorted(path for pattern in ("*/", "*/*/") for path in glob.glob(os.path.join(glob.escape(root), pattern))):
        with contextlib.suppress(OSError):
            status = os.stat(path)
            mode = f"{stat.S_IMODE(status.st_mode):04o}"
            found.append({"path": path.rstrip("/"), "owner": status.st_uid, "group": status.st_gid, "mode": mode})
    return found


def written(root: str) -> list[str]:
    """Return SHA-256 and path of each file of the configuration, so that only those that differ cost a task."""
    found = []
    for pattern in ("compose.yml", "*/config/*"):
        for path in sorted(glob.glob(os.path.join(glob.escape(root), pattern))):
            with contextlib.suppress(OSError):
                status = os.lstat(path)
                if stat.S_ISREG(status.st_mode) and stat.S_IMODE(status.st_mode) == 0o644:
                    with open(path, "rb") as file:
                        found.append(f"{hashlib.sha256(file.read()).hexdigest()} {path}")
    return found


def overlap(path: str, folder: str) -> bool:
    """Tell whether one of two paths lies in the other; no path lies nowhere."""
    resolved = [os.path.realpath(path), os.path.realpath(folder)]
    return bool(path) and os.path.commonpath(resolved) in resolved


def last_deploy(folder: str) -> tuple[dict[str, str], bool]:
    """Return the images of the last deploy that was healthy, and whether what is described now is that one (see deploys.py)."""
    try:
        with open(os.path.join(folder, "deployed/deploy.json"), encoding="utf-8") as record:
            images = json.load(record)["images"]
        with (
            open(os.path.join(folder, "deployed/compose.yml"), encoding="utf-8") as kept,
            open(os.path.join(folder, "compose.yml"), encoding="utf-8") as now,
        ):
            return images, kept.read() == now.read()
    except (OSError, ValueError, KeyError):
        return {}, False


def text(path: str) -> str:
    """Return what a file holds; "" where there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""


def stack_folder(choice: str, home: str) -> str:
    """Return the stack's folder, spelt as Compose does: what lies in it is known by its path, here and in the roles."""
    usual = "/opt/ocweb" if os.geteuid() == 0 else os.path.join(home, ".local/share/ocweb")
    return os.path.normpath(usual if choice == "auto" else choice)


def unwritable(stack_dir: str, user: str) -> str:
    """Say why we, who are called ``user``, could not write to the stack's folder, or make it; "" if we could."""
    there = stack_dir
    while there and not os.path.lexists(there):
        there = os.path.dirname(there)
    if not os.path.isdir(there):
        return f"{there} is no folder"
    if not os.access(there, os.W_OK | os.X_OK, effective_ids=True):
        return f"{user} may not write to {there}"
    with contextlib.suppress(OSError):
        owner = os.stat(os.path.join(stack_dir, "compose.yml")).st_uid
        if os.geteuid() not in (0, owner):
            return f"the stack there was deployed by user id {owner}"
    return ""


def other_project(stack_dir: str, project: str) -> str:
    """Return the Compose project whose folder it is, "" if that is this one, or none."""
    named = re.search(r"^name: (\S+)$", text(os.path.join(stack_dir, "compose.yml")), re.MULTILINE)
    return named.group(1) if named and named.group(1) != project else ""


def foreign(stack_dir: str, project: str) -> list[str]:
    """Return what else lies in a folder that no stack of the project was deployed to; what is in a stack's folder goes with the stack."""
    try:
        found = set(os.listdir(stack_dir))
    except OSError:
        return []
    if any(f"\nname: {project}\n" in text(os.path.join(stack_dir, name)) for name in ("compose.yml", "build.yml")):
        return []
    return sorted(name for name in found - OURS if not HALF_WRITTEN.match(name))


def free(path: str) -> int:
    """Return the free bytes of the file system that will hold the path."""
    while path and not os.path.exists(path):
        path = os.path.dirname(path)
    return shutil.disk_usage(path or "/").free


def misspelt(given: list[str], known: list[str]) -> dict[str, str]:
    """Return which names are so near to a known one that it will have been meant, and which that is."""
    nearest = {name: difflib.get_close_matches(name, known, 1, 0.85) for name in sorted(given) if name not in known}
    return {name: found[0] for name, found in nearest.items() if found}


def main() -> None:
    question = json.loads(sys.argv[1])
    host = system()
    host["by_file"] = by_file()
    host["stack_dir"] = stack_folder(question["stack_dir"], host["home"])
    host["misspelt"] = misspelt(question["given"], question["known"])
    with ThreadPoolExecutor() as pool:
        differing = pool.submit(by_hand, question["project"], os.path.join(host["stack_dir"], "compose.yml"))
        host["engine"] = engine(question["project"])
        host["by_hand"] = differing.result()
    found = host["engine"].pop("networks")
    wanted = {f"{question['project']}_{name}": words for name, words in question["networks"].items()}
    host["wrong_networks"] = [name for name, words in wanted.items() if name in found and not set(words) <= set(found[name])]
    address, port, redirect = (question["listen"][name] for name in ("address", "port", "redirect"))
    host["obstacle"] = obstacle(address, port, question["project"])
    host["redirect_obstacle"] = obstacle(address, redirect, question["project"]) if redirect else ""
    host["workspace"] = workspace(question["workspace"], host["home"], question["workspace_owner"])
    debug_port = question["debug_port"]
    host["debug_obstacle"] = obstacle("127.0.0.1", debug_port, question["project"]) if debug_port else ""
    owner_home = host["workspace"]["home"]
    host["gitconfig"] = existing(question["gitconfig"], owner_home, ".gitconfig")
    host["ssh_dir"] = existing(question["ssh_dir"], owner_home, ".ssh")
    bundles = CA_BUNDLES if question["ca_bundle"] == "auto" else (question["ca_bundle"],)
    host["addresses"] = addresses(question["private_ranges"])
    host["ca_bundle"] = next((path for path in bundles if os.path.exists(path)), "")
    host["revoked_keys"] = revoked_keys(os.path.join(host["stack_dir"], "llm-proxy/records/keys.json"))
    host["canary"] = os.path.exists(os.path.join(host["stack_dir"], "llm-proxy/secrets/canary"))
    host["paths"] = paths(host["stack_dir"])
    host["written"] = written(host["stack_dir"])
    mounted = {"backend_workspace": host["workspace"], "backend_gitconfig": host["gitconfig"], "backend_ssh_dir": host["ssh_dir"]}
    host["overlapping"] = [variable for variable, found in mounted.items() if overlap(found["path"], host["stack_dir"])]
    host["exposed"] = {variable: exposure(found["path"]) for variable, found in mounted.items()}
    host["source"] = source(question["source"], host["stack_dir"], host["workspace"]["path"])
    host["private_upstreams"] = private(question["upstreams"])
    host["description"] = text(os.path.join(host["stack_dir"], "compose.yml"))
    host["deployed"] = host["description"] != ""
    host["unreachable"] = unreachable(needed(question["fetched"], host), host["ca_bundle"])
    host["deployed_images"], host["deploy_kept"] = last_deploy(host["stack_dir"])
    host["other_project"] = other_project(host["stack_dir"], question["project"])
    host["foreign"] = foreign(host["stack_dir"], question["project"])
    host["unwritable"] = unwritable(host["stack_dir"], host["user"])
    host["free"] = {
        "stack_dir": free(host["stack_dir"]),
        "engine": free(host["engine"]["root"] or "/var/lib/docker"),
    }
    print(json.dumps(host))


if __name__ == "__main__":
    main()
