"""A dry run ends in a plan that names whatever the deploy would write on the host, not its containers alone."""

from typing import Any

import pytest

import plays

HASH = f"$scrypt$ln=15,r=8,p=3${'a' * 22}${'b' * 43}"
SETTINGS: dict[str, Any] = {
    "frontend_port": 29911,
    "frontend_tls": "internal",
    "frontend_users": {"ann": HASH},
    "backend_egress_policy": "none",
    "llm_proxy_canary": True,
    "llm_proxy_egress_proxy": "http://proxy.example.org:3128",
    "llm_proxy_egress_proxy_login": "user:password",
    "stack_verify": False,
}
# Nothing was ever written; a folder is there with the mode of another, a login that is no longer wanted.
HOSTS = ("bare", "used")


@pytest.fixture(scope="module")
def said(engine_path: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a dry run says of both."""
    folder = tmp_path_factory.mktemp("plans")
    common = {**SETTINGS, "frontend_tls_roots": str(folder / "roots")}
    hosts = {name: {"stack_dir": str(folder / name)} for name in HOSTS}
    keys = folder / "used/llm-proxy/keys"
    keys.mkdir(parents=True)
    keys.chmod(0o755)
    (folder / "used/build.yml").write_text("\nname: ocweb\n", encoding="utf-8")
    (folder / "used/gateway/secrets").mkdir(parents=True)
    (folder / "used/gateway/secrets/proxy.sha256").touch()
    done = plays.run(folder, hosts, common, "site.yml", "--check", path=engine_path)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def plans(said: str) -> dict[str, list[str]]:
    """The plan of each, each line with single spaces."""
    found = {host: one["msg"] for task, host, one in plays.results(said) if task == "stack : What a deploy would change"}
    return {host: [" ".join(line.split()) for line in text.splitlines()] for host, text in found.items()}


EVERYWHERE = [
    *(
        f"would write file {name}"
        for name in ("compose.yml", "gateway/config/Caddyfile", "llm-proxy/config/config.yaml", "backend/config/opencode.json")
    ),
    *(f"would write secret {name}" for name in ("llm-proxy/secrets/master_key", "backend/secrets/password", "gateway/secrets/users.json")),
    "would write decoy of a key",
    "would appear container gateway",
]
ONE = {
    "bare": ["would appear folder llm-proxy/keys", "would appear folder gateway/secrets"],
    "used": ["would change folder llm-proxy/keys", "would change folder gateway/secrets", "would go secret gateway/secrets/proxy.sha256"],
}


@pytest.mark.parametrize("host", HOSTS)
def test_whatever_would_be_written_is_in_it(plans: dict[str, list[str]], host: str) -> None:
    assert [line for line in [*EVERYWHERE, *ONE[host]] if line not in plans[host]] == []


@pytest.mark.parametrize("host", HOSTS)
def test_the_login_of_the_outer_proxy_is_among_it_by_its_name_alone(plans: dict[str, list[str]], host: str) -> None:
    [line] = [line for line in plans[host] if "egress/secrets/" in line and "secret" in line.split()[2]]
    assert line.startswith("would write secret egress/secrets/upstream-")


def test_a_dry_run_blames_nobody_for_a_home_that_is_yet_to_be_made(said: str) -> None:
    assert "The decoy is not where it is to be" not in said
