"""The host is known for what it is, and told from others."""

import os
from pathlib import Path

import pytest

import machine

V1_WITHOUT_MEMORY = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t3\t1\t1\nmemory\t0\t1\t0\npids\t5\t1\t1\n"


@pytest.mark.parametrize(
    ("files", "lacks"),
    [
        ({"proc/self/status": "Seccomp:\t0\n", "sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory pids\n"}, []),
        (
            {
                "proc/self/status": "Seccomp:\t0\n",
                "proc/cgroups": V1_WITHOUT_MEMORY,
            },
            ["the memory control group"],
        ),
        ({"proc/self/status": "Name:\tx\n", "sys/fs/cgroup/cgroup.controllers": "cpu pids"}, ["the memory control group", "seccomp"]),
        ({}, ["the cpu control group", "the memory control group", "the pids control group", "seccomp"]),
    ],
)
def test_what_the_kernel_lacks_is_told(tmp_path: Path, files: dict[str, str], lacks: list[str]) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert machine.kernel_lacks(str(tmp_path)) == lacks


@pytest.mark.parametrize(
    ("processor", "flags", "name"),
    [
        ("x86_64", "fpu avx2 bmi", "x86_64"),
        ("x86_64", "fpu avx", "x86_64-baseline"),
        ("aarch64", "fp asimd", "aarch64"),
    ],
)
def test_a_processor_is_named_as_the_packages_for_it_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processor: str, flags: str, name: str
) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(f"flags\t\t: {flags}\n", encoding="ascii")
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "host", "6", "1", processor)))
    assert machine.architecture(str(tmp_path)) == name


def test_a_machine_is_told_from_its_clone_and_from_its_containers(tmp_path: Path) -> None:
    assert machine.machine(str(tmp_path)) == ""
    (tmp_path / "etc").mkdir()
    (tmp_path / "proc/sys/kernel/random").mkdir(parents=True)
    seen = set()
    for own, boot in (("one", "1"), ("one", "2"), ("two", "1")):
        (tmp_path / "etc/machine-id").write_text(f"{own}\n", encoding="ascii")
        (tmp_path / "proc/sys/kernel/random/boot_id").write_text(f"{boot}\n", encoding="ascii")
        seen.add(machine.machine(str(tmp_path)))
    assert len(seen) == 3
    (tmp_path / "etc/machine-id").write_text("", encoding="ascii")
    assert machine.machine(str(tmp_path)) == ""


def test_this_kernel_lacks_nothing() -> None:
    assert machine.kernel_lacks() == []
