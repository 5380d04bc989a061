"""What development changes in what a deploy writes, and that production has nothing of it."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import plays

DEBUG = "127.0.0.1:29992:4096"


def described(folder: Path, engine_path: str, variables: dict[str, Any]) -> dict[str, Any]:
    """Return the services of compose.yml as a dry run would write it."""
    own = {
        "stack_dir": str(folder / "stack"),
        "frontend_port": 29991,
        "backend_debug_port": 29992,
        "backend_workspace": str(folder / "workspace"),
        "stack_verify": False,
        **variables,
    }
    run = plays.run(folder, {"one": own}, {}, "site.yml", "--check", "--diff", path=engine_path, settings={"ANSIBLE_NOCOLOR": "1"})
    assert run.returncode == 0, run.stdout
    shown = re.split(r"^\+\+\+ .*compose.yml.*$", run.stdout, flags=re.M)[1].split("changed:")[0]
    services: dict[str, Any] = yaml.safe_load("\n".join(line[1:] for line in shown.splitlines() if line.startswith("+")))["services"]
    return services


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("development")
    (folder / "source").mkdir()
    for name in ("package.json", "bun.lock"):
        (folder / "source" / name).write_text("{}", encoding="utf-8")
    (folder / "workspace").mkdir()
    for path in (folder / "source", folder / "workspace"):
        os.chown(path, 1000, 1000) if os.getuid() == 0 else None
    return folder


def test_production_has_nothing_of_it(folder: Path, engine_path: str) -> None:
    services = described(folder, engine_path, {})
    assert services["gateway"]["ports"] == ["127.0.0.1:29991:3000"]
    assert set(services["gateway"]["networks"]) == {"edge", "web"}
    assert services["frontend"]["volumes"] == ["./backend/secrets:/run/secrets/backend:ro"]
    assert services["llm-proxy"]["environment"]["LITELLM_LOG"] == "WARNING"


@pytest.mark.parametrize("source", ["folder", "clone"])
def test_the_page_runs_from_its_source(folder: Path, engine_path: str, source: str) -> None:
    given = {"frontend_source": {"folder": str(folder / "source")}} if source == "folder" else {}
    services = described(folder, engine_path, {"stack_mode": "development", **given})
    frontend = services["frontend"]
    place = str(folder / "source") if source == "folder" else f"{folder}/stack/frontend/source/cf35e604138e"
    assert f"{place}:/app/source" in frontend["volumes"]
    assert "./frontend/node_modules:/app/source/node_modules" in frontend["volumes"]
    owner = 1000 if os.getuid() == 0 else os.getuid()
    assert frontend["user"].split(":")[0] == str(owner)
    assert set(frontend["networks"]) == {"web", "app"}
    # As shut in as in production.
    assert (frontend["read_only"], frontend["cap_drop"]) == (True, ["ALL"])
    assert services["gateway"]["ports"] == ["127.0.0.1:29991:3000", DEBUG]
    assert set(services["gateway"]["networks"]) == {"edge", "web", "app"}
    assert [name for name, service in services.items() if "ports" in service] == ["gateway"]
    assert services["llm-proxy"]["environment"]["LITELLM_LOG"] == "DEBUG"


def test_without_a_debug_port_the_gateway_is_as_in_production(folder: Path, engine_path: str) -> None:
    services = described(folder, engine_path, {"stack_mode": "development", "backend_debug_port": 0})
    assert services["gateway"]["ports"] == ["127.0.0.1:29991:3000"]
    assert set(services["gateway"]["networks"]) == {"edge", "web"}
