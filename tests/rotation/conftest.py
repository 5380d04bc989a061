"""What the tests of rotation have in common: the attacks' options and fixtures, a fleet of two stacks on the server, and load."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "attacks"), str(Path(__file__).parent)]

import suite  # noqa: E402
from bed import Internet, Server  # noqa: E402
from fleet import Fleet  # noqa: E402

suite.install(globals())

# `full` is what `make bench` measures; the tests are content with less.
FULL = os.environ.get("OCWEB_LOAD") == "full"


@pytest.fixture(scope="session")
def fleet(server: Server, internet: Internet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Two stacks on the server, each with keys of its own that the providers accept, and no others."""
    fleet = Fleet(tmp_path_factory.mktemp("fleet"), server, internet)
    yield fleet
    internet.change(**{name: {"forget": True} for name in fleet.providers})
