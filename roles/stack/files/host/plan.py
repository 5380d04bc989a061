"""Says in lines for people what a deploy would change of a stack: what is described now beside what would be."""

from __future__ import annotations

from typing import Any

from folder import answered

Model = dict[str, Any]
# What a part of a service's description is called where its name in a Compose file says little.
WORDS = {"mem_limit": "memory", "memswap_limit": "memory", "cpus": "processors", "pids_limit": "processes", "labels": "its configuration"}


def mounts(name: str, service: Model) -> list[str]:
    """Return what of the host a service sees."""
    return [f"{name}: {volume}" for volume in service.get("volumes", [])]


def ports(name: str, service: Model) -> list[str]:
    """Return where a service listens on the host."""
    return [f"{name}: {port}" for port in service.get("ports", [])]


def parts(model: Model) -> dict[str, list[str]]:
    """Return what a description is made of, by kind."""
    services = sorted(model.get("services", {}).items())
    return {
        "network": sorted(model.get("networks", {})),
        "port": [port for name, service in services for port in ports(name, service)],
        "mount": [mount for name, service in services for mount in mounts(name, service)],
        "container": [name for name, _ in services],
    }


def placed(question: Model) -> list[tuple[str, str, list[str]]]:
    """Return what the stack's folder would hold otherwise, by its names there: contents may be secret."""
    inside = f"{question['stack_dir']}/"
    there, closed = question["folders_there"], question["closed"]
    gone = [f"{one['folder']}/{name}" for one in closed for name in one["gone"]]
    changed = [f"{one['folder']}/{name}" for one in closed for name in one["changed"] if name not in one["gone"]]
    rows = [
        ("would appear", "folder", [one for one in question["folders"] if one not in there]),
        ("would change", "folder", [one for one in question["folders"] if one in there]),
        ("would write", "file", sorted(question["files"])),
        ("would write", "secret", [*question["secrets"], *changed]),
        ("would go", "secret", gone),
        (f"would {question['decoy']}", "decoy", ["of a key"] if question["decoy"] else []),
        ("would write", "copy", ["of this deploy, to come back to"] if question["not_kept"] else []),
    ]
    return [(what, kind, [one.removeprefix(inside) for one in several]) for what, kind, several in rows]


def reasons(before: Model, after: Model) -> list[str]:
    """Return in words what differs in a service's description."""
    return sorted({WORDS.get(part, part) for part in {*before, *after} if before.get(part) != after.get(part)})


def plan(question: Model) -> list[str]:
    """Return the lines: what would appear, change, restart, and go; none where nothing would."""
    old, new = question["deployed"] or {}, question["described"] or {}
    there, wanted = parts(old), parts(new)
    kept = [name for name in wanted["container"] if name in there["container"]]
    again = [name for name in there["network"] if f"{question['project']}_{name}" in question["wrong_networks"]]
    changed = {name: reasons(old["services"][name], new["services"][name]) for name in kept}
    by_hand = question["by_hand"]
    changed = {name: [*why, *(["changed by hand"] if name in by_hand else [])] for name, why in changed.items()}
    restarts = {name: why or ["another secret" if question["secret"] else "other networks"] for name, why in changed.items()
                if why or question["secret"] or again}  # fmt: skip
    starts = [name for name in kept if name not in restarts and name not in question["running"]]
    keys = question["keys"]
    found = [
        ("would appear", "engine", question["packages"]),
        ("would start", "engine", ["docker"] if question["engine"] == "stopped" else []),
        ("would appear", "image", question["images"]),
        *placed(question),
        *(("would appear", kind, [one for one in wanted[kind] if one not in there[kind]]) for kind in wanted),
        ("would appear", "key", [f"{one['key']} {one['now']}" for one in keys if one["now"] and not one["before"]]),
        ("would change", "key", [f"{one['key']} {one['before']} -> {one['now']}" for one in keys if one["now"] and one["before"]]),
        ("would change", "network", again),
        ("would restart", "container", [f"{name} ({', '.join(why)})" for name, why in restarts.items()]),
        ("would start", "container", starts),
        *(("would go", kind, [one for one in there[kind] if one not in wanted[kind]]) for kind in wanted),
        ("would go", "key", [f"{one['key']} {one['before']}" for one in keys if not one["now"]]),
    ]
    return [f"{what:<14}{kind:<10}{one}" for what, kind, several in found for one in several]


def answer(question: Model) -> Model:
    """Compare ``deployed`` with ``described``, the Compose files as objects, the first {} where there is none.

    Besides: ``images`` that would be built, ``packages`` of an engine, the ``engine``'s state as engine_state.py has it, services that are
    ``running``, those that were changed ``by_hand``, ``wrong_networks`` of ``project``, changes of ``keys`` ({key, before, now}:
    fingerprints), and whether a ``secret`` is new that services start anew for. By their paths: ``folders`` that would be made or given
    away, of which some are in ``folders_there``, ``files`` and ``secrets`` that would be written, and what would change and go in
    folders that one service alone reads (``closed``: {folder, changed, gone} each, ``gone`` being among ``changed``). What the ``decoy``
    would do ("write", "go", or ""), and whether the deploy that is there is ``not_kept`` to come back to.
    """
    return {"changed": False, "lines": plan(question) or ["Nothing would change."]}


def main(question: Model) -> Model:
    """Return what came of it, and ``error``."""
    return answered(answer, question)
