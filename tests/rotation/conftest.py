"""What the tests of rotation have in common: the attacks' options and fixtures, a fleet of two stacks on the server, and load."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "attacks"), str(Path(__file__).parent)]

import suite  # noqa: E402
from bed import Internet, Server  # noqa: E402
from fleet import FIRST, KEYED, SECOND, Fleet, Run  # noqa: E402
from talkative import TALKATIVE  # noqa: E402

suite.install(globals())


@pytest.fixture(scope="session")
def talkative(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with all that the first deploy left on the controller."""
    return tmp_path_factory.mktemp("talkative")


@pytest.fixture(scope="session")
def deployed(server: Server, internet: Internet, talkative: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Fleet, Run]:
    """Two stacks on the server, each with keys of its own, and the deploy that made them so, which told all that it can tell."""
    internet.change(**{name: {"forget": True} for name in KEYED})
    fleet = Fleet(tmp_path_factory.mktemp("fleet"), server, internet)
    # The images of both are the same, but for their names.
    server.output("docker image ls --format '{{.Repository}}:{{.Tag}}' 'localhost/ocweb/*' | while read image; do"
                  " docker tag $image localhost/second/${image#localhost/ocweb/}; done")  # fmt: skip
    settings = {name: value.format(talkative) for name, value in TALKATIVE.items()}
    run = fleet.play("site", "-vvv", "--diff", hosts=(FIRST, SECOND), settings=settings)
    assert run.code == 0, run.said[-3000:]
    return fleet, run


@pytest.fixture
def fleet(deployed: tuple[Fleet, Run]) -> Iterator[Fleet]:
    """Both stacks, and providers that are there and accept every key."""
    found, _ = deployed
    yield found
    found.internet.change(**{name: {"down": None, "refuse": dict.fromkeys(found.known, 200)} for name in KEYED})
