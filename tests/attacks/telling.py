"""The report in its forms: lines for a terminal, JSON for machines, and a page for people."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jinja2
from picture import picture
from verdicts import FELL, HELD, NO_ATTACK, NOT_TRIED, PARTS, Attack, Report, Verdict, plural

# Of what an attack found open, so much is told on a terminal; the files have all of it.
LINES = 8


def untried(verdict: Verdict) -> dict[str, list[Attack]]:
    """Return why attacks on a protection were not tried, and which they are."""
    return verdict.untried or ({} if verdict.attacks else {NO_ATTACK: []})


def tests(attacks: list[Attack] | tuple[Attack, ...]) -> dict[str, list[Attack]]:
    """Return the attacks by the test that they are variants of."""
    found: dict[str, list[Attack]] = {}
    for attack in attacks:
        found.setdefault(attack.test, []).append(attack)
    return found


def table(report: Report) -> list[str]:
    """Return a line for each protection."""
    width = max(len(one.control.id) for one in report.verdicts)
    return [
        f"{one.verdict:<14}  {len(one.tried):>3} tried  {one.control.id:<{width}}  {one.control.title}"
        + (f" ({plural(len(one.attacks) - len(one.tried), 'attack')} not tried here)" if one.tried and one.untried else "")
        for one in report.verdicts
    ]


def fell(report: Report) -> list[str]:
    """Return what is to be known of each protection that fell."""
    found = []
    for verdict in report.of(FELL):
        found.append(f"FELL {verdict.control.id}: {verdict.control.title}. Without it, {verdict.control.stake}.")
        found += [line for attack in verdict.fallen for line in blow(attack)]
    return found + [line for attack in report.others for line in blow(attack)]


def blow(attack: Attack) -> list[str]:
    """Return what an attack found open."""
    lines = attack.reason.splitlines()
    more = [f"| ({plural(len(lines) - LINES, 'more line')} in the report)"] if len(lines) > LINES else []
    return [f"by {attack.name}: {attack.tried}", *(f"| {line}" for line in lines[:LINES]), *more]


def not_tried(report: Report) -> list[str]:
    """Return what could not be tried, by the reason and the protection."""
    reasons: dict[str, dict[str, list[str]]] = {}
    for verdict in report.verdicts:
        for reason, attacks in untried(verdict).items():
            reasons.setdefault(reason, {})[verdict.control.id] = list(tests(attacks))
    bare = [f"Not tried here, {reason}: {', '.join(ids)}" for reason, ids in reasons.items() if not any(ids.values())]
    named = [
        line
        for reason, ids in reasons.items()
        if any(ids.values())
        for line in (f"Not tried here, {reason}:", *(f"- {name}: {', '.join(names)}" for name, names in ids.items()))
    ]
    return bare + named


def lines(report: Report) -> list[str]:
    """Return the report for a terminal, but for its conclusion."""
    deviations = [f"As found: {each}" for each in report.found.deviations] if report.found else []
    opened = [f"Opened by stack_mode: {each}" for each in report.found.opened] if report.found else []
    return [*table(report), *not_tried(report), *opened, *deviations, *fell(report)]


def document(report: Report) -> dict[str, Any]:
    """Return the report for machines; its layout is described in docs/verify.md."""
    return {
        "version": 1,
        "host": report.host,
        "project": report.project,
        "part": report.part,
        "started": report.started,
        "seconds": round(report.seconds, 1),
        "ok": report.ok,
        "conclusion": report.conclusion,
        "fell": report.fallen,
        "counts": {"held": len(report.of(HELD)), "fell": len(report.of(FELL)), "not_tried": len(report.of(NOT_TRIED))},
        "controls": [
            {**asdict(one.control), "verdict": one.verdict, "tried": len(one.tried), "attacks": [asdict(attack) for attack in one.attacks]}
            for one in report.verdicts
        ],
        "others": [asdict(attack) for attack in report.others],
        "found": {**asdict(report.found), "deviations": report.found.deviations} if report.found else None,
    }


def page(report: Report) -> str:
    """Return the report as one page that needs nothing but itself."""
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    drawn = picture(report.found) if report.found else ""
    names = {"HELD": HELD, "FELL": FELL, "NOT_TRIED": NOT_TRIED, "PARTS": PARTS}
    return environment.get_template("report.html.j2").render(
        report=report, picture=drawn, tests=tests, untried=untried, plural=plural, **names
    )


def write(path: Path, text: str) -> None:
    """Write a file, and the folders to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def write_json(report: Report, path: Path) -> None:
    write(path, json.dumps(document(report), indent=1) + "\n")


def write_html(report: Report, path: Path) -> None:
    write(path, page(report))
