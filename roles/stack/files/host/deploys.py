"""Keeps what was deployed last and before, and brings it back, in seconds and without a build.

``deployed/`` in the stack's folder is the last deploy that was healthy, ``previous/`` the one before it. Each holds compose.yml, what
the services have mounted from their config folders, deploy.json ({at, images, format, keys: names alone}), and, where the deploy after
it changes OpenCode, opencode.db: the sessions as they were just before. Keys with their weights, secrets and the sessions themselves are
not part of a deploy.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from folder import SECONDS_TO_RETURN, Refusal, Stack, answered, key_names, now, read, source, write
from sessions import DATABASE, Sessions

RECORDS = ("deployed", "previous")
# The last deploy, while it changes places with the one before.
SWAP = ".swap"
# How often each key is chosen. It changes with the keys, by rotations too, and stays with them.
WEIGHTS = "llm-proxy/config/keys.json"


def configuration(root: Path) -> dict[str, tuple[bytes, int]]:
    """Return what a deploy consists of: each file's path in ``root``, with its content and mode."""
    files = {str(path.relative_to(root)): path for path in (root / "compose.yml", *sorted(root.glob("*/config/**/*")))}
    return {
        name: (path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
        for name, path in files.items()
        if path.is_file() and not path.is_symlink() and path.relative_to(root).parts[0] not in RECORDS and name != WEIGHTS
    }


def has_login(root: Path) -> bool:
    """Tell whether the gateway of a deploy asks who somebody is."""
    gateway = root / "gateway/config/Caddyfile"
    return gateway.exists() and "/-/login" in gateway.read_text(encoding="utf-8")


def put(content: dict[str, tuple[bytes, int]], root: Path) -> list[str]:
    """Make ``root`` hold this configuration, compose.yml last; return what was changed.

    What is the same keeps its inode, which may be mounted.
    """
    there = configuration(root)
    changed = differences(there, content)
    for name in sorted(changed, key=lambda name: name == "compose.yml"):
        if name in content:
            (root / name).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            write(root / name, *content[name])
        else:
            (root / name).unlink()
    return changed


def differences(one: dict[str, tuple[bytes, int]], other: dict[str, tuple[bytes, int]]) -> list[str]:
    """Return the names of the files that are not the same."""
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))


def today(sessions: Sessions) -> list[str] | None:
    """Return the format of the sessions as they are; None where they cannot be read."""
    try:
        return sessions.format()
    except RuntimeError:
        return None


class Deploys:
    """What is kept of a stack's deploys."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.deployed, self.previous = (stack.path / name for name in RECORDS)
        self.aside = ""

    def images(self, file: Path) -> dict[str, str]:
        """Return each service's image in a description."""
        return {name: str(service["image"]) for name, service in self.stack.model(file).get("services", {}).items()}

    def sessions(self, image: str) -> Sessions:
        """Return the agent's home, worked on with this image of the proxy."""
        return Sessions(self.stack.path / "backend/home", image, source("sessions"))

    def of_record(self, record: Path) -> Sessions:
        """Return the agent's home, worked on with the image of a deploy that is kept."""
        return self.sessions(read(record / "deploy.json")["images"]["llm-proxy"])

    def keep(self) -> bool:
        """Take what runs, and is healthy, for the last good deploy; what was that becomes the one before. Return whether it was another."""
        running = configuration(self.stack.path)
        if (self.deployed / "deploy.json").exists() and not differences(configuration(self.deployed), running):
            copy = self.deployed / Path(DATABASE).name
            if copy.exists() and self.newer_format(self.deployed) == []:
                copy.unlink()
            return False
        fresh = self.stack.path / ".deployed.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        try:
            self.record(running, fresh)
        except BaseException:  # on a full disk, what was written of it would stay in the way
            shutil.rmtree(fresh, ignore_errors=True)
            raise
        if self.deployed.exists():
            shutil.rmtree(self.previous, ignore_errors=True)
            self.deployed.rename(self.previous)
        fresh.rename(self.deployed)
        return True

    def record(self, running: dict[str, tuple[bytes, int]], folder: Path) -> None:
        """Write a configuration into a folder, and what else is to be known of the deploy that has it."""
        put(running, folder)
        images = self.images(self.stack.description)
        record = {
            "at": now(),
            "images": images,
            # Of sessions that cannot be read, or are not there yet, what was known last.
            "format": today(self.sessions(images["llm-proxy"])) or read(self.deployed / "deploy.json").get("format", []),
            "keys": sorted(key_names(self.stack.path)),
        }
        write(folder / "deploy.json", json.dumps(record, indent=1).encode(), 0o600)

    def before(self) -> bool:
        """Keep a copy of the sessions' database beside the last good deploy, before another OpenCode may change its format."""
        image = read(self.deployed / "deploy.json").get("images", {}).get("llm-proxy", "")
        if not image or self.stack.missing([image]):
            return False
        copy = self.deployed / Path(DATABASE).name
        if copy.exists() and self.newer_format(self.deployed) != []:
            # Of a deploy that was killed after it had changed them: there is no other copy.
            return False
        fresh = copy.with_name(f".{copy.name}.new")
        fresh.unlink(missing_ok=True)
        try:
            if not self.sessions(image).format():
                return False
            # As it is seen from inside: links of the agent's lead elsewhere from here.
            if int(self.sessions(image).ask("size")) > shutil.disk_usage(self.stack.path).free // 2:
                raise Refusal(
                    f"{self.stack.path} has no room for a copy of the sessions, which a new OpenCode may change. Free some space."
                )
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                self.sessions(image).ask("copy", stdout=file)
        except RuntimeError as error:
            way = f"Where they are damaged, restore a backup, or move {DATABASE} in {self.stack.path}/backend/home out of the way."
            raise Refusal(f"The sessions, which a new OpenCode may change, cannot be copied before: {error}. {way}") from error
        fresh.replace(copy)
        return True

    def newer_format(self, record: Path) -> list[str] | None:
        """Return the changes that the sessions' format went through since a deploy that is kept."""
        found = today(self.of_record(record))
        return None if found is None else sorted(set(found) - set(read(record / "deploy.json").get("format", [])))

    def switch(self, record: Path, seconds: int, recreate: bool = False, restore_sessions: bool = False, aside: str = "") -> str:
        """Make a kept deploy the one that runs; return which services are not healthy then, "" if all are.

        With ``restore_sessions`` the sessions are those that are kept with it; ``self.aside`` names those that were there, and to name
        them as ``aside`` brings them back. Where that fails, the agent stays stopped.
        """
        if self.stack.model().get("networks") != self.stack.model(record / "compose.yml").get("networks"):
            self.stack.compose("down", "--remove-orphans", "--timeout", "5", timeout=None)
        put(configuration(record), self.stack.path)
        if restore_sessions or aside:
            self.stack.compose("stop", "--timeout", "5", "backend", timeout=None)
        try:
            if restore_sessions:
                with (record / Path(DATABASE).name).open("rb") as copy:
                    self.aside = self.of_record(record).ask("put", stdin=copy).decode().strip()
            if aside:
                self.of_record(record).ask("take_back", aside)
        except RuntimeError as error:
            stopped = f"backend, which is stopped (its sessions cannot be put back: {error})"
            # From the deploy before the last one, a rollback that fails goes back.
            others = self.stack.up(seconds, recreate, without="backend") if record != self.previous else ""
            return ", ".join(filter(None, (stopped, others)))
        return self.stack.up(seconds, recreate)

    def up(self, seconds: int) -> dict[str, Any]:
        """Start what is described, as far as it does not run, and return what is there once it is well or ``seconds`` have passed."""
        before = [(one["id"], one["started"]) for one in self.stack.containers()]
        unwell = self.stack.up(seconds, hurry=False)
        now = self.stack.containers()
        services = [{"service": one["service"], "state": one["health"] or one["state"]} for one in now]
        return {"changed": before != [(one["id"], one["started"]) for one in now], "unwell": unwell, "services": services}

    def save_logs(self) -> Path:
        """Write what the services that did not come up said to a file, before they go."""
        path = self.stack.path / "failed.log"
        parts = [self.stack.compose("ps", "--all"), self.stack.compose("logs", "--no-color", "--timestamps", "--tail", "200")]
        write(path, "\n".join(part.stdout + part.stderr for part in parts).encode(), 0o600)
        return path

    def come_back(self, seconds: int, recreate: bool) -> str:
        """After a deploy that is not healthy, bring the last good one back; return in words what came of it, "" if there is none."""
        record = read(self.deployed / "deploy.json")
        if not record or not differences(configuration(self.deployed), configuration(self.stack.path)):
            return ""
        log = self.save_logs()
        if missing := self.stack.missing(record["images"].values()):
            return f"The deploy of {record['at']} cannot come back: its images are gone ({', '.join(missing)}). Why it failed: {log}"
        newer = self.newer_format(self.deployed)
        copy = self.deployed / Path(DATABASE).name
        # What cannot be read is no better than what the old one cannot.
        unwell = self.switch(self.deployed, seconds, recreate, restore_sessions=newer != [] and copy.exists())
        if self.aside or newer == []:
            copy.unlink(missing_ok=True)
        if unwell:
            return f"The deploy of {record['at']} is back, but not healthy either: {unwell}. Why the new one failed: {log}"
        kept = (
            f" Its sessions are those from before the deploy; the others lie beside them ({DATABASE}.{self.aside})." if self.aside else ""
        )
        return f"The deploy of {record['at']} is back and healthy.{kept} Why the new one failed: {log}"

    def target(self) -> Path:
        """Return what a rollback goes to: the last good deploy where what is described now is another, else the one before it."""
        if (self.deployed / "deploy.json").exists() and differences(configuration(self.deployed), configuration(self.stack.path)):
            return self.deployed
        return self.previous

    def roll_back(self, seconds: int, restore_sessions: bool, check: bool) -> list[str]:
        """Go back to the deploy before, and keep the one that was: the next rollback returns to it. Return what was done, in lines.

        Raises:
            Refusal: there is none, it cannot be run, or it did not become healthy (what ran before is back then).
        """
        target = self.target()
        record = read(target / "deploy.json")
        if not record:
            raise Refusal(
                f"There is no deploy to go back to: {self.previous} is not there yet. Each deploy that changes something leaves one."
            )
        if missing := self.stack.missing(record["images"].values()):
            gone = f"The deploy of {record['at']} cannot come back: its images are gone ({', '.join(missing)})."
            raise Refusal(f"{gone} Deploy that version with site.yml, which builds them.")
        newer = self.newer_format(target)
        copy = target / Path(DATABASE).name
        if newer and not (restore_sessions and copy.exists()):
            reason = f"The OpenCode of {record['at']} may not read today's sessions: their format changed ({', '.join(newer)})."
            if not copy.exists():
                raise Refusal(f"{reason} No copy from before is kept: deploy that version with site.yml, and restore a backup.")
            way = f"With stack_rollback_sessions: true they come back as they were before ({copy}), and today's are kept beside them."
            raise Refusal(f"{reason} {way}")
        lines = self.plan(target, record)
        if check:
            return lines
        unwell = self.switch(target, seconds, restore_sessions=bool(newer))
        if unwell:
            said = f"The deploy of {record['at']} did not become healthy within {seconds} seconds (stack_start_timeout): {unwell}."
            if target == self.previous:
                back = self.switch(self.deployed, max(seconds, SECONDS_TO_RETURN), aside=self.aside)
                said += f" What ran before is not healthy either: {back}." if back else " What ran before is back and healthy."
            elif self.aside:
                said += f" Today's sessions lie beside its own ({DATABASE}.{self.aside})."
            raise Refusal(said, changed=True)
        if target == self.previous:
            self.deployed.rename(self.stack.path / SWAP)
            self.exchange()
        return lines

    def exchange(self) -> None:
        """Make the deploy before the last one, and the last one what is set aside; also where a rollback was killed at that."""
        aside = self.stack.path / SWAP
        if not aside.exists():
            return
        if not self.deployed.exists():
            self.previous.rename(self.deployed)
        aside.rename(self.previous)

    def plan(self, target: Path, record: dict[str, Any]) -> list[str]:
        """Say what a rollback changes."""
        current = self.images(self.stack.description)
        lines = [f"The deploy of {record['at']} comes back"]
        lines += [
            f"{name}: {current.get(name, 'none')} -> {image}"
            for name, image in sorted(record["images"].items())
            if current.get(name) != image
        ]
        lines += [f"{name} changes" for name in differences(configuration(self.stack.path), configuration(target))]
        if has_login(self.stack.path) and not has_login(target):
            lines.append("The page has no login then (frontend_users), as it had none at that time")
        lost = sorted(set(record.get("keys", [])) - key_names(self.stack.path))
        lines += [f"{name}: its key is no longer on this host, so that its models do not answer until a deploy brings one" for name in lost]
        return lines


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """Do ``do``: up, keep, before, come_back or roll_back, in the stack in ``stack_dir`` of ``project``.

    Besides: seconds, recreate, restore_sessions, check.
    """
    stack = Stack(question["stack_dir"], question["project"])
    stack.need()
    with contextlib.nullcontext() if question.get("check") else stack.alone():
        return carried_out(Deploys(stack), question)


def carried_out(deploys: Deploys, question: dict[str, Any]) -> dict[str, Any]:
    """Do ``do``, while nothing else is at work on the stack, and return what came of it."""
    seconds, check = int(question.get("seconds", 300)), bool(question.get("check", False))
    recreate, restore_sessions = (bool(question.get(name, False)) for name in ("recreate", "restore_sessions"))
    deed: Callable[[], dict[str, Any]] = {
        "up": lambda: deploys.up(seconds),
        "keep": lambda: {"changed": deploys.keep()},
        "before": lambda: {"changed": deploys.before()},
        "come_back": lambda: {"said": (said := deploys.come_back(seconds, recreate)), "changed": bool(said)},
        "roll_back": lambda: {"lines": deploys.roll_back(seconds, restore_sessions, check), "changed": True},
    }[question["do"]]
    if not check:
        deploys.exchange()
    return deed()


def main(question: dict[str, Any]) -> dict[str, Any]:
    """Return what came of it, and ``error``."""
    return answered(answer, question)
