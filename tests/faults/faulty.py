"""The server whose deploys are disturbed, and how it is deployed to."""

from functools import partial
from pathlib import Path

import bed
from stack import SERVICES, Stack

__all__ = ["DIR", "SCENARIO", "SERVER", "SERVICES", "Stack", "deploy"]

SCENARIO = Path(__file__).resolve().parents[2] / "molecule/faults"
DIR = "/opt/ocweb"
SERVER = bed.Companion("ocweb-faults")

deploy = partial(bed.deploy, SCENARIO)
