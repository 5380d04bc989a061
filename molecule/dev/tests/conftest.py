"""What the tests look at: the stack on the server, and deploys to it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tests/attacks"))

import scenario
from scenario import DIR
from stack import Stack

__all__ = ["DIR", "Stack", "deploy"]

deploy = scenario.install(globals())
