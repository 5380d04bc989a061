"""One file of the user's moves the pins, and with a pin the tags of the images that are made from it, and no other."""

from pathlib import Path
from typing import Any

import pytest
import yaml

import plays

ROOT = Path(__file__).parents[3]
COLLECTION = yaml.safe_load((ROOT / "files/pins.yml").read_text(encoding="utf-8"))["stack_pins"]
EVERY = {"egress", "llm-proxy", "backend", "frontend", "gateway"}


def moved(name: str) -> dict[str, Any]:
    """Return one of the pins with another hash."""
    pin = COLLECTION[name]
    return {
        name: {one: f"{package[:-1]}{'01'[package[-1] == '0']}" for one, package in pin.items()} if name != "base" else f"{pin[:-4]}0000"
    }


CASES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "copy": (COLLECTION, set()),
    "base": (moved("base"), EVERY),
    "opencode": (moved("opencode"), {"backend"}),
    "bun": (moved("bun"), {"frontend"}),
}


@pytest.fixture(scope="module")
def tags(engine_path: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """The tag of each service's image, on a host for each case, and on one of the collection's pins."""
    folder = tmp_path_factory.mktemp("pins")
    hosts = {name: {"stack_pins": pins} for name, (pins, _) in CASES.items()} | {"collection": {}}
    common = {"frontend_port": 29970, "stack_dir": f"{folder}/{{{{ inventory_hostname }}}}"}
    run = plays.run(folder, hosts, common, "site.yml", "--check", "--tags=check", path=engine_path)
    found: dict[str, dict[str, str]] = {name: {} for name in hosts}
    for _, host, result in plays.results(run.stdout):
        assert not result.get("failed"), f"{host}: {result['msg']}"
        facts = result.get("ansible_facts", {}).values()
        found[host] |= {fact["service"]: fact["tag"] for fact in facts if isinstance(fact, dict) and "tag" in fact}
    return found


@pytest.mark.parametrize("case", CASES)
def test_a_pin_that_moves_takes_the_images_along(tags: dict[str, dict[str, str]], case: str) -> None:
    assert set(tags["collection"]) == EVERY
    assert {service for service, tag in tags["collection"].items() if tags[case][service] != tag} == CASES[case][1]
