"""What is removed is gone without a trace, and nothing else is."""

import json
import re
import shlex
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from conftest import DIR, ELSEWHERE, ROOT, Elsewhere, Stack, in_time, listing, play, rules, state, timeless

from documents import span

# What tells of what came and went, and where the engine's volumes are mounted in a server that is a container.
TRACES = (
    *("/etc/.pwd.lock", "/etc/group", "/etc/gshadow", "/etc/ld.so.cache", "/var/backups", "/var/cache/", "/var/lib/apt/", "/var/lib/dpkg/"),
    *("/var/lib/containerd d", "/var/lib/docker d", "/var/tmp/systemd-private-"),
    # GnuPG's, made as it is installed.
    "/etc/systemd/user/sockets.target.wants",
)


def test_the_projects_name_confirms_it(stack: Stack) -> None:
    before = state(stack)
    for confirmation in ("", "yes", "ocwe"):
        done = play("remove", {"stack_remove": confirmation})
        assert done.code == 2
        assert "stack_remove: nothing was removed. The project's name confirms it: -e stack_remove=ocweb." in done.said
    wrong = play("remove", {"stack_project": "other", "stack_remove": "other"})
    assert f"The stack in {DIR} (stack_dir) is not of the project other" in wrong.said
    assert state(stack) == before


def test_a_second_stack_goes_without_a_trace(stack: Stack, elsewhere: Elsewhere) -> None:
    dry = play("remove", ELSEWHERE, "--check")
    assert (dry.code, dry.changed) == (0, 1)
    assert "container elsewhere-backend-1" in dry.said

    before = state(stack)
    used = play("remove", {**ELSEWHERE, "stack_remove": "elsewhere", "stack_remove_engine": True})
    assert used.code == 2
    assert "stack_remove_engine: something else uses the engine: container ocweb-backend-1, " in used.said
    assert state(stack) == before

    removed = play("remove", {**ELSEWHERE, "stack_remove": "elsewhere", "stack_remove_workspace": True})
    assert removed.code == 0, removed.said
    in_time("removal of a stack that runs", removed, 20)
    # The first stack lives on, and the tests had backups and passwords of their own.
    theirs = (f"{DIR}/", "/root/", "/var/backups", "/run/")
    assert [line for line in sorted(set(listing(stack.server)) ^ set(elsewhere.before)) if not line.startswith(theirs)] == []
    again = play("remove", ELSEWHERE)
    assert (again.code, again.changed) == (0, 0)


def test_the_last_stack_takes_the_base_along_and_leaves_the_workspace(stack: Stack) -> None:
    stack.server.check_output("echo work >/root/workspace/work.txt")
    stack.refresh()
    subnets = [ip_network(one["Subnet"]) for network in stack.networks.values() for one in network["IPAM"]["Config"]]
    had = rules(stack.server)
    assert about(subnets, had)
    removed = play("remove", {"stack_remove": "ocweb"})
    assert (removed.code, "(the workspace /root/workspace stays)" in removed.said) == (0, True), removed.said
    assert stack.server.check_output("docker ps --all --quiet; docker image ls --all --quiet; docker volume ls --quiet") == ""
    assert stack.server.check_output("docker network ls --format '{{.Name}}' | sort").split() == ["bridge", "host", "none"]
    # The engine's own rules stay, as it does.
    left = rules(stack.server)
    assert (about(subnets, left), set(left) - set(had)) == ([], set())
    assert stack.server.run(f"test -e {DIR}").rc == 1
    assert stack.server.check_output("cat /root/workspace/work.txt") == "work"


def test_the_engine_goes_if_asked_for_with_all_that_came_with_it(stack: Stack) -> None:
    record = json.loads(stack.server.check_output("cat /var/lib/ocweb/engine.json"))
    dry = play("remove", {"stack_remove_engine": True}, "--check")
    assert (dry.code, dry.changed) == (0, 1)
    assert "package docker.io" in dry.said and "folder /var/lib/docker" in dry.said
    assert stack.server.check_output("docker version --format ok") == "ok"

    [options] = shlex.split(span("removal", 'ARGS="').removeprefix("ARGS="))
    removed = play("remove", {}, *shlex.split(options))
    assert removed.code == 0, removed.said
    assert stack.server.check_output("ls -A /var/lib/docker /var/lib/containerd").split() == ["/var/lib/containerd:", "/var/lib/docker:"]
    assert stack.server.run("getent group docker").rc == 2

    before = timeless(stack.server.check_output("cat /var/log/before"))
    script = (ROOT / "molecule/shared/fingerprint").read_text(encoding="utf-8")
    after = timeless(stack.server.check_output("sh -c %s", script))
    # A backup brought GnuPG along, which stays.
    came = packages(after) - packages(before)
    assert came & set(record["packages"]) == set()
    owned = set(stack.server.check_output(f"dpkg --listfiles {' '.join(came)}").splitlines()) if came else set()
    changed = sorted(line for line in set(before) ^ set(after) if not line.startswith(TRACES))
    assert "\n".join(line for line in changed if line.split(" ", 1)[0] not in owned) == ""

    again = play("remove", {"stack_remove_engine": True})
    assert (again.code, again.changed) == (0, 0)


def about(subnets: list[IPv4Network | IPv6Network], found: list[str]) -> list[str]:
    """Return those of the firewall's rules that are about a bridge other than the engine's own, or an address in one of the subnets."""
    address = re.compile(r"(?:-s|-d|--to-destination) ([\d.]+)")
    return [
        rule for rule in found if " br-" in rule or any(ip_address(one) in subnet for one in address.findall(rule) for subnet in subnets)
    ]


def packages(fingerprint: list[str]) -> set[str]:
    """Return the names of the packages that were installed when the fingerprint was taken."""
    found = (re.match(r"/var/lib/dpkg/info/([^: ]+?)(:\w+)?[.]list ", line) for line in fingerprint)
    return {one.group(1) for one in found if one}
