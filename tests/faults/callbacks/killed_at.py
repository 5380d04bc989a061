"""An Ansible callback that kills the whole run, without warning, a moment after its task number OCWEB_KILLED_AT has begun.

The name of each task that began goes to the file OCWEB_TASKS, a line each.
"""

import os
import signal
import threading
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: killed_at
type: notification
short_description: kills the run at one of its tasks
description: Kills the whole run, without warning, a moment after a task has begun.
"""
# Long enough for most tasks to be at work on the server.
SECONDS = 0.3


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Counts tasks."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "killed_at"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self.left = int(os.environ["OCWEB_KILLED_AT"])

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """Count down, and kill at zero."""
        with open(os.environ["OCWEB_TASKS"], "a", encoding="utf-8") as tasks:
            tasks.write(f"{task.get_name()}\n")
        self.left -= 1
        if self.left == 0:
            threading.Timer(SECONDS, lambda: os.killpg(os.getpgid(0), signal.SIGKILL)).start()
