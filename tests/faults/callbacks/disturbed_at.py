"""An Ansible callback that disturbs the run at its task number OCWEB_AT, as OCWEB_DEED says.

kill        the whole run is killed, without warning, a moment after the task has begun
connection  only what carries the task to the server is killed, as soon as it is there
else        a command of the shell, which runs before the task begins; "" is none

Each task that began goes to the file OCWEB_TASKS as a line of JSON: its name, and whether it changed something.
"""

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


def kill_connection() -> None:
    """Kill what connects this run to servers, its processes that are docker exec, as soon as there is one."""
    end = time.monotonic() + 30
    while not killed_connections() and time.monotonic() < end:
        time.sleep(0.05)


def killed_connections() -> int:
    """Kill those that there are, and return how many."""
    killed = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(folder.name)) == os.getpgid(0) and b"docker\0exec\0" in (folder / "cmdline").read_bytes():
                os.kill(int(folder.name), signal.SIGKILL)
                killed += 1
        except OSError:
            continue
    return killed


DEEDS = {"kill": lambda: os.killpg(os.getpgid(0), signal.SIGKILL), "connection": kill_connection}


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Counts tasks."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "disturbed_at"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self.tasks: list[dict[str, Any]] = []

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """Count up, and disturb the one that is meant."""
        self.tasks.append({"name": task.get_name(), "changed": False})
        self.write()
        if len(self.tasks) != int(os.environ["OCWEB_AT"]):
            return
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
