"""Which attacks are run: all of them in the test bed, those that do no harm on a server in use, or the quick ones of these.

An attack is a test with ``@control("id", ...)``; the first line of its docstring, or its name, says what is tried.
``@bed`` is on those that need the fake internet, the neighbour or a server that may be ill-treated; `server`, `internet`, `neighbour`
and `canaries` are only there. ``@thorough`` is on those that take longer than the quick audit may.
"""

import os
from pathlib import Path
from typing import Any

import pytest
from bed import FIXTURES, fixtures
from controls import BY_ID
from stack import Stack
from testinfra.host import Host

bed = pytest.mark.bed
thorough = pytest.mark.thorough
# On what needs, or may not have, a gateway with TLS and a login. In the test bed --secured says which it has, elsewhere the stack does.
secured = pytest.mark.secured
plain = pytest.mark.plain

BED_ONLY = "needs the test bed: a fake internet, a neighbour, or a server that may be ill-treated"
NOT_SECURED = "the gateway has neither TLS nor a login, and is on loopback alone"
NOT_QUICK = "not in the quick part; playbooks/verify.yml runs it"


def control(*names: str) -> pytest.MarkDecorator:
    """Say which protections an attack tries; with one of them gone, it is to succeed."""
    assert set(names) <= BY_ID.keys(), names
    return pytest.mark.control(*names)


def install(namespace: dict[str, Any]) -> None:
    """Put the options, the choice of tests and the fixtures into a conftest's namespace."""

    stacks: dict[str, Stack] = {}

    def pytest_addoption(parser: pytest.Parser) -> None:
        group = parser.getgroup("attacks")
        group.addoption("--bed", action="store_true", help="the server is in the test bed: run everything")
        group.addoption("--secured", action="store_true", help="the gateway in the test bed has TLS and a login")
        group.addoption("--quick", action="store_true", help="run only what takes a few seconds")
        group.addoption("--control", action="append", default=[], help="run only the attacks on this control")
        group.addoption("--stack-project", default=os.environ.get("OCWEB_PROJECT", "ocweb"), help="the stack's Compose project")
        mode = os.environ.get("OCWEB_MODE", "production")
        group.addoption("--stack-mode", default=mode, choices=["production", "development"], help="its stack_mode")

    def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
        """What there is in development alone is attacked there alone."""
        return True if collection_path.name == "test_development.py" and config.getoption("--stack-mode") != "development" else None

    def pytest_configure(config: pytest.Config) -> None:
        for line in (
            "control(*names): the protections that are tried",
            "bed: only in the test bed",
            "thorough: not in the quick audit",
            "secured: only with TLS and a login",
            "plain: only without",
        ):
            config.addinivalue_line("markers", line)

    def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
        if wanted := set(config.getoption("--control")):
            chosen = [item for item in items if wanted & {name for mark in item.iter_markers("control") for name in mark.args}]
            config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
            items[:] = chosen
        if config.getoption("--bed") or config.getoption("--secured"):
            unfit = "plain" if config.getoption("--secured") else "secured"
            items[:] = [item for item in items if not item.get_closest_marker(unfit)]
        for item in items:
            if set(getattr(item, "fixturenames", ())) & set(FIXTURES):
                item.add_marker("bed")
            if item.get_closest_marker("bed") and not config.getoption("--bed"):
                item.add_marker(pytest.mark.skip(reason=BED_ONLY))
            elif item.get_closest_marker("thorough") and config.getoption("--quick"):
                item.add_marker(pytest.mark.skip(reason=NOT_QUICK))

    @pytest.fixture(autouse=True)
    def _fits(request: pytest.FixtureRequest) -> None:
        if request.node.get_closest_marker("secured") and not request.getfixturevalue("stack").secured:
            pytest.skip(NOT_SECURED)

    @pytest.fixture(scope="module")
    def stack(host: Host, pytestconfig: pytest.Config) -> Stack:
        """The stack on the server under attack; only in the test bed it changes between two files of attacks."""
        if pytestconfig.getoption("--bed"):
            stacks.clear()
        return stacks.setdefault(
            str(host.backend), Stack(host, pytestconfig.getoption("--stack-project"), pytestconfig.getoption("--stack-mode"))
        )

    fixtures(namespace)
    namespace.update(
        pytest_addoption=pytest_addoption,
        pytest_configure=pytest_configure,
        pytest_ignore_collect=pytest_ignore_collect,
        pytest_collection_modifyitems=pytest_collection_modifyitems,
        stack=stack,
        _fits=_fits,
    )
