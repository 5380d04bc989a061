"""OpenCode's configuration keeps the order that it was written in, which says which rule wins and in which order people see models."""

import fnmatch
import json
from pathlib import Path
from typing import Any

import pytest

import plays

ROLE = Path(__file__).parents[3] / "roles/backend"
GIVEN = {
    "llm_proxy_models": [{"name": name, "provider": "demo"} for name in ("gpt", "claude", "demo")],
    "frontend_ui": "oc-web",
    "backend_model": "auto",
    "backend_small_model": "auto",
    "backend_permissions": {},
    "backend_opencode_config": {},
}


def written(folder: Path, *cases: dict[str, Any]) -> list[dict[str, Any]]:
    """Return opencode.json for each case, as variables of a host."""
    hosts = {f"case-{number}": {**GIVEN, **case} for number, case in enumerate(cases)}
    found = plays.rendered(folder, ROLE / "templates/opencode.json.j2", hosts, ROLE / "vars/main.yml")
    return [json.loads(text) for text in found.values()]


def answer(permission: dict[str, Any], tool: str, use: str = "*") -> str:
    """Return the action for a use of a tool as OpenCode finds it: of the rules that match, it takes the last one. All else it allows."""
    rules = [
        (name, pattern, action)
        for name, rule in permission.items()
        for pattern, action in (rule.items() if isinstance(rule, dict) else [("*", rule)])
    ]
    found = [action for name, pattern, action in rules if fnmatch.fnmatchcase(tool, name) and fnmatch.fnmatchcase(use, pattern)]
    return str(found[-1]) if found else "allow"


def test_models_and_the_users_own_configuration_are_in_the_order_that_was_written(tmp_path: Path) -> None:
    rules = {"permission": {"read": {"*": "allow", "$HOME/.ssh/*": "deny"}}}
    [config] = written(tmp_path, {"backend_opencode_config": {"agent": {"second": rules, "first": rules}}})
    assert list(config["provider"]["litellm-proxy"]["models"]) == ["gpt", "claude", "demo"]
    assert list(config["agent"]) == ["second", "first"]
    assert list(config["agent"]["first"]["permission"]["read"]) == ["*", "$HOME/.ssh/*"]


CASES: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({}, {"bash": "ask", "edit": "ask", "webfetch": "ask", "read": "allow", "question": "deny"}),
    ({"webfetch": "deny"}, {"bash": "ask", "edit": "ask", "webfetch": "deny", "question": "deny"}),
    ({"bash": "allow"}, {"bash": "allow", "edit": "ask", "webfetch": "ask"}),
    ({"read": {"*": "allow", "$HOME/.ssh/*": "deny"}}, {"read $HOME/.ssh/id": "deny", "read notes": "allow", "bash": "ask"}),
    ({"read": {"$HOME/.ssh/*": "deny", "*": "allow"}}, {"read $HOME/.ssh/id": "allow"}),
    ({"*": "deny", "bash": "allow"}, {"bash": "allow", "edit": "deny", "read": "deny", "question": "deny"}),
    ({"bash": "allow", "*": "ask"}, {"bash": "ask", "edit": "ask", "read": "ask", "question": "deny"}),
    ({"*": "allow"}, {"bash": "allow", "edit": "allow", "question": "deny"}),
    ({"bash": {"git *": "allow"}}, {"bash git log": "allow", "bash rm x": "ask", "edit": "ask"}),
    ({"*": "deny", "bash": {"git *": "allow"}}, {"bash git log": "allow", "bash rm x": "deny", "edit": "deny"}),
    ({"bash": {"git *": "allow"}, "bash*": "deny"}, {"bash git log": "deny", "bash rm x": "deny"}),
    ({"question": "allow"}, {"question": "allow", "bash": "ask"}),
    ({"question": "allow", "*": "ask"}, {"question": "ask"}),
]


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return written(tmp_path_factory.mktemp("cases"), *({"backend_permissions": permissions} for permissions, _ in CASES))


@pytest.mark.parametrize("case", range(len(CASES)), ids=lambda case: str(CASES[case][0]))
def test_the_users_last_rule_wins_and_what_has_none_is_asked_for(configured: list[dict[str, Any]], case: int) -> None:
    answers = CASES[case][1]
    assert {use: answer(configured[case]["permission"], *use.split(" ", 1)) for use in answers} == answers


def test_opencodes_own_page_can_show_its_questions(tmp_path: Path) -> None:
    [config] = written(tmp_path, {"frontend_ui": "opencode"})
    assert config["permission"] == {"bash": "ask", "edit": "ask", "webfetch": "ask"}
