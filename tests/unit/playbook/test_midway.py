"""What a deploy meets on a host when it is under way is one clear error, also of a task that shows nothing of its output."""

from typing import Any

import pytest

import plays

HASH = f"$scrypt$ln=15,r=8,p=3${'a' * 22}${'b' * 43}"
PROXY = {
    "backend_egress_policy": "none",
    "llm_proxy_egress_proxy": "http://proxy.example.org:3128",
    "llm_proxy_egress_proxy_login": "user:password",
}
# What is set, what lies where something else belongs ("/" at the end: a folder), and what is said.
CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "login": (PROXY, "deployed/egress/config/squid.conf/", "squid.conf on the host: Is a directory. Look after that"),
    "gateway": (
        {"frontend_tls": "internal", "frontend_users": {"ann": HASH}},
        "deployed/gateway/config/Caddyfile/",
        "Caddyfile on the host: Is a directory. Look after that",
    ),
    "decoy": ({"llm_proxy_canary": True}, "llm-proxy/secrets/canary/", "canary on the host: Is a directory. Look after that"),
}


@pytest.fixture(scope="module")
def errors(engine_path: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What each case's host says, from one dry run."""
    folder = tmp_path_factory.mktemp("midway")
    hosts = {}
    for name, (given, path, _) in CASES.items():
        place = folder / name / path
        place.parent.mkdir(parents=True)
        place.mkdir() if path.endswith("/") else place.touch()
        # Of a deploy that did not come to its end: it is a stack's folder.
        (folder / name / "build.yml").write_text("\nname: ocweb\n", encoding="utf-8")
        hosts[name] = {"stack_dir": str(folder / name), **given}
    common = {"frontend_port": 29901, "stack_verify": False}
    done = plays.run(folder, hosts, common, "site.yml", "--check", "--forks=4", path=engine_path)
    results = list(plays.results(done.stdout))
    return {name: [str(one.get("msg")) for _, host, one in results if host == name and one.get("failed")] for name in CASES}


@pytest.mark.parametrize("case", CASES)
def test_it_is_one_clear_error(errors: dict[str, list[str]], case: str) -> None:
    [message] = errors[case]
    assert CASES[case][2] in message and len(message.splitlines()) == 1
