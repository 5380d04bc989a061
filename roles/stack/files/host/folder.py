"""A stack on this host: its folder, and its project at the engine. The programs of the life cycle stand on this."""

from __future__ import annotations

import contextlib
import datetime
import errno
import fcntl
import json
import os
import pwd
import shutil
import stat
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

# What a service may take to stop where nobody waits for its streams to end.
STOP_SECONDS = 5
# A service that ended this often while the others start will not stay.
DEATHS = 5
# At least, for what ran before to be healthy again. A limit may be too short on purpose, and says nothing of a stack that was well.
SECONDS_TO_RETURN = 180
LABEL = "com.docker.compose"
# Where root's stack lies unless it is said.
ROOTS = Path("/opt/ocweb")


class Refusal(Exception):
    """Why a program does not do what it was asked, in words for people. ``changed`` tells whether something was done before."""

    def __init__(self, text: str, changed: bool = False) -> None:
        super().__init__(text)
        self.changed = changed


class Unanswered(Refusal):
    """A command did not say what is there, and that is not to be taken for nothing."""


def answered(work: Callable[[dict[str, Any]], dict[str, Any]], question: dict[str, Any]) -> dict[str, Any]:
    """Do a program's work and return what comes of it, with ``error``: "", or why nothing did."""
    try:
        return {"error": "", **work(question)}
    except Refusal as refusal:
        return {"error": str(refusal), "changed": refusal.changed}
    except OSError as error:
        if error.errno != errno.ENOSPC:
            return {"error": traceback.format_exc(), "changed": True}
        return {"error": f"{error.strerror}: {error.filename or question.get('stack_dir', '')}. Free some, and run again.", "changed": True}
    except Exception:
        # The task that runs it shows nothing of its output, which may hold a password.
        return {"error": traceback.format_exc(), "changed": True}


def run(*command: str, timeout: float | None = 60) -> subprocess.CompletedProcess[str]:
    """Run a command, which may fail; a missing one or one that takes longer than ``timeout`` seconds has exit code 127."""
    nothing = subprocess.DEVNULL
    try:
        return subprocess.run(command, stdin=nothing, capture_output=True, text=True, errors="replace", timeout=timeout, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 127, "", str(error))


def said(*command: str) -> list[str]:
    """Return the lines that a command prints, sorted and each once.

    Raises:
        Unanswered: it failed.
    """
    done = run(*command)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise Unanswered(f"`{' '.join(command[:3])}` failed on this host, so that what is there is not known: {reason}.")
    return sorted(set(done.stdout.splitlines()))


def reason(error: OSError, path: Path | None = None) -> str:
    """Say what is wrong with which path of the host; ``path`` where the error's own is a part of it."""
    return f"{path or error.filename or 'A file'} on the host: {error.strerror}. Look after that, and run again."


def opened_folder(path: Path, links: int = 8) -> int:
    """Open a folder without following a link that anyone but root and we could have put there; return its descriptor.

    Raises:
        Refusal: there is such a link on the way, or there are more than ``links``.
        OSError: it is no folder, or not there.
    """
    # With its "..", which mean what they mean to the kernel.
    parts = Path(os.path.join(os.getcwd(), path)).parts[1:]
    folder = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    try:
        for place, name in enumerate(parts):
            status = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode):
                around = os.fstat(folder)
                anyones = around.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not around.st_mode & stat.S_ISVTX
                if not links or anyones or not {status.st_uid, around.st_uid} <= {0, os.geteuid()}:
                    raise Refusal(f"{path}: {name} is a link that someone other than root may have put there, and it is not followed.")
                # Where it leads to may have links too.
                target = os.readlink(name, dir_fd=folder)
                return opened_folder(Path("/", *parts[:place], target, *parts[place + 1 :]), links - 1)
            # What is on the way may be for others to enter, and not to read.
            last = place == len(parts) - 1
            inner = os.open(name, (os.O_RDONLY if last else os.O_PATH) | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
        return os.dup(folder)
    finally:
        os.close(folder)


def clear(path: Path, last: tuple[str, ...] = ()) -> None:
    """Remove what a folder holds, the files ``last`` at the end.

    Raises:
        Refusal: the way there leads through somebody else's link.
    """
    folder = opened_folder(path)
    try:
        for name in sorted(os.listdir(folder), key=lambda name: name in last):
            if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                # By the descriptor, since the path may lead elsewhere by now.
                remove(Path(f"/proc/self/fd/{folder}/{name}"))
            else:
                os.unlink(name, dir_fd=folder)
    finally:
        os.close(folder)


def reached(path: Path) -> Path | None:
    """Return a path; where we may not look for it, the folder that keeps us from that; None where it is not there."""
    try:
        path.stat()
    except PermissionError:
        return reached(path.parent)
    except OSError:
        return None
    return path


def account(number: int) -> str:
    """Return what a user is called on this host; "" where that is nothing."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return ""


def remove(path: Path) -> None:
    """Remove a folder with what it holds, also what its owner may not write to, as Go leaves its modules: only root may always."""
    if os.geteuid():
        path.chmod(0o700)
        for folder, inner, _ in os.walk(path):
            for name in inner:
                if not os.path.islink(os.path.join(folder, name)):
                    os.chmod(os.path.join(folder, name), 0o700)
    shutil.rmtree(path)


def now() -> str:
    """Return the time as UTC in ISO 8601, to the second."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def source(name: str) -> str:
    """Return a module's own text, however it was loaded."""
    module = sys.modules[name]
    return str(module.__dict__.get("SOURCE") or Path(str(module.__file__)).read_text(encoding="utf-8"))


def opened_plain(path: Path) -> BinaryIO:
    """Open a file to read it; a link is not followed and a pipe not waited for, since services may write where it lies."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")


def key_names(root: Path) -> set[str]:
    """Return the names of the providers' keys on this host."""
    folder = root / "llm-proxy/keys"
    return {name for name in os.listdir(folder) if not name.startswith(".")} if folder.is_dir() else set()


def read(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; {} where there is none that can be read."""
    try:
        with opened_plain(path) as file:
            found = json.load(file)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write(path: Path, content: bytes, mode: int) -> None:
    """Put a file into its place in one step, so that a killed run leaves the old one or the new one."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def stack_folder(choice: str) -> Path:
    """Return where a stack of ours lies, or would; ``choice`` may be "auto", as the role has it.

    Raises:
        Refusal: what is there is another user's, and we are not root.
    """
    me = os.geteuid()
    home = str(ROOTS) if me == 0 else os.path.expanduser("~/.local/share/ocweb")
    # Spelt as the survey and Compose do.
    path = Path(os.path.normpath(home if choice == "auto" else choice))
    place = next(filter(None, map(reached, (path / "compose.yml", path / "build.yml", path))), None)
    if place is None or me in (0, owner := place.stat().st_uid):
        return path
    # Another user may have made the folder for a stack of ours.
    if place.is_dir() and os.access(place, os.W_OK | os.X_OK, effective_ids=True):
        return path
    # Nobody can become a user without an account.
    name = account(owner) or "root"
    become = "--become" if name == "root" else f"--become --become-user={name}"
    raise Refusal(
        f"stack_dir: what is in {path} is not for {account(me) or me} to change, as whom Ansible works on this host: {place} belongs to "
        f"{account(owner) or owner}. Become {name} ({become}), or log in as that user."
    )


def roots() -> str:
    """Say that root has a stack here, to whoever finds none of their own; "" where that is nothing to say."""
    return f" The one in {ROOTS} is root's: become root (--become) for it." if os.geteuid() and reached(ROOTS / "compose.yml") else ""


class Stack:
    """The stack of a Compose project. ``stack_dir`` may be "auto", as the role has it.

    Raises:
        Refusal: what is there is another user's.
    """

    def __init__(self, stack_dir: str, project: str) -> None:
        self.path = stack_folder(stack_dir)
        self.project = project
        self.description = self.path / "compose.yml"

    def need(self) -> None:
        """See that there is a stack here, ours, and an engine.

        Raises:
            Refusal: something of that is not so.
        """
        if not self.description.exists():
            raise Refusal(f"There is no stack in {self.path} (stack_dir). Deploy one with site.yml, or name its folder.{roots()}")
        if f"\nname: {self.project}\n" not in self.description.read_text(encoding="utf-8"):
            raise Refusal(
                f"The stack in {self.path} (stack_dir) is not of the project {self.project} (stack_project). Name both as it was deployed."
            )
        if problem := self.engine_problem():
            raise Refusal(problem)

    @contextlib.contextmanager
    def alone(self, seconds: int = 600) -> Iterator[None]:
        """Wait until no other program works on this stack, such as one of a run that was killed, and keep others waiting meanwhile.

        Raises:
            Refusal: one is still at it after ``seconds``.
        """
        folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        end = time.monotonic() + seconds
        try:
            while True:
                try:
                    fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > end:
                        raise Refusal(
                            f"Another deploy, rollback or restore is at work in {self.path}. Run again when it has ended."
                        ) from None
                    time.sleep(0.2)
            yield
        finally:
            os.close(folder)

    def engine_problem(self) -> str:
        """Say why the engine cannot be asked; "" if it can."""
        asked = run("docker", "version", "--format", "{{.Server.Version}}")
        if asked.returncode == 0:
            return ""
        reason = (asked.stderr.strip().splitlines() or ["no reason given"])[-1]
        return f"The engine does not answer: {reason}. Start it, for example with `systemctl start docker`."

    def compose(self, *arguments: str, file: Path | None = None, timeout: float | None = 60) -> subprocess.CompletedProcess[str]:
        """Run a Compose command on the stack, or on what another file describes as if it lay in the stack's folder."""
        where = ("--project-name", self.project, "--project-directory", str(self.path), "--file", str(file or self.description))
        return run("docker", "compose", *where, *arguments, timeout=timeout)

    def model(self, file: Path | None = None) -> dict[str, Any]:
        """Return what a description says, as Compose understands it; {} where it does not."""
        done = self.compose("config", "--format", "json", file=file)
        return json.loads(done.stdout or "{}") if done.returncode == 0 else {}

    def workspace(self) -> str:
        """Return the folder on the host that the agent works in; "" where Compose does not say."""
        volumes = self.model().get("services", {}).get("backend", {}).get("volumes", []) if self.description.exists() else []
        return next((str(one["source"]) for one in volumes if one.get("target") == "/workspace"), "")

    def up(self, seconds: int, recreate: bool = False, hurry: bool = True, without: str = "") -> str:
        """Start what is described, without a build, and say which services are not healthy after ``seconds``; "" if all are.

        The service ``without`` is left as it is, and not waited for. With ``hurry``, what has to stop is given five seconds for it, else
        the time that its description says. All start at once, as at a boot: one after the other, as Compose starts them, takes twice as
        long, and no limit of its own holds for it.
        """
        options = [
            "--no-build",
            "--pull",
            "never",
            "--remove-orphans",
            *(["--timeout", str(STOP_SECONDS)] if hurry else []),
            *(["--force-recreate"] if recreate else []),
        ]
        done = self.compose("up", "--no-start", *options, timeout=None)
        wanted = set(self.model().get("services", {})) - {without}
        if done.returncode or not wanted:
            return f"not all of it can be started ({(done.stderr.strip().splitlines() or ['Compose gave no reason'])[-1].strip()})"
        there = [one for one in self.containers() if one["service"] != without]
        started = run("docker", "start", *(one["id"] for one in there), timeout=None)
        if started.returncode:
            return f"not all of it can be started ({started.stderr.strip().splitlines()[0]})"
        before = {one["id"]: int(one["restarts"]) for one in there}
        # Compose gives up on a service at its first word of being unwell, which a slow start may be.
        end = time.monotonic() + seconds
        while True:
            now = self.containers()
            unwell = wanted - {one["service"] for one in now if one["health"] == "healthy"}
            if not unwell:
                return ""
            dying = {one["service"] for one in now if int(one["restarts"]) - before.get(one["id"], 0) >= DEATHS}
            if dying or time.monotonic() > end:
                return ", ".join(f"{name} (ends whenever it is started)" if name in dying else name for name in sorted(unwell | dying))
            time.sleep(0.2)

    def containers(self) -> list[dict[str, Any]]:
        """Describe the project's containers, in the order of their services: ids, states, images, published ports."""
        ids = run("docker", "ps", "--all", "--quiet", "--filter", f"label={LABEL}.project={self.project}").stdout.split()
        found = json.loads(run("docker", "container", "inspect", *ids).stdout or "[]") if ids else []
        described = []
        for one in found:
            state, labels = one["State"], one["Config"]["Labels"]
            running = state["Status"] == "running"
            described.append(
                {
                    "id": one["Id"],
                    "name": one["Name"].lstrip("/"),
                    "service": labels.get(f"{LABEL}.service", "?"),
                    "image": one["Config"]["Image"],
                    "state": state["Status"],
                    "health": state.get("Health", {}).get("Status", "none") if running else "",
                    "started": state["StartedAt"] if running else "",
                    "restarts": one["RestartCount"],
                    "exit_code": state["ExitCode"],
                    "out_of_memory": state["OOMKilled"],
                    "ports": sorted(
                        f"{at['HostIp']}:{at['HostPort']}"
                        for entry in (one["NetworkSettings"]["Ports"] or {}).values()
                        for at in entry or []
                    ),
                }
            )
        return sorted(described, key=lambda one: str(one["service"]))

    def missing(self, images: Iterable[str]) -> list[str]:
        """Return those of the images that the engine does not have."""
        return [image for image in sorted(set(images)) if run("docker", "image", "inspect", "--format", "{{.Id}}", image).returncode]
