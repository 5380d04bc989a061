"""The server whose deploys are disturbed, and its stack."""

import sys
from functools import partial
from pathlib import Path

import pytest
from testinfra.host import Host

SCENARIO = Path(__file__).resolve().parents[2] / "molecule/faults"
DIR = "/opt/ocweb"
# Its folder has a small file system of its own (molecule/faults/prepare.yml).
ROOM = {"stack_minimum_free_gib": 0}

sys.path.insert(0, str(SCENARIO.parents[1] / "tests/attacks"))

import bed  # noqa: E402
from stack import SERVICES, Stack  # noqa: E402

__all__ = ["DIR", "ROOM", "SCENARIO", "SERVICES", "Stack", "bed", "deploy"]

deploy = partial(bed.deploy, SCENARIO)


@pytest.fixture
def stack(host: Host) -> Stack:
    """The stack on the server under test."""
    return Stack(host)
