"""A plugin for pytest that gathers what becomes of the attacks, and tells it at the end: on the terminal, as JSON and as a page.

What may be a secret is left out of pytest's own output too, and so of its JUnit XML.
"""

import inspect
import json
import time
from collections.abc import Generator
from datetime import datetime, timezone
from pathlib import Path

import pytest
from found import Found, Told, found
from redaction import redacted
from stack import Stack
from telling import lines, write_html, write_json
from verdicts import Attack, Report, outcome

# Each prints its version; what does not answer is told without one.
VERSIONS = {
    "gateway": "caddy version",
    "frontend": "printf 'Bun '; bun --version",
    "backend": "opencode --version",
    "llm-proxy": "/app/bin/python -c 'import importlib.metadata as m; print(m.version(\"litellm\"))'",
    "egress": "squid -v | head -n 1 | grep -o '[0-9].*'",
}
PROGRAMS = {"gateway": "Caddy", "frontend": "", "backend": "OpenCode", "llm-proxy": "LiteLLM", "egress": "Squid"}


class Gathering:
    """What was seen so far."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.start = time.time()
        self.phases: dict[str, list[pytest.TestReport]] = {}
        self.items: dict[str, pytest.Item] = {}
        self.unloaded: list[Attack] = []
        self.stack: Stack | None = None
        self.report: Report | None = None

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            item.user_properties += [("control", name) for name in controls(item)]

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, "pytest.CallInfo", None]:  # type: ignore[type-arg]
        result = yield
        made: pytest.TestReport = result.get_result()  # type: ignore[attr-defined]
        if made.failed:
            made.longrepr = redacted(made.longreprtext)
        made.sections = [(name, redacted(text)) for name, text in made.sections]
        self.items[item.nodeid] = item
        self.phases.setdefault(item.nodeid, []).append(made)
        stack = getattr(item, "funcargs", {}).get("stack")
        self.stack = stack if isinstance(stack, Stack) else self.stack

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            report.longrepr = redacted(report.longreprtext)
            self.unloaded.append(Attack(report.nodeid, "", "could not be loaded", (), "FELL", report.longrepr))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if session.config.option.collectonly:
            return
        option = self.config.getoption
        self.report = Report(
            host=option("--report-name"),
            project=option("--stack-project"),
            part="bed" if option("--bed") else "quick" if option("--quick") else "full",
            started=datetime.fromtimestamp(self.start, timezone.utc).isoformat(timespec="seconds"),
            seconds=time.time() - self.start,
            attacks=(*(attack(self.items[name], phases) for name, phases in self.phases.items()), *self.unloaded),
            found=look(self.stack) if self.stack else None,
        )
        if path := option("--report-json"):
            write_json(self.report, Path(path))
        if path := option("--report-html"):
            write_html(self.report, Path(path))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.report:
            terminalreporter.section("protections")
            for line in (*lines(self.report), self.report.conclusion):
                terminalreporter.write_line(line)


def controls(item: pytest.Item) -> tuple[str, ...]:
    """Return the protections that a test tries."""
    return tuple(dict.fromkeys(name for mark in item.iter_markers("control") for name in mark.args))


def parameters(item: pytest.Item) -> str:
    """Return the parameters of a test, without the host that all have."""
    if not (call := getattr(item, "callspec", None)):
        return ""
    host = call.params.get("_testinfra_host")
    return str(call.id.replace(host.backend.get_pytest_id(), "", 1).strip("-")) if host else str(call.id)


def attack(item: pytest.Item, phases: list[pytest.TestReport]) -> Attack:
    """Return what became of a test."""
    name = getattr(item, "originalname", None) or item.name
    said = inspect.getdoc(getattr(item, "function", None)) or name.removeprefix("test_").replace("_", " ")
    reason = next((why(one) for one in phases if not one.passed), "")
    return Attack(
        test=name,
        parameters=parameters(item),
        tried=said.splitlines()[0],
        controls=controls(item),
        outcome=outcome(one.outcome for one in phases),
        reason=reason,
        seconds=round(sum(one.duration for one in phases), 2),
    )


def why(made: pytest.TestReport) -> str:
    """Return why a test failed, in its assertion's words, or was skipped; without what may be a secret."""
    if made.skipped:
        text = made.longrepr[2] if isinstance(made.longrepr, tuple) else made.longreprtext
        return redacted(text.removeprefix("Skipped: "))
    told = [line[1:].strip() for line in made.longreprtext.splitlines() if line.startswith("E ")]
    return "\n".join(told) or made.longreprtext


def look(stack: Stack) -> Found | None:
    """Return what stands on the host now; None where the engine does not answer."""
    stack.refresh()
    server = stack.server
    try:
        ids = sorted({one["Image"] for one in stack.containers.values()})
        images = {one["Id"]: one for one in json.loads(server.check_output(f"docker image inspect {' '.join(ids)}"))}
        engine = server.check_output("docker version --format '{{.Server.Version}}'")
        return found(Told(stack.project, stack.containers, stack.networks, images, versions(stack), engine, stack.mode))
    except (AssertionError, ValueError):
        return None


def versions(stack: Stack) -> dict[str, str]:
    """Ask all services at once for the version of what runs in them."""
    running = [name for name in VERSIONS if stack.containers.get(name, {}).get("State", {}).get("Running")]
    calls = [
        f'{{ said=$(timeout 10 docker exec {stack.name(name)} sh -c {quoted(VERSIONS[name])} 2>/dev/null) && echo "{name} $said"; }} &'
        for name in running
    ]
    said = dict(line.split(" ", 1) for line in stack.server.run("\n".join([*calls, "wait"])).stdout.splitlines() if " " in line)
    return {name: f"{PROGRAMS[name]} {text}".strip() for name, text in said.items()}


def quoted(script: str) -> str:
    return "'" + script.replace("'", "'\\''") + "'"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("report")
    group.addoption("--report-json", help="write what became of the attacks to this file, as JSON")
    group.addoption("--report-html", help="write it to this file, as a page for people")
    group.addoption("--report-name", default="the host", help="how the host is called in the report")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Gathering(config), "gathering")
