"""A stack as an engine told of it, and reports of audits."""

import copy
import json
from pathlib import Path
from typing import Any

from found import Told
from verdicts import FELL, HELD, NOT_TRIED, Attack, Report

RECORDED: dict[str, Any] = json.loads((Path(__file__).parent / "recorded/stack.json").read_text(encoding="utf-8"))


def recorded() -> dict[str, Any]:
    """Return the recorded stack, to be changed at will."""
    return copy.deepcopy(RECORDED)


def told(changed: dict[str, Any] | None = None) -> Told:
    return Told(**(changed or recorded()))


def attack(outcome: str = HELD, *controls: str, test: str = "test_port", parameters: str = "", reason: str = "") -> Attack:
    return Attack(test, parameters, "Looks for an open <port>.", controls or ("one-port",), outcome, reason, 0.25)


def report(*attacks: Attack, **more: Any) -> Report:
    return Report(
        **{
            "host": "web1",
            "project": "ocweb",
            "part": "full",
            "started": "2026-01-02T03:04:05+00:00",
            "seconds": 4.2,
            "attacks": attacks,
            **more,
        }
    )


__all__ = ["FELL", "HELD", "NOT_TRIED", "attack", "recorded", "report", "told"]
