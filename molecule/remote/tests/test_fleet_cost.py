"""What each more host of a fleet takes of the controller."""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

SCENARIO = Path(__file__).resolve().parents[1]
REPORT = SCENARIO.parents[1] / "artifacts/fleet.md"
HOSTS = ("ocweb-edge-new", "ocweb-edge-old")


def dry_run(*hosts: str) -> tuple[float, float]:
    """Say what a deploy to these hosts would change, which is nothing; return the seconds of processors and of time that it took."""
    command: list[str | Path] = [Path(sys.executable).with_name("ansible-playbook"), "--inventory", SCENARIO / "inventory", "--check"]
    variables = json.dumps({"stack_verify": False})
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(
        [*command, "--extra-vars", variables, "--limit", ",".join(hosts), SCENARIO / "converge.yml"],
        env={**os.environ, "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("changed=0 ") == len(hosts), done.stdout
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.monotonic() - begin


def test_another_host_takes_less_than_the_first() -> None:
    """The better of two runs of each; the figures go to artifacts/fleet.md."""
    rows = {}
    for what, hosts in {"one": HOSTS[:1], "the other": HOSTS[1:], "both at once": HOSTS}.items():
        processors, seconds = zip(*(dry_run(*hosts) for _ in range(2)), strict=True)
        rows[what] = min(processors), min(seconds)
    table = "".join(f"| {what} | {processors:.1f} s | {seconds:.1f} s |\n" for what, (processors, seconds) in rows.items())
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(f"| A dry run over SSH of | Controller's processors | Time |\n|---|---:|---:|\n{table}", encoding="utf-8")
    first = (rows["one"][0] + rows["the other"][0]) / 2
    assert rows["both at once"][0] - first < 0.9 * first
