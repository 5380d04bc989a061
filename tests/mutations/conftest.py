"""The attacks' own fixtures, for the mutations."""

import sys
from pathlib import Path

ATTACKS = Path(__file__).resolve().parents[1] / "attacks"
sys.path.insert(0, str(ATTACKS))

import suite  # noqa: E402

suite.install(globals())
