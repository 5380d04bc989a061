"""What a scenario's tests have in common: the stack on its server, and deploys to it with other variables."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import bed
import pytest
from stack import Stack
from testinfra.host import Host

DIR = "/opt/ocweb"


def install(namespace: dict[str, Any]) -> Callable[..., "CompletedProcess[str]"]:
    """Put the fixture `stack` into a conftest's namespace, and return how to deploy to the server of its scenario."""

    @pytest.fixture(scope="module")
    def stack(host: Host) -> Stack:
        """The stack on the server under test."""
        return Stack(host)

    namespace["stack"] = stack
    return partial(bed.deploy, Path(namespace["__file__"]).resolve().parents[1])
