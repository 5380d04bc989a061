"""The engine, and what it has of the project."""

from __future__ import annotations

import json
import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from command import run

# Of each network of the project (or, where it was made otherwise, of its name) what Compose does not compare with the description.
NETWORKS = (
    "docker network ls --quiet --filter name=^$1_ | xargs --no-run-if-empty docker network inspect --format "
    "'{{.Name}} internal={{.Internal}} ipv6={{.EnableIPv6}}{{range $k, $v := .Options}} {{$k}}={{$v}}{{end}}'"
)
# All that the engine knows of each container of the project.
CONTAINERS = "docker ps --quiet --filter label=com.docker.compose.project=$1 | xargs --no-run-if-empty docker container inspect"


def seen(question: dict[str, Any], host: dict[str, Any]) -> dict[str, Any]:
    """Return what the survey says of the engine on a ``host`` whose stack's folder is known."""
    project = question["project"]
    with ThreadPoolExecutor() as pool:
        differing = pool.submit(by_hand, project, os.path.join(host["stack_dir"], "compose.yml"))
        found = engine(project)
    networks = found.pop("networks")
    wanted = {f"{project}_{name}": words for name, words in question["networks"].items()}
    wrong = [name for name, words in wanted.items() if name in networks and not set(words) <= set(networks[name])]
    return {"engine": found, "by_hand": differing.result(), "wrong_networks": wrong}


def engine(project: str) -> dict[str, Any]:
    """Report the engine, its two plugins, and what it has of the project: images, networks, and the services that run.

    ``state`` is one of absent, stopped, denied, running; ``package`` is the one that the engine came with, "" if it came otherwise.
    """
    label = "com.docker.compose"
    questions = {
        "info": ("docker", "info", "--format", "{{.ServerVersion}} {{.DockerRootDir}}"),
        "compose": ("docker", "compose", "version", "--short"),
        "buildx": ("docker", "buildx", "version"),
        "images": ("docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", f"localhost/{project}/*"),
        "running": ("docker", "ps", "--filter", f"label={label}.project={project}", "--format", f'{{{{.Label "{label}.service"}}}}'),
        "networks": ("sh", "-c", NETWORKS, "sh", project),
        "packages": ("dpkg-query", "--show", "--showformat", "${Package} ${db:Status-Status}\n", "docker.io", "docker-ce"),
    }
    with ThreadPoolExecutor() as pool:
        asked = {name: pool.submit(run, *command) for name, command in questions.items()}
        done = {name: future.result() for name, future in asked.items()}
    code = {name: result[0] for name, result in done.items()}
    answer = {name: result[1] for name, result in done.items()}
    error = {name: result[2] for name, result in done.items()}
    version, _, root = answer["info"].partition(" ") if code["info"] == 0 else ("", "", "")
    if version:
        state = "running"
    elif "permission denied" in error["info"].lower():
        state = "denied"
    else:
        state = "stopped" if shutil.which("dockerd") else "absent"
    return {
        "state": state,
        "package": next((line.split()[0] for line in answer["packages"].splitlines() if line.endswith(" installed")), ""),
        "version": number(version),
        "root": root,
        "compose": number(answer["compose"]) if code["compose"] == 0 else "",
        "buildx": number(answer["buildx"]) if code["buildx"] == 0 else "",
        "images": answer["images"].split() if code["images"] == 0 else [],
        "running": answer["running"].split() if code["running"] == 0 else [],
        "networks": {name: words for name, *words in map(str.split, answer["networks"].splitlines())} if code["networks"] == 0 else {},
    }


def number(text: str) -> str:
    """Return the first dotted number of a text such as "v2.26.1-4", "" if there is none."""
    found = re.search(r"\d+(\.\d+)+", text)
    return found.group() if found else ""


def by_hand(project: str, description: str) -> list[str]:
    """Return the services of which a container has other limits than described, another restart policy, or other networks.

    Compose compares a container with the description that it was made from, and not with what became of it.
    """
    if not os.path.exists(description):
        return []
    questions = (
        ("docker", "compose", "--file", description, "config", "--format", "json"),
        ("sh", "-c", CONTAINERS, "sh", project),
    )
    with ThreadPoolExecutor() as pool:
        model, containers = (
            json.loads(text or "null") if code == 0 else None for code, text, _ in pool.map(lambda one: run(*one), questions)
        )
    services = (model or {}).get("services", {})
    names = {name: one["name"] for name, one in (model or {}).get("networks", {}).items()}
    found = set()
    for one in containers or []:
        service = one["Config"]["Labels"].get("com.docker.compose.service", "")
        if service in services and differs(one, services[service], names):
            found.add(service)
    return sorted(found)


def differs(container: dict[str, Any], described: dict[str, Any], names: dict[str, str]) -> bool:
    """Tell whether a container is not as described; ``names`` are the networks' names at the engine."""
    limits = container["HostConfig"]
    wanted = {
        "Memory": float(described.get("mem_limit", 0)),
        "MemorySwap": float(described.get("memswap_limit", 0)),
        "NanoCpus": float(described.get("cpus", 0)) * 1e9,
    }
    # A limit that this kernel cannot hold is 0, -1 or nothing at the engine. Compose counts processors with seven digits.
    other_limits = any(
        abs((limits.get(name) or 0) - value) > 1e6 for name, value in wanted.items() if limits.get(name) not in (0, -1, None)
    )
    return (
        other_limits
        or limits["PidsLimit"] not in (None, 0, -1, int(described.get("pids_limit", 0)))
        or limits["RestartPolicy"]["Name"] != described.get("restart", "no")
        or set(container["NetworkSettings"]["Networks"]) != {names.get(name, name) for name in described.get("networks") or {}}
    )
