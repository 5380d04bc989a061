"""The decoy lies where it is to lie, looks like a key, and goes when it is not wanted."""

import os
import re
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

import decoy_files


def question(folder: Path, **more: Any) -> dict[str, Any]:
    places = {}
    for name, mode in (("home", "0600"), ("secrets", "0400"), ("config", "0644")):
        (folder / name).mkdir(exist_ok=True)
        places[name] = {"path": str(folder / name), "owner": os.getuid(), "group": os.getgid(), "mode": mode}
    return {"enabled": True, "check": False, "webhook": "", **places, **more}


def held(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in folder.rglob("*") if path.is_file()}


def test_it_is_laid_out_once_and_known_to_those_who_watch(tmp_path: Path) -> None:
    assert decoy_files.main(question(tmp_path, check=True))["changed"]
    assert held(tmp_path) == {}
    assert decoy_files.main(question(tmp_path))["changed"]
    files = held(tmp_path)
    key = files["secrets/canary"]
    assert re.fullmatch(r"sk-proj-[A-Za-z0-9]{96}", key)
    assert key in files["home/.config/openai/credentials"]
    assert re.fullmatch(files["config/canary.words"].strip(), key)
    assert f"https://{files['config/canary.hosts'].strip()}/v1" in files["home/.config/openai/credentials"]
    modes = {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in files}
    assert modes == {
        "secrets/canary": 0o400,
        "home/.config/openai/credentials": 0o600,
        "config/canary.words": 0o644,
        "config/canary.hosts": 0o644,
    }
    assert not decoy_files.main(question(tmp_path))["changed"]
    assert held(tmp_path) == files


def test_what_the_agent_took_away_is_laid_out_again_and_is_the_same(tmp_path: Path) -> None:
    decoy_files.main(question(tmp_path))
    before = held(tmp_path)
    (tmp_path / "home/.config/openai/credentials").unlink()
    assert decoy_files.main(question(tmp_path))["changed"]
    assert held(tmp_path) == before


def test_it_goes_when_it_is_not_wanted(tmp_path: Path) -> None:
    decoy_files.main(question(tmp_path, webhook="https://hooks.example/x"))
    assert held(tmp_path)["secrets/canary_webhook"] == "https://hooks.example/x"
    assert decoy_files.main(question(tmp_path, enabled=False, webhook="https://hooks.example/x"))["changed"]
    assert held(tmp_path) == {}
    assert not decoy_files.main(question(tmp_path, enabled=False))["changed"]


@pytest.mark.parametrize("link", [".config", ".config/openai"])
@pytest.mark.parametrize("enabled", [True, False])
def test_no_link_of_the_agents_leads_root_out_of_its_home(tmp_path: Path, link: str, enabled: bool) -> None:
    decoy_files.main(question(tmp_path, enabled=not enabled))
    shutil.rmtree(tmp_path / "home/.config", ignore_errors=True)
    system = tmp_path / "system"
    (system / "openai").mkdir(parents=True)
    for path in (system / "credentials", system / "openai/credentials", system / ".credentials.new"):
        path.write_text("root's own", encoding="utf-8")
    (tmp_path / "home" / link).parent.mkdir(exist_ok=True)
    (tmp_path / "home" / link).symlink_to(system)
    before = held(system)
    answer = decoy_files.main(question(tmp_path, enabled=enabled))
    assert held(system) == before
    assert str(tmp_path / "home/.config/openai/credentials") in answer["hindered"]


@pytest.mark.parametrize("what", ["link", "pipe", "huge"])
def test_what_the_agent_put_in_its_place_is_replaced_and_not_followed(tmp_path: Path, what: str) -> None:
    decoy_files.main(question(tmp_path))
    before, place = held(tmp_path), tmp_path / "home/.config/openai/credentials"
    place.unlink()
    other = tmp_path / "other"
    other.write_text("root's own", encoding="utf-8")
    if what == "link":
        place.symlink_to(other)
    elif what == "pipe":
        os.mkfifo(place)
    else:
        with place.open("wb") as file:
            file.truncate(2**40)
    assert decoy_files.main(question(tmp_path)) == {"changed": True, "hindered": "", "error": ""}
    assert held(tmp_path) == {**before, "other": "root's own"}


@pytest.mark.parametrize("path", ["secrets/canary", "config/canary.hosts"])
def test_what_cannot_be_written_is_said(tmp_path: Path, path: str) -> None:
    places = question(tmp_path)
    (tmp_path / path).mkdir()
    answer = decoy_files.main(places)
    assert answer["error"] == f"{tmp_path}/{path} on the host: Is a directory. Look after that, and run again."
    assert answer["changed"] is (path != "secrets/canary")


def test_a_folder_in_its_place_is_said(tmp_path: Path) -> None:
    (tmp_path / "home/.config/openai/credentials").mkdir(parents=True)
    assert "Is a directory" in decoy_files.main(question(tmp_path))["hindered"]
