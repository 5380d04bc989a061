"""What becomes of the attacks: an outcome for each, a verdict for each protection, and one for the host."""

from collections.abc import Iterable
from dataclasses import dataclass

from controls import CONTROLS, Control
from found import Found

HELD, FELL, NOT_TRIED = "held", "FELL", "not tried here"
NO_ATTACK = "the suite has no attack on it"
# How the parts of the suite are called to people.
PARTS = {"quick": "the quick part", "full": "every attack that does no harm", "bed": "every attack, in the test bed"}


@dataclass(frozen=True)
class Attack:
    """One attack as it went; `reason` is why it could not be tried, or what it found open."""

    test: str
    parameters: str
    tried: str
    controls: tuple[str, ...]
    outcome: str
    reason: str = ""
    seconds: float = 0

    @property
    def name(self) -> str:
        return f"{self.test}[{self.parameters}]" if self.parameters else self.test


@dataclass(frozen=True)
class Verdict:
    """What the attacks on one protection came to."""

    control: Control
    attacks: tuple[Attack, ...]

    @property
    def verdict(self) -> str:
        return judged(attack.outcome for attack in self.attacks)

    @property
    def tried(self) -> tuple[Attack, ...]:
        return tuple(attack for attack in self.attacks if attack.outcome != NOT_TRIED)

    @property
    def fallen(self) -> tuple[Attack, ...]:
        return tuple(attack for attack in self.attacks if attack.outcome == FELL)

    @property
    def untried(self) -> dict[str, list[Attack]]:
        """The attacks that were not tried, by the reason."""
        found: dict[str, list[Attack]] = {}
        for attack in self.attacks:
            if attack.outcome == NOT_TRIED:
                found.setdefault(attack.reason, []).append(attack)
        return found


@dataclass(frozen=True)
class Report:
    """One audit of one host."""

    host: str
    project: str
    part: str
    started: str
    seconds: float
    attacks: tuple[Attack, ...]
    found: Found | None = None

    @property
    def verdicts(self) -> list[Verdict]:
        """The verdict on each protection, in the order of controls.py."""
        return [Verdict(control, tuple(one for one in self.attacks if control.id in one.controls)) for control in CONTROLS]

    @property
    def others(self) -> list[Attack]:
        """What fell outside of all protections, such as a module that could not be loaded."""
        return [attack for attack in self.attacks if attack.outcome == FELL and not attack.controls]

    @property
    def tried(self) -> list[Attack]:
        return [attack for attack in self.attacks if attack.controls and attack.outcome != NOT_TRIED]

    def of(self, verdict: str) -> list[Verdict]:
        return [one for one in self.verdicts if one.verdict == verdict]

    @property
    def fallen(self) -> list[str]:
        """The protections that fell, by id, and what else failed, by name."""
        return [one.control.id for one in self.of(FELL)] + [one.name for one in self.others]

    @property
    def ok(self) -> bool:
        return bool(self.tried) and not self.fallen and not self.unwell

    @property
    def unwell(self) -> list[str]:
        return self.found.unwell if self.found else []

    @property
    def conclusion(self) -> str:
        """The audit in one sentence."""
        if self.fallen:
            titles = [f'{one.control.id} ("{one.control.title}")' for one in self.of(FELL)] + [one.name for one in self.others]
            return f"FELL on {self.host}: {', '.join(titles)}"
        if not self.tried:
            return f"No attack was tried on {self.host}, so nothing is known of its protections"
        if self.unwell:
            return f"Not all of the stack ran on {self.host} ({', '.join(self.unwell)}), and what is down proves nothing by its silence"
        counts = f"{plural(len(self.of(HELD)), 'protection')} held on {self.host}, {len(self.of(NOT_TRIED))} not tried here"
        opened = f". Opened by stack_mode: {'; '.join(self.found.opened)}" if self.found and self.found.opened else ""
        return f"{counts}; {plural(len(self.tried), 'attack')} in {self.seconds:.1f} s ({PARTS[self.part]}){opened}"


def judged(outcomes: Iterable[str]) -> str:
    """Return what several outcomes come to: one that fell is enough, and one that held is needed."""
    seen = set(outcomes)
    return FELL if FELL in seen else HELD if HELD in seen else NOT_TRIED


def outcome(phases: Iterable[str]) -> str:
    """Return the outcome of an attack from those of pytest's phases: one that failed anywhere, even while it was set up, fell."""
    seen = set(phases)
    return FELL if "failed" in seen else NOT_TRIED if "skipped" in seen else HELD


def plural(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
