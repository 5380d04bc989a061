"""Commands that may fail, or not be there."""

from __future__ import annotations

import subprocess


def run(*command: str) -> tuple[int, str, str]:
    """Return (exit code, standard output, standard error), stripped; (127, "", reason) where the command is missing."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return 127, "", str(error)
    return done.returncode, done.stdout.strip(), done.stderr.strip()
