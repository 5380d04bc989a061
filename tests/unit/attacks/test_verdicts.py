"""What attacks come to."""

import pytest
from controls import CONTROLS
from found import found
from samples import FELL, HELD, NOT_TRIED, attack, recorded, report, told
from telling import document, lines
from verdicts import Attack, judged, outcome


@pytest.mark.parametrize(
    ("phases", "expected"),
    [
        (["passed", "passed", "passed"], HELD),
        (["passed", "failed", "passed"], FELL),
        (["failed", "passed"], FELL),
        (["passed", "passed", "failed"], FELL),
        (["skipped", "passed"], NOT_TRIED),
        (["passed", "skipped", "failed"], FELL),
    ],
)
def test_an_attack_that_fails_in_any_phase_fell(phases: list[str], expected: str) -> None:
    assert outcome(phases) == expected


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [([], NOT_TRIED), ([NOT_TRIED], NOT_TRIED), ([NOT_TRIED, HELD], HELD), ([HELD, FELL, NOT_TRIED], FELL)],
)
def test_a_protection_holds_if_something_was_tried_and_nothing_fell(outcomes: list[str], expected: str) -> None:
    assert judged(outcomes) == expected


def test_a_host_is_well_if_something_was_tried_and_nothing_fell() -> None:
    assert report(attack(HELD), attack(NOT_TRIED)).ok
    assert not report(attack(HELD), attack(FELL)).ok
    assert not report().ok
    assert not report(attack(NOT_TRIED)).ok
    assert "nothing is known" in report(attack(NOT_TRIED)).conclusion


def test_what_is_down_proves_nothing_by_its_silence() -> None:
    stack = recorded()
    stack["containers"]["gateway"]["State"].update(Running=False, Status="exited")
    down = report(attack(HELD), found=found(told(stack)))
    assert not down.ok
    assert "(gateway)" in down.conclusion
    assert report(attack(HELD), found=found(told())).ok


def test_what_belongs_to_no_protection_fails_the_audit_too() -> None:
    broken = report(attack(HELD), Attack("test_x.py", "", "could not be loaded", (), FELL, "no such module"))
    assert not broken.ok
    assert "test_x.py" in broken.conclusion
    assert "| no such module" in lines(broken)


def test_the_conclusion_names_what_fell() -> None:
    fallen = report(attack(FELL, "one-port", "gate", reason="answered"), attack(HELD, "logs"))
    assert fallen.fallen == ["one-port", "gate"]
    assert fallen.conclusion.startswith("FELL on web1: one-port (")
    assert document(fallen)["fell"] == ["one-port", "gate"]


def test_a_terminal_gets_a_line_for_each_protection_and_the_reasons() -> None:
    said = lines(report(attack(HELD), attack(NOT_TRIED, "gate", test="test_bed_gate", reason="needs the test bed"), attack(FELL, "logs")))
    assert [line.split("  ")[0].strip() for line in said[: len(CONTROLS)]].count(NOT_TRIED) == len(CONTROLS) - 2
    assert said[said.index("Not tried here, needs the test bed:") + 1] == "- gate: test_bed_gate"


def test_a_long_reason_is_cut_on_a_terminal_alone() -> None:
    long = report(attack(FELL, reason="\n".join(f"line {number}" for number in range(20))))
    assert "| (12 more lines in the report)" in lines(long)
    [fallen] = [one for one in document(long)["controls"] if one["attacks"]]
    assert "line 19" in fallen["attacks"][0]["reason"]


def test_every_protection_says_what_it_is_and_what_would_follow() -> None:
    assert [one.id for one in CONTROLS if not one.title.strip() or not one.stake.strip()] == []
    assert len({one.id for one in CONTROLS}) == len({one.title for one in CONTROLS}) == len(CONTROLS)
