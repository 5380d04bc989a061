"""Attacks the stack on one host, which it reaches as Ansible does, and writes the reports. Started by roles/stack/tasks/verify.yml.

It reads what to do as JSON: {"host", "way": {"connection", "address", "port", "user", "key", "arguments"},
"uid": as whom Ansible works there, "project", "mode": of the stack, "quick", "folder": for the reports}.
The last line that it prints is the conclusion, the one before it where the reports are.

Exit codes: 0 what was tried held; 2 something fell, or nothing was tried; 3 the audit could not be done; 4 what it needs is not installed.
"""

import contextlib
import importlib.util
import io
import json
import os
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest
    from verdicts import Report

HERE = Path(__file__).resolve().parent
# 1 is what Python exits with where it fails by itself.
HELD, FELL, FAILED, MISSING = 0, 2, 3, 4
REPORTS = ("report.html", "report.json", "junit.xml")


def missing() -> str:
    """Return what is to be installed, "" if nothing is."""
    if all(importlib.util.find_spec(name) for name in ("pytest", "testinfra")):
        return ""
    have = f"{sys.executable} -m pip install pytest-testinfra"
    return f"The audit was not run: it needs pytest and pytest-testinfra beside Ansible. Have them with: {have}"


def reached(question: dict[str, Any], folder: str) -> list[str]:
    """Return pytest's options for the host, once it is sure that they lead there and that the stack is there.

    Raises:
        reach.Unreachable: they do not, or it is not.
    """
    import reach  # noqa: PLC0415
    import testinfra  # noqa: PLC0415

    found = reach.options(question["way"], folder)
    given = dict(option.removeprefix("--").split("=", 1) for option in found)
    more = {name.replace("-", "_"): value for name, value in given.items() if name != "hosts"}
    host = testinfra.get_host(given["hosts"], **more)
    try:
        login = host.run("id -u")
    except RuntimeError as error:
        said = getattr(error.args[0], "stderr", str(error)).strip().splitlines()
        raise reach.Unreachable(f"The audit does not get in, with keys and known hosts alone as it must: {' '.join(said[-1:])}") from error
    if login.rc:
        raise reach.Unreachable(f"The audit does not get in: {login.stderr.strip()}")
    uid, wanted = login.stdout.strip(), question["uid"]
    become = "" if uid == wanted else f"sudo -n -u '#{wanted}' "
    if become and host.run(f"{become}true").rc:
        raise reach.Unreachable(
            f"The audit logs in with the user id {uid} and has to work with {wanted}, as Ansible does, but sudo wants a password there. "
            "Allow it without one (NOPASSWD), or let Ansible log in as that user"
        )
    label = "--filter label=com.docker.compose.project=%s"
    service = """--format '{{.Label "com.docker.compose.service"}} {{.Status}}'"""
    running = host.run(f"{become}docker ps --all {label} {service}", question["project"])
    if running.rc:
        raise reach.Unreachable(f"The engine there does not answer: {running.stderr.strip()}")
    if not running.stdout:
        raise reach.Unreachable(f"No stack of the project {question['project']} runs there (stack_project)")
    if unwell := [line for line in running.stdout.splitlines() if "(healthy)" not in line]:
        raise reach.Unreachable(f"Not all of the stack is healthy, and what is down proves nothing by its silence: {', '.join(unwell)}")
    return [*found, *reach.sudo(uid, wanted)]


class Keeping:
    """A plugin that keeps what became of the attacks."""

    report: "Report | None" = None

    def pytest_unconfigure(self, config: "pytest.Config") -> None:
        gathering = config.pluginmanager.get_plugin("gathering")
        self.report = gathering.report if gathering else None


def attack(question: dict[str, Any], options: list[str]) -> "tuple[Report | None, str]":
    """Let pytest attack the host; return what became of it, and what pytest said."""
    import pytest  # noqa: PLC0415
    import testinfra  # noqa: PLC0415

    # testinfra 10 has the option and does not hand it on.
    extra = next((one.partition("=")[2] for one in options if one.startswith("--ssh-extra-args=")), None)
    testinfra.get_hosts = partial(testinfra.get_hosts, ssh_extra_args=extra)
    folder = Path(question["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    for name in REPORTS:
        (folder / name).unlink(missing_ok=True)
    arguments = [
        # Nothing of the folder that the play was started in, or of other plugins that are installed here, has a say.
        *("-c", os.devnull, f"--rootdir={HERE}", "-p", "no:cacheprovider", "-p", "testinfra.plugin"),
        *("--strict-markers", "--continue-on-collection-errors", "--tb=short", "-o", f"junit_suite_name=attacks on {question['host']}"),
        # It proves the bed itself, and is nobody else's.
        f"--ignore={HERE / 'test_bed.py'}",
        *options,
        *(["--quick"] if question["quick"] else []),
        f"--stack-project={question['project']}",
        f"--stack-mode={question['mode']}",
        f"--report-name={question['host']}",
        f"--report-html={folder / 'report.html'}",
        f"--report-json={folder / 'report.json'}",
        f"--junitxml={folder / 'junit.xml'}",
        str(HERE),
    ]
    said, keeping = io.StringIO(), Keeping()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        pytest.main(arguments, plugins=[keeping])
    return keeping.report, said.getvalue()


def audit(question: dict[str, Any]) -> int:
    """Do it, and print what came of it."""
    import telling  # noqa: PLC0415
    from reach import Unreachable  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="ocweb-verify-") as folder:
        try:
            report, said = attack(question, reached(question, folder))
        except Unreachable as error:
            print(f"{str(error).rstrip('.')}.")
            return FAILED
    if report is None:
        print(f"{said}\nThe attacks could not be started.")
        return FAILED
    print("\n".join(telling.lines(report)))
    print(f"Reports: {question['folder']}/ with {', '.join(REPORTS)}")
    print(f"{report.conclusion}.")
    return HELD if report.ok else FELL


if __name__ == "__main__":
    if told := missing():
        print(told)
        sys.exit(MISSING)
    # Nothing is left beside the modules, which may lie in an installed collection.
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(HERE))
    os.environ.update(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS"):
        os.environ.pop(name, None)
    sys.exit(audit(json.load(sys.stdin)))
