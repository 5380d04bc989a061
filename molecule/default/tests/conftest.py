"""What the tests look at: the server, and its containers as the engine on it describes them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tests/attacks"))

import scenario
from scenario import DIR
from stack import SERVICES, Stack

__all__ = ["DIR", "SERVICES", "Stack", "deploy"]

deploy = scenario.install(globals())
