"""What the tests of a deploy without a network look at."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from testinfra.host import Host

SCENARIO = Path(__file__).resolve().parents[1]
ROOT = SCENARIO.parents[1]
BUNDLE = Path(os.environ.get("OCWEB_BUNDLE") or next(ROOT.glob(".cache/bundle/ocweb-*/bundle")))

sys.path.insert(0, str(ROOT / "tests/attacks"))

from stack import Stack  # noqa: E402

__all__ = ["BUNDLE", "ROOT", "SCENARIO", "Stack", "deploy"]


@pytest.fixture(scope="module")
def stack(host: Host) -> Stack:
    """The stack on the server under test."""
    return Stack(host)


def deploy(*options: str) -> str:
    """Deploy once more as converge.yml did; return what was said."""
    done = subprocess.run([SCENARIO / "deploy", *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout
    return done.stdout
