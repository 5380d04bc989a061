"""The stack on the server whose deploys are disturbed."""

import sys
from pathlib import Path

import pytest
from testinfra.host import Host

sys.path[:0] = [str(Path(__file__).parents[1] / "attacks"), str(Path(__file__).parent)]

from faulty import Stack  # noqa: E402


@pytest.fixture
def stack(host: Host) -> Stack:
    """What the engine on it says of the stack."""
    return Stack(host)
