"""The page's source code is described, and leads nowhere else."""

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

import source


@pytest.fixture
def source_code(tmp_path: Path) -> Path:
    folder = tmp_path / "oc-web"
    (folder / "packages/one").mkdir(parents=True)
    (folder / "package.json").write_text('{"workspaces": ["./packages/*", "../*"]}', encoding="utf-8")
    (folder / "bun.lock").write_text("{}", encoding="utf-8")
    (folder / "packages/one/package.json").write_text('{"name": "one"}', encoding="utf-8")
    return folder


def test_source_code_is_described_with_what_says_its_packages(source_code: Path) -> None:
    found = source.source(str(source_code), "/opt/ocweb", "/home/you/workspace")
    assert {name: found[name] for name in ("kind", "uid", "modules", "exposed", "overlapping")} == {
        "kind": "folder",
        "uid": os.getuid(),
        "modules": False,
        "exposed": "",
        "overlapping": "",
    }
    texts = json.loads(base64.b64decode(found["manifests"]))
    assert texts == {
        "package.json": '{"workspaces": ["./packages/*", "../*"]}',
        "bun.lock": "{}",
        "packages/one/package.json": '{"name": "one"}',
    }


@pytest.mark.parametrize("name", ["package.json", "bun.lock"])
def test_source_code_without_its_packages_has_none(source_code: Path, name: str) -> None:
    (source_code / name).unlink()
    assert source.source(str(source_code), "", "")["manifests"] == ""


@pytest.mark.parametrize("name", ["package.json", "bun.lock", "packages/one/package.json"])
def test_a_link_out_of_the_source_is_not_followed(source_code: Path, name: str) -> None:
    secret = source_code.parent / "key"
    secret.write_text('{"key": "canary"}', encoding="utf-8")
    (source_code / name).unlink()
    (source_code / name).symlink_to(secret)
    assert b"canary" not in base64.b64decode(source.source(str(source_code), "", "")["manifests"])


def test_source_code_that_changes_while_it_is_looked_at_does_not_lead_elsewhere(source_code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its owner puts a link in a folder's place after its folder was looked through, and before it is read."""
    secret = source_code.parent / "elsewhere"
    (secret / "one").mkdir(parents=True)
    (secret / "one/package.json").write_text('{"key": "canary"}', encoding="utf-8")
    real = source.opened

    def opened(name: str, above: int | None, how: int = os.O_DIRECTORY) -> Any:
        if name == "packages":
            (source_code / name).rename(source_code / "before")
            (source_code / name).symlink_to(secret)
        return real(name, above, how)

    monkeypatch.setattr(source, "opened", opened)
    assert set(source.manifests(str(source_code))) == {"package.json", "bun.lock"}


def test_source_code_keeps_nobody_waiting(source_code: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (source_code / "packages/one/package.json").unlink()
    os.mkfifo(source_code / "packages/one/package.json")
    assert set(source.manifests(str(source_code))) == {"package.json", "bun.lock"}
    monkeypatch.setattr(source, "LARGEST_MANIFEST", 10)
    assert source.manifests(str(source_code)) == {}


def test_source_code_whose_workspaces_are_no_list_has_no_packages(source_code: Path) -> None:
    (source_code / "package.json").write_text('{"workspaces": 5}', encoding="utf-8")
    assert source.manifests(str(source_code)) == {}


def test_source_code_in_the_workspace_or_the_stack_is_told(source_code: Path) -> None:
    assert source.source(str(source_code), "/opt/ocweb", str(source_code.parent))["overlapping"] == "backend_workspace"
    assert source.source(str(source_code), str(source_code), "/home/you/workspace")["overlapping"] == "stack_dir"


def test_no_source_code_is_nothing() -> None:
    assert source.source("", "/opt/ocweb", "/home/you/workspace")["manifests"] == ""
    assert source.source("/no/such", "/opt/ocweb", "/home/you/workspace")["kind"] == "missing"
