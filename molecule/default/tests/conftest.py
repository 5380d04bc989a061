"""What the tests look at: the server, and its containers as the engine on it describes them."""

import sys
from functools import partial
from pathlib import Path

import pytest
from testinfra.host import Host

SCENARIO = Path(__file__).resolve().parents[1]
DIR = "/opt/ocweb"

sys.path.insert(0, str(SCENARIO.parents[1] / "tests/attacks"))

import bed  # noqa: E402
from stack import SERVICES, Stack  # noqa: E402

__all__ = ["DIR", "SERVICES", "Stack", "deploy"]


deploy = partial(bed.deploy, SCENARIO)


@pytest.fixture(scope="module")
def stack(host: Host) -> Stack:
    """The stack on the server under test."""
    return Stack(host)
