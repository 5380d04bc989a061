"""A bundle holds the project and what was collected, and whatever is not as it was bundled is told before anything is sent."""

import json
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

import bundle

MANIFEST = {"architecture": "x86_64", "distribution": "debian-13", "images": {"localhost/ocweb/base:1": "sha256:1"}, "variables": {}}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "roles").mkdir(parents=True)
    (folder / "galaxy.yml").write_text("name: stack\nversion: 1.2.3\n", encoding="utf-8")
    (folder / "roles/one.yml").write_text("---\n", encoding="utf-8")
    return folder


@pytest.fixture
def unpacked(project: Path, tmp_path: Path) -> Path:
    """The folder `bundle` of a bundle that was made and unpacked."""
    staging = tmp_path / "staging"
    (staging / "wheels").mkdir(parents=True)
    (staging / "images.tar.gz").write_bytes(b"images")
    (staging / "wheels/uv.whl").write_bytes(b"uv")
    made = bundle.make(project, staging, tmp_path, MANIFEST)
    assert made["path"] == str(tmp_path / "ocweb-bundle-1.2.3-debian-13-x86_64.tar")
    assert made["sha256"] == bundle.sha256(Path(made["path"]))
    # As the reader of docs/offline.md compares it.
    assert subprocess.run(["sha256sum", made["path"]], capture_output=True, text=True, check=True).stdout.split()[0] == made["sha256"]
    with tarfile.open(made["path"]) as archive:
        archive.extractall(tmp_path / "elsewhere", filter="data")
    return tmp_path / "elsewhere/ocweb-1.2.3/bundle"


def test_an_image_is_named_as_it_was_asked_for(tmp_path: Path, stub_command: Callable[..., None]) -> None:
    """Another project on the same engine may have the same image by another name, which comes first."""
    # What the engine says of each, in the words that Docker puts in the place of these.
    body = """case "$*" in
        "image inspect "*) shift 3; format=$1; shift
            for tag; do echo "$format" | sed "s|{{index .RepoTags 0}}|localhost/first/base:1|; s|{{.Id}}|sha256:1|"; done ;;
        "image save "*) touch "$4" ;;
    esac"""
    stub_command(body)
    script = Path(bundle.__file__).parents[1] / "save-images"
    tags = ["localhost/second/base:1", "localhost/second/backend:2"]
    done = subprocess.run(["sh", "-s", tmp_path, *tags], stdin=script.open("rb"), capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"{tag} sha256:1" for tag in tags]
    assert (tmp_path / "images.tar.gz").exists()


def test_what_was_made_is_whole(unpacked: Path) -> None:
    found = bundle.check(unpacked, ["images.tar.gz", "wheels"])
    assert found["problem"] == ""
    assert found["manifest"]["version"] == "1.2.3"
    assert set(found["manifest"]["files"]) == {"images.tar.gz", "wheels/uv.whl"}
    assert (unpacked.parent / "roles/one.yml").read_text(encoding="utf-8") == "---\n"


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("images.tar.gz", "image", "images.tar.gz is not the file that was bundled"),
        ("images.tar.gz", None, "images.tar.gz is missing"),
        ("wheels/uv.whl", "another", "uv.whl is not the file that was bundled"),
        ("manifest.json", None, "has no manifest.json"),
        ("manifest.json", "{", "is not a manifest that this version reads"),
        ("manifest.json", "[]", "is not a manifest that this version reads"),
        ("manifest.json", '{"format": 99}', "is not a manifest that this version reads"),
        ("manifest.json", '{"format": 1, "images": {}}', "is not a manifest that this version reads"),
    ],
)
def test_what_is_not_as_it_was_bundled_is_told(unpacked: Path, name: str, text: str | None, problem: str) -> None:
    (unpacked / name).unlink()
    if text is not None:
        (unpacked / name).write_text(text, encoding="utf-8")
    assert problem in bundle.check(unpacked, ["images.tar.gz", "wheels"])["problem"]


def test_only_the_files_that_are_wanted_are_read(unpacked: Path) -> None:
    (unpacked / "images.tar.gz").unlink()
    assert bundle.check(unpacked, [])["problem"] == ""
    assert bundle.check(unpacked, ["wheels"])["problem"] == ""


def test_of_a_repository_what_git_tracks_is_bundled(project: Path) -> None:
    for command in (["init", "--quiet"], ["add", "."]):
        subprocess.run(["git", *command], cwd=project, check=True)
    (project / "vault-password").write_text("secret", encoding="utf-8")
    (project / "roles/two.yml").write_text("---\n", encoding="utf-8")
    assert bundle.project_files(project) == ["galaxy.yml", "roles/one.yml"]
    (project / "roles/one.yml").unlink()
    (project / "inventories/mine").mkdir(parents=True)
    (project / "inventories/mine/vault.yml").touch()
    subprocess.run(["git", "add", "inventories"], cwd=project, check=True)
    assert bundle.project_files(project) == ["galaxy.yml"]


def test_without_a_repository_all_but_what_is_made_is_bundled(project: Path) -> None:
    for name in (".venv/bin/python", "dist/a.tar", "bundle/manifest.json", "roles/__pycache__/x.pyc", "inventories/mine/vault.yml"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).touch()
    assert bundle.project_files(project) == ["galaxy.yml", "roles/one.yml"]
    (project / "inventories/vault.yml").touch()
    (project / "inventories/example").mkdir()
    (project / "inventories/example/hosts.yml").touch()
    assert bundle.project_files(project) == ["galaxy.yml", "inventories/example/hosts.yml", "roles/one.yml"]


def test_the_version_is_that_of_the_collection_as_it_was_installed_too(project: Path) -> None:
    (project / "MANIFEST.json").write_text(json.dumps({"collection_info": {"version": "4.5.6"}}), encoding="utf-8")
    assert bundle.version(project) == "4.5.6"


@pytest.mark.parametrize("part", ["architecture", "distribution"])
def test_what_a_host_calls_itself_leads_nowhere_else(project: Path, tmp_path: Path, part: str) -> None:
    (tmp_path / "staging").mkdir()
    before = set(tmp_path.rglob("*"))
    with pytest.raises(SystemExit, match="cannot name a file"):
        bundle.make(project, tmp_path / "staging", tmp_path / "dist", {**MANIFEST, part: "x/../../elsewhere"})
    assert set(tmp_path.rglob("*")) - before <= {tmp_path / "staging/manifest.json"}
