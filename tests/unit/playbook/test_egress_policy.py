"""What the guard lets tools through to is what the policy says, and nothing where it says nothing."""

import json
import re
from pathlib import Path

import pytest

import plays

ROOT = Path(__file__).parents[3]
GIVEN = {
    "__llm_proxy_canary": False,
    "__llm_proxy_upstreams": [],
    "__llm_proxy_egress_never": ["127.0.0.0/8"],
    "__llm_proxy_egress_private": ["10.0.0.0/8"],
    "__stack_host": {"addresses": ["203.0.113.7"]},
    "__frontend_acme": False,
    "__frontend_acme_servers": [],
    "frontend_acme_private": False,
    "backend_egress_hosts": ["github.com"],
    "llm_proxy_egress_proxy": "",
    "__llm_proxy_private_names": {"llm_proxy": [], "gateway": []},
}
BEHIND: dict[str, object] = {"llm_proxy_egress_proxy": "http://proxy.example.com:3128", "__llm_proxy_upstream_file": "upstream-1.conf"}
AUTHORITY = {"__frontend_acme": True, "__frontend_acme_servers": [{"hostname": "authority.example", "port": 9443}]}


def written(policy: str, folder: Path, more: dict[str, object] | None = None) -> str:
    """Return squid.conf."""
    variables = {**GIVEN, **(more or {}), "backend_egress_policy": policy}
    return plays.rendered(folder, ROOT / "roles/llm_proxy/templates/squid.conf.j2", {"squid.conf": variables})["squid.conf"]


def allowed(policy: str, folder: Path, who: str = "backend", more: dict[str, object] | None = None) -> list[str]:
    """Return the lines of squid.conf that let the tools, or someone else, through."""
    rendered = written(policy, folder, more)
    assert "acl private dst 203.0.113.7" in rendered
    assert "http_access deny refused" in rendered
    # One flood must not shut the way out for the other.
    assert re.search(r"^client_ip_max_connections \d+$", rendered, re.M)
    return re.findall(rf"^(?:http_access allow|ssl_bump splice) from_{who} ?(.*)$", rendered, re.M)


@pytest.mark.parametrize(
    ("policy", "lines"),
    [
        ("none", ["ssh"]),
        ("allowlist", ["CONNECT secure listed", "CONNECT ssh listed", "!CONNECT http plain listed", "ssh", "listed_1 listed_1_name"]),
        ("public", ["CONNECT secure !bare_address", "CONNECT ssh !bare_address", "!CONNECT http plain !bare_address", "ssh", ""]),
    ],
)
def test_the_tools_are_let_through_to_what_the_policy_says(tmp_path: Path, policy: str, lines: list[str]) -> None:
    assert [line.removesuffix(" !private allowed") for line in allowed(policy, tmp_path)] == lines


@pytest.mark.parametrize(("private", "never"), [(False, "!private"), (True, "!never")])
def test_the_gateway_is_let_through_to_who_gives_it_certificates(tmp_path: Path, private: bool, never: str) -> None:
    given = {**AUTHORITY, "frontend_acme_private": private}
    assert allowed("none", tmp_path, "gateway", given) == [
        f"CONNECT authority_1_host authority_1_port {never} allowed",
        "authority_1_host authority_1_name",
    ]
    assert allowed("none", tmp_path, "gateway") == []


def test_behind_a_proxy_nothing_else_is_connected_to(tmp_path: Path) -> None:
    """Where a name leads is not looked up there, since the server may have no names for what is outside."""
    assert allowed("allowlist", tmp_path, more=BEHIND)[0] == "CONNECT secure listed allowed"
    lines = written("allowlist", tmp_path, BEHIND).splitlines()
    assert {"include /run/secrets/egress/upstream-1.conf", "never_direct allow all"} <= set(lines)
    assert not [line for line in lines if line.startswith("always_direct")]
    assert not re.search("never_direct|include", written("allowlist", tmp_path))


def test_behind_a_proxy_what_is_said_to_be_private_is_reached_directly(tmp_path: Path) -> None:
    house = {"id": "provider_1", "provider": "house", "scheme": "https", "host": "house.lan", "port": 443, "allow_private": True}
    more = {**BEHIND, "__llm_proxy_upstreams": [house], "__llm_proxy_private_names": {"llm_proxy": ["house.lan"], "gateway": []}}
    assert allowed("none", tmp_path, "llm_proxy", more)[0] == "CONNECT provider_1_host provider_1_port !never allowed"
    rendered = written("none", tmp_path, more)
    # For the proxy alone: the agent's tools go the other way, whatever their list names.
    direct = "acl private_to_llm_proxy dstdomain -n house.lan\nalways_direct allow from_llm_proxy private_to_llm_proxy\n"
    assert rendered.index(direct) < rendered.index("never_direct allow all")
    assert rendered.count("always_direct") == 1


def test_the_host_is_asked_where_the_providers_names_lead(tmp_path: Path, engine_path: str) -> None:
    """Without what else is in an address: there might be a key in it."""
    bases = {"one": "https://llm.example.org/v1", "two": "HTTP://user:password@other.example.org:8443/?key=x", "three": "no address"}
    given = {
        "llm_proxy_providers": {name: {"litellm": "openai", "api_base": base} for name, base in bases.items()},
        "stack_dir": f"{tmp_path}/stack",
    }
    done = plays.run(tmp_path, {"here": given}, {}, "site.yml", "--check", "--tags=check", path=engine_path)
    [look] = [result for task, _, result in plays.results(done.stdout) if task.endswith("Look at the host in one go")]
    assert json.loads(look["invocation"]["module_args"]["stdin"])["question"]["upstreams"] == ["llm.example.org", "other.example.org"]
