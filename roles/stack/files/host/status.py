"""Says how a stack is, running or not: versions, health, ports, keys, events, disk, backups. It changes nothing."""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from folder import Stack, answered, key_names, now, opened_plain, read, roots, run

# OpenCode's own --version starts all of it, which takes seconds.
ASK_OPENCODE = (
    """printf 'user = "opencode:%s"\\n' "$(cat /run/secrets/backend/password)" | """
    "curl --config - --noproxy '*' --silent --fail --max-time 5 http://backend-app:4096/global/health | head --bytes=1000"
)
# How to ask a service's container for a version; the first dotted number in the answer is it.
VERSIONS = {
    "OpenCode": ("backend", "sh", "-c", ASK_OPENCODE),
    "oc-web": ("frontend", "bun", "--print", "require('/app/oc-web.json').version"),
    "LiteLLM": ("llm-proxy", "/app/bin/python", "-Ic", "import importlib.metadata as m; print(m.version('litellm'))"),
    "Caddy": ("gateway", "caddy", "version"),
    "Squid": ("egress", "squid", "-v"),
    "Unbound": ("egress", "unbound", "-V"),
}
SERVICES = ("gateway", "frontend", "backend", "llm-proxy", "egress")
SECONDS_FOR_ONE = 15
SECONDS_FOR_SIZES = 10
LAST_BYTES = 2**20
# What was seen of the decoy, in the stack's folder. Who has looked into it moves it aside, as docs/keys.md says.
EVENTS = "llm-proxy/state/events.jsonl"


def first_number(text: str) -> str:
    """Return the first dotted number near the beginning of a text, "" if there is none. The agent may have written it, to take long."""
    found = re.search(r"\d+(\.\d+)+", text[:1000])
    return found.group() if found else ""


def age(then: str) -> float | None:
    """Return the seconds since a time in ISO 8601; None where it is none."""
    match = re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", str(then))
    if not match:
        return None
    at = datetime.datetime.strptime(match.group(), "%Y-%m-%dT%H:%M:%S").replace(tzinfo=datetime.timezone.utc)
    return (datetime.datetime.now(datetime.timezone.utc) - at).total_seconds()


def long(seconds: float | None) -> str:
    """Say a span of time in its two largest units."""
    if seconds is None:
        return "never"
    days, rest = divmod(int(max(seconds, 0)), 86400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    parts = [f"{number} {unit}" for number, unit in ((days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")) if number]
    return " ".join(parts[:2]) or "0 s"


def large(size: float | None) -> str:
    """Say a number of bytes."""
    if size is None:
        return f"not counted in {SECONDS_FOR_SIZES} s"
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def folder_size(path: str) -> int | None:
    """Return what a folder takes on disk, in bytes; None where that takes too long, 0 where there is none."""
    if not os.path.isdir(path):
        return 0
    done = run("du", "--summarize", "--one-file-system", "--block-size=1", "--", path, timeout=SECONDS_FOR_SIZES)
    return int(done.stdout.split()[0]) if done.stdout else None


def versions(running: dict[str, str]) -> dict[str, str]:
    """Return each program's version, as it says itself; "" where its service (in ``running``, with the container's id) does not run."""

    def ask(service: str, *command: str) -> str:
        if service not in running:
            return ""
        # Some programs say the number on their second line, or on standard error.
        done = run("docker", "exec", running[service], *command, timeout=SECONDS_FOR_ONE)
        return first_number(done.stdout or done.stderr) if done.returncode == 0 else ""

    with ThreadPoolExecutor() as pool:
        asked = {name: pool.submit(ask, *command) for name, command in VERSIONS.items()}
        return {name: future.result() for name, future in asked.items()}


def services(stack: Stack, described: dict[str, Any]) -> list[dict[str, Any]]:
    """Describe each service that runs, or that should."""
    found = stack.containers()
    lost = [name for name in described if name not in {one["service"] for one in found}]
    nothing = {"id": "", "health": "", "started": "", "restarts": 0, "exit_code": None, "out_of_memory": False, "ports": []}
    found += [{**nothing, "name": "", "service": name, "image": described[name]["image"], "state": "missing"} for name in lost]
    for one in found:
        one["uptime"] = age(one["started"])
        one["well"] = one["health"] == "healthy"
        one["as_described"] = one["image"] == described.get(one["service"], {}).get("image")
    order = {name: place for place, name in enumerate(SERVICES)}
    return sorted(found, key=lambda one: (order.get(one["service"], len(order)), one["name"]))


def keys(root: Path, max_age: float) -> list[dict[str, Any]]:
    """Describe each key by what was recorded of it, never by itself."""
    recorded = read(root / "llm-proxy/records/keys.json").get("keys", {})
    used = read(root / "llm-proxy/state/usage.json")
    names = key_names(root)
    found = []
    for name in sorted({*names, *recorded}):
        record, use = recorded.get(name) or {}, used.get(name) or {}
        if record.get("fingerprint") and use.get("fingerprint") not in (None, record["fingerprint"]):
            use = {}
        seconds = age(record.get("since", ""))
        found.append(
            {
                "key": name,
                "there": name in names,
                "fingerprint": record.get("fingerprint", ""),
                "since": record.get("since", ""),
                "age_days": None if seconds is None else round(seconds / 86400, 1),
                "too_old": seconds is not None and seconds > max_age * 86400,
                "last_use": use.get("last_use") or "",
                "last_success": use.get("last_success") or "",
                "refused": use.get("refused"),
            }
        )
    return found


def revoking(root: Path) -> list[str]:
    """Name the keys that llm_proxy keeps in files of their own (revoked.fingerprint.name) until their revocation has ended."""
    return sorted({path.name.split(".", 2)[2] for path in (root / "llm-proxy/records").glob("revoked.*.*")})


def certificate(gateway: dict[str, Any]) -> dict[str, Any]:
    """Say from when until when the certificate is good that the gateway shows for its own name; {} where it has no TLS, or shows none."""
    url = urlsplit(gateway.get("labels", {}).get("ocweb.url", ""))
    port = next((one for one in gateway.get("ports", []) if int(one["target"]) == 3000), None)
    if url.scheme != "https" or port is None:
        return {}
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(port.get("host_ip", ""), port.get("host_ip") or "127.0.0.1")
    # Who it is good for was looked at by the deploy: here it is its time, be it over.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection((address, int(port["published"])), timeout=SECONDS_FOR_ONE) as plain,
            context.wrap_socket(plain, server_hostname=url.hostname) as connection,
        ):
            shown = ssl.DER_cert_to_PEM_cert(connection.getpeercert(binary_form=True) or b"")
        command = ["openssl", "x509", "-noout", "-startdate", "-enddate"]
        said = subprocess.run(command, input=shown, capture_output=True, text=True, timeout=SECONDS_FOR_ONE, check=True).stdout
        start, end = (ssl.cert_time_to_seconds(line.partition("=")[2]) for line in said.splitlines())
    except (OSError, ValueError, subprocess.SubprocessError):
        return {}
    return {"from": start, "until": end}


def canary_events(root: Path) -> dict[str, Any]:
    """Count the uses of a canary key among the newest events, and return the last one."""
    try:
        with opened_plain(root / EVENTS) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - LAST_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        lines = []
    events = []
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and event.get("event") == "canary":
            events.append({name: str(event.get(name, "")) for name in ("time", "where")})
    return {"count": len(events), "last": events[-1] if events else None}


def disk(stack: Stack, workspace: str) -> dict[str, Any]:
    """Return what the stack takes, in bytes."""
    listed = run("docker", "image", "ls", "--format", "{{.ID}}", f"localhost/{stack.project}/*").stdout.split()
    sizes = run("docker", "image", "inspect", "--format", "{{.Size}}", *sorted(set(listed))).stdout.split() if listed else []
    volumes = run("docker", "volume", "ls", "--quiet", "--filter", f"label=com.docker.compose.project={stack.project}").stdout.split()
    with ThreadPoolExecutor() as pool:
        folder, work = pool.map(folder_size, (str(stack.path), workspace))
    return {
        "stack_dir": folder,
        "images": sum(map(int, sizes)),
        "image_count": len(sizes),
        "volumes": len(volumes),
        "workspace": work,
        "free": shutil.disk_usage(next(path for path in (stack.path, *stack.path.parents) if path.exists())).free,
    }


def report(stack: Stack, max_age: float) -> dict[str, Any]:
    """Look at everything."""
    engine = stack.engine_problem()
    described: dict[str, Any] = stack.model().get("services", {}) if stack.description.exists() else {}
    workspace = stack.workspace()
    found = [] if engine else services(stack, described)
    running = {one["service"]: one["id"] for one in found if one["state"] == "running"}
    numbers = versions(running)
    numbers["Docker engine"] = "" if engine else first_number(run("docker", "version", "--format", "{{.Server.Version}}").stdout)
    numbers["Docker Compose"] = first_number(run("docker", "compose", "version", "--short").stdout)
    deployed, previous = (read(stack.path / name / "deploy.json") for name in ("deployed", "previous"))
    result = {
        "at": now(),
        "stack_dir": str(stack.path),
        "project": stack.project,
        "deployed": stack.description.exists(),
        "engine": engine,
        "services": found,
        "versions": numbers,
        "ports": sorted({port for one in found for port in one["ports"]}),
        "deploy": deployed.get("at", ""),
        "previous_deploy": previous.get("at", ""),
        "certificate": {} if engine else certificate(described.get("gateway", {})),
        "keys": keys(stack.path, max_age),
        "key_max_age_days": max_age,
        "revoking": revoking(stack.path),
        "canary": canary_events(stack.path),
        "disk": disk(stack, workspace),
        "workspace": workspace,
        "backup": read(stack.path / "backup.json"),
    }
    result["problems"] = problems(result)
    result["ok"] = not result["problems"]
    return result


def problems(found: dict[str, Any]) -> list[str]:
    """Say what is not as it should be."""
    if not found["deployed"]:
        return [f"There is no stack in {found['stack_dir']} (stack_dir).{roots()}"]
    said = [found["engine"]] if found["engine"] else []
    for one in found["services"]:
        if not one["well"]:
            why = " after it took more memory than it may" if one["out_of_memory"] else ""
            state = one["health"] or one["state"]
            remedy = "deploy again" if state == "missing" else f"docker compose logs {one['service']}"
            said.append(f"{one['service']} is {state}{why}: {remedy}")
        elif not one["as_described"]:
            said.append(f"{one['service']} does not run the image that is described: deploy again")
    if shown := found["certificate"]:
        left = shown["until"] - time.time()
        # Authorities' certificates are renewed when a third of their time is left.
        if left < (shown["until"] - shown["from"]) / 6:
            what = f"expires in {long(left)}" if left > 0 else "has expired"
            said.append(f"The gateway's certificate {what}: renew it, and deploy again (frontend_tls)")
    for one in found["keys"]:
        if not one["there"]:
            said.append(f"The key {one['key']} is recorded, and its file is gone: deploy again")
        if one["too_old"]:
            limit = f"and {found['key_max_age_days']:g} are its limit (llm_proxy_key_max_age)"
            said.append(f"The key {one['key']} is {one['age_days']:.0f} days old, {limit}")
        if one["refused"]:
            said.append(f"The key {one['key']} was refused by its provider ({one['refused'].get('status')}) at {one['refused'].get('at')}")
    for name in found["revoking"]:
        said.append(f"The revocation of the key {name} has not ended: revoke it once more (playbooks/revoke_keys.yml)")
    if last := found["canary"]["last"]:
        used = f"The canary key was used {found['canary']['count']} times, last at {last['time']} ({last['where']}): someone takes keys"
        said.append(f"{used}. Once you have looked into it, move {EVENTS} in the stack's folder aside")
    return said


def table(rows: list[list[str]]) -> list[str]:
    """Return rows as lines with aligned columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    return ["  ".join(cell.ljust(widths[column]) for column, cell in enumerate(row)).rstrip() for row in rows]


def lines(found: dict[str, Any]) -> list[str]:
    """Return the report for people."""
    said = ["all is well" if found["ok"] else f"{len(found['problems'])} to look at:", *(f"  ! {problem}" for problem in found["problems"])]
    if not found["deployed"]:
        return said
    if found["services"]:
        rows = [["SERVICE", "STATE", "UP", "RESTARTS", "PORT", "IMAGE"]]
        for one in found["services"]:
            up = long(one["uptime"]) if one["started"] else "-"
            state = one["health"] or one["state"]
            rows.append([one["service"], state, up, str(one["restarts"]), ", ".join(one["ports"]) or "-", one["image"].rpartition("/")[2]])
        said += ["", *table(rows)]
    said += ["", "Versions   " + ", ".join(f"{name} {number or '(does not say)'}" for name, number in found["versions"].items())]
    since = f"{found['deploy']}; before it {found['previous_deploy'] or 'none'}" if found["deploy"] else "none was recorded as healthy"
    said += [f"Deploy     {since}"]
    if shown := found["certificate"]:
        until = datetime.datetime.fromtimestamp(shown["until"], datetime.timezone.utc)
        said += [f"TLS        certificate until {until:%Y-%m-%d %H:%M} UTC, {long(shown['until'] - time.time())} from now"]
    if found["keys"]:
        rows = [["KEY", "FINGERPRINT", "AGE", "LAST USE", "LAST SUCCESS", "REFUSED"]]
        for one in found["keys"]:
            refused = "{status} at {at}".format(**{"status": "?", "at": "?", **one["refused"]}) if one["refused"] else "-"
            uses = [f"{long(age(one[use]))} ago" if one[use] else "never" for use in ("last_use", "last_success")]
            rows.append(
                [one["key"], one["fingerprint"] or "?", f"{one['age_days']:g} d" if one["age_days"] is not None else "?", *uses, refused]
            )
        said += ["", *table(rows), ""]
    else:
        said += ["Keys       none on this host"]
    said += [f"Canary     {found['canary']['count']} uses"]
    size = found["disk"]
    engine = f"{large(size['images'])} in {size['image_count']} images, {size['volumes']} volumes; {large(size['free'])} free"
    said += [
        f"Disk       {large(size['stack_dir'])} in {found['stack_dir']}, {engine}",
        f"Workspace  {large(size['workspace'])} in {found['workspace'] or '?'}",
    ]
    backup = found["backup"]
    last = f"{long(age(backup['at']))} ago: {backup.get('file')} ({large(backup.get('size'))})" if backup.get("at") else "never"
    return [*said, f"Backup     {last}"]


def answer(question: dict[str, Any]) -> dict[str, Any]:
    """Report on the stack in ``stack_dir`` of ``project``; a key is old after ``key_max_age`` days."""
    found = report(Stack(question["stack_dir"], question["project"]), float(question["key_max_age"]))
    return {"changed": False, "report": found, "lines": lines(found)}


def main(question: dict[str, Any]) -> dict[str, Any]:
    """Return what came of it, and ``error``."""
    return answered(answer, question)
