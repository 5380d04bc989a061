"""The plan at the end of a dry run names what would appear, change, restart and go, and nothing else."""

from typing import Any

import pytest

import plan

SERVICE: dict[str, Any] = {
    "image": "localhost/ocweb/backend:1",
    "mem_limit": "1g",
    "volumes": ["/work:/workspace"],
    "labels": {"revision": "1"},
}
DEPLOYED: dict[str, Any] = {
    "services": {"backend": SERVICE, "gateway": {"image": "g", "ports": ["127.0.0.1:3000:3000"]}},
    "networks": {"app": None, "edge": None},
}
NOTHING: dict[str, Any] = {
    "project": "ocweb",
    "deployed": DEPLOYED,
    "described": DEPLOYED,
    "images": [],
    "packages": [],
    "engine": "running",
    "running": ["backend", "gateway"],
    "by_hand": [],
    "wrong_networks": [],
    "keys": [],
    "secret": False,
    "stack_dir": "/srv/ocweb",
    "folders": [],
    "folders_there": ["/srv/ocweb/llm-proxy/keys"],
    "files": [],
    "secrets": [],
    "closed": [],
    "decoy": "",
    "not_kept": False,
}
CLOSED = {"folder": "/srv/ocweb/gateway/secrets", "changed": ["users.json", "proxy.sha256"], "gone": ["proxy.sha256"]}


def lines(**other: object) -> list[str]:
    """Return the plan of a question, each line with single spaces."""
    return [" ".join(line.split()) for line in plan.main({**NOTHING, **other})["lines"]]


def test_nothing_would_change() -> None:
    assert plan.main(NOTHING) == {"error": "", "changed": False, "lines": ["Nothing would change."]}


def test_on_a_bare_server_everything_appears() -> None:
    found = lines(deployed=None, packages=["docker.io"], images=["localhost/ocweb/backend:1"], running=[])
    assert found == [
        "would appear engine docker.io",
        "would appear image localhost/ocweb/backend:1",
        "would appear network app",
        "would appear network edge",
        "would appear port gateway: 127.0.0.1:3000:3000",
        "would appear mount backend: /work:/workspace",
        "would appear container backend",
        "would appear container gateway",
    ]


BACKEND_ALONE = {**DEPLOYED, "services": {"backend": {**SERVICE, "mem_limit": "2g", "labels": {"revision": "2"}}}}
KEYS = [
    {"key": "openai", "before": "aa", "now": "bb"},
    {"key": "gemini", "before": "", "now": "cc"},
    {"key": "anthropic", "before": "dd", "now": ""},
]
RESTART = "would restart container"


@pytest.mark.parametrize(
    ("other", "wanted"),
    [
        (
            {"described": BACKEND_ALONE},
            [
                f"{RESTART} backend (its configuration, memory)",
                "would go port gateway: 127.0.0.1:3000:3000",
                "would go container gateway",
            ],
        ),
        ({"running": ["backend"]}, ["would start container gateway"]),
        ({"by_hand": ["gateway"]}, [f"{RESTART} gateway (changed by hand)"]),
        ({"secret": True}, [f"{RESTART} backend (another secret)", f"{RESTART} gateway (another secret)"]),
        (
            {"wrong_networks": ["ocweb_app"]},
            ["would change network app", f"{RESTART} backend (other networks)", f"{RESTART} gateway (other networks)"],
        ),
        (
            {"folders": ["/srv/ocweb/llm-proxy/keys", "/srv/ocweb/gateway/state", "/srv/workspace"]},
            ["would appear folder gateway/state", "would appear folder /srv/workspace", "would change folder llm-proxy/keys"],
        ),
        ({"files": ["/srv/ocweb/gateway/config/Caddyfile"]}, ["would write file gateway/config/Caddyfile"]),
        ({"secrets": ["/srv/ocweb/llm-proxy/secrets/master_key"]}, ["would write secret llm-proxy/secrets/master_key"]),
        ({"closed": [CLOSED]}, ["would write secret gateway/secrets/users.json", "would go secret gateway/secrets/proxy.sha256"]),
        ({"decoy": "go"}, ["would go decoy of a key"]),
        ({"not_kept": True}, ["would write copy of this deploy, to come back to"]),
        ({"engine": "stopped"}, ["would start engine docker"]),
        ({"keys": KEYS}, ["would appear key gemini cc", "would change key openai aa -> bb", "would go key anthropic dd"]),
    ],
    ids=[
        *("a service", "a stopped one", "one changed by hand", "another password", "a network", "folders", "a file", "a secret"),
        *("what one service reads", "the decoy", "a deploy that was cut off", "a stopped engine", "keys"),
    ],
)
def test_what_would_change_is_named(other: dict[str, Any], wanted: list[str]) -> None:
    assert lines(**other) == wanted
