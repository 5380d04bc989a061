"""The host itself: its system, its processor, its kernel, and who we are there."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
from typing import Any


def seen() -> dict[str, Any]:
    """Name the distribution, the processor, and who we are here."""
    release = {}
    with open("/etc/os-release", encoding="utf-8") as lines:
        for line in lines:
            key, _, value = line.strip().partition("=")
            release[key] = value.strip('"')
    user = pwd.getpwuid(os.geteuid())
    return {
        "distribution": release.get("ID", ""),
        "version": release.get("VERSION_ID", ""),
        "codename": release.get("VERSION_CODENAME", ""),
        "architecture": architecture(),
        "cpus": os.cpu_count() or 1,
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel_lacks": kernel_lacks(),
        "openssl": shutil.which("openssl") is not None,
        "systemd": os.path.isdir("/run/systemd/system"),
        "machine": machine(),
        "ipv6": os.path.exists("/proc/sys/net/ipv6/conf/all/disable_ipv6"),
        "uid": user.pw_uid,
        "gid": user.pw_gid,
        "user": user.pw_name,
        "home": user.pw_dir,
        "by_file": by_file(),
    }


def architecture(root: str = "/") -> str:
    """Return the processor's name as files/npm-package has it: an x86_64 without AVX2 runs programs of its own."""
    name = os.uname().machine
    with contextlib.suppress(OSError), open(os.path.join(root, "proc/cpuinfo"), encoding="ascii", errors="replace") as file:
        if name == "x86_64" and "avx2" not in file.read().split():
            return "x86_64-baseline"
    return name


def machine(root: str = "/") -> str:
    """Return what is the same for two names of one host, and no other host has; "" where it has nothing of the kind.

    Machines that were cloned may share the one, and containers on one kernel the other.
    """
    parts = []
    for path in ("etc/machine-id", "proc/sys/kernel/random/boot_id"):
        try:
            with open(os.path.join(root, path), encoding="ascii") as file:
                parts.append(file.read().strip())
        except OSError:
            return ""
    return " ".join(parts) if all(parts) else ""


def kernel_lacks(root: str = "/") -> list[str]:
    """Return what the kernel lacks without which an engine would run, and limits and filters of ours would not hold."""

    def read(path: str) -> str:
        try:
            with open(os.path.join(root, path), encoding="ascii", errors="replace") as file:
                return file.read()
        except OSError:
            return ""

    # Version 1 has a table of them, version 2 a line.
    rows = [row.split() for row in read("proc/cgroups").splitlines()[1:]]
    controllers = {row[0] for row in rows if row[-1] == "1"} | set(read("sys/fs/cgroup/cgroup.controllers").split())
    missing = [f"the {name} control group" for name in ("cpu", "memory", "pids") if name not in controllers]
    return missing + ([] if "Seccomp:" in read("proc/self/status") else ["seccomp"])


def by_file() -> bool:
    """Tell whether Ansible put what it runs into a file here, with what it hands to it, although it was asked not to (pipelining).

    It does so where it becomes root by `su` and the like, and where it asks for a terminal: lib/ansible/plugins/connection, become.
    """
    try:
        with open(f"/proc/{os.getppid()}/cmdline", "rb") as file:
            return b"AnsiballZ_" in file.read()
    except OSError:
        return False
