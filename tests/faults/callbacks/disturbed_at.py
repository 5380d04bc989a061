"""An Ansible callback that disturbs the run at its task number OCWEB_AT, or the first whose name begins with a line of it.

OCWEB_DEED says how:

kill        the whole run is killed, without warning, a moment after the task has begun, and before the next one does
connection  only what carries the task to the server is killed, as soon as it is there
else        a command of the shell, which runs before the task begins; "" is none

Each task that began goes to the file OCWEB_TASKS as a line of JSON: its name, and whether it changed something.
"""

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: disturbed_at
type: notification
short_description: disturbs the run at one of its tasks
description: Kills the run or its connection, or runs a command, at one of its tasks.
"""
# Long enough for most tasks to be at work on the server.
SECONDS = 0.3


def descendants() -> list[int]:
    """Return the processes that this run started, and those that they started. Its workers are in sessions of their own."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(path.parent.name)] = int(path.read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    found = [os.getpid()]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found[1:]


def kill(only: bytes = b"") -> int:
    """Kill the processes that this run started, or those with this in their command line; return how many."""
    killed = 0
    for process in descendants():
        with contextlib.suppress(OSError):
            if not only or only in Path(f"/proc/{process}/cmdline").read_bytes():
                os.kill(process, signal.SIGKILL)
                killed += 1
    return killed


def kill_all() -> None:
    """Kill this run with all that it started."""
    kill()
    os.kill(os.getpid(), signal.SIGKILL)


def kill_connection() -> None:
    """Kill what connects this run to servers as soon as there is something."""
    end = time.monotonic() + 30
    while not kill(b"docker\0exec\0") and time.monotonic() < end:
        time.sleep(0.05)


DEEDS = {"kill": kill_all, "connection": kill_connection}


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Counts tasks."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "disturbed_at"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self.tasks: list[dict[str, Any]] = []
        self.met = False

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """Count up, and disturb the one that is meant."""
        if self.met and os.environ["OCWEB_DEED"] == "kill":
            kill_all()
        self.tasks.append({"name": task.get_name(), "changed": False})
        self.write()
        at = os.environ["OCWEB_AT"]
        if self.met or (not task.get_name().startswith(tuple(at.splitlines())) and str(len(self.tasks)) != at):
            return
        self.met = True
        deed = os.environ["OCWEB_DEED"]
        if deed in DEEDS:
            threading.Timer(SECONDS, DEEDS[deed]).start()
        else:
            subprocess.run(["sh", "-c", deed], check=True, stdin=subprocess.DEVNULL, capture_output=True)

    def v2_runner_on_ok(self, result: Any) -> None:
        """Note whether it changed something."""
        self.tasks[-1]["changed"] |= result.is_changed()
        self.write()

    def write(self) -> None:
        """Write down all tasks that began."""
        Path(os.environ["OCWEB_TASKS"]).write_text("".join(f"{json.dumps(task)}\n" for task in self.tasks), encoding="utf-8")
