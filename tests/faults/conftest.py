"""The stack on the server whose deploys are disturbed."""

import sys
from pathlib import Path

import pytest
from testinfra.host import Host

sys.path[:0] = [str(Path(__file__).parents[1] / "attacks"), str(Path(__file__).parent)]

from faulty import SERVER, Run, Stack, changes, disturbed  # noqa: E402


@pytest.fixture(scope="session")
def stack() -> Stack:
    """What the engine on it says of the stack."""
    return Stack(Host.get_host(f"docker://{SERVER.name}"))


@pytest.fixture(scope="session")
def session(stack: Stack) -> str:
    """A session that is to outlive everything."""
    return str(stack.backend("/session", {"title": "kept"})["id"])


@pytest.fixture(scope="session")
def whole(session: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A deploy that changes something and that nobody disturbs."""
    done = disturbed(tmp_path_factory.mktemp("whole"), 0, "", changes())
    assert done.code == 0, done.said
    # A key is there from the first time on; the rest of what changes is written or started.
    assert len(done.changed) >= 6, [done.tasks[number - 1] for number in done.changed]
    return done
