"""A bundle that does not fit gets one clear error, from the checks that come before any change; so does a bundle that cannot be made.

All cases of one engine are hosts of one run, as in test_bad_input.py.
"""

import json
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import bundle
import plays

ROOT = Path(__file__).parents[3]
WITHOUT_PLUGINS = '#!/bin/sh\ncase "$*" in info*) echo "26.1.5 /var/lib/docker" ;; ps*|image*) ;; *) exit 1 ;; esac\n'
VARIABLES = {
    "stack_project": "ocweb",
    "stack_base_image": "auto",
    "backend_packages": [],
    "frontend_source": "npm",
    "frontend_ui": "oc-web",
}
HERE = bundle.version(ROOT)
Change = Callable[[Path, dict[str, Any]], None]


def survey_architecture() -> str:
    name = platform.machine()
    return f"{name}-baseline" if name == "x86_64" and "avx2" not in Path("/proc/cpuinfo").read_text(encoding="utf-8") else name


def write(folder: Path, change: Change) -> str:
    """Make a bundle of one image that nobody wants, for another distribution, changed by ``change``; return its path."""
    folder.mkdir()
    manifest: dict[str, Any] = {
        "format": bundle.FORMAT,
        "version": HERE,
        "architecture": survey_architecture(),
        "distribution": "debian-99",
        "images": {"localhost/ocweb/gateway:0": "sha256:0"},
        "variables": VARIABLES,
        "files": {},
    }
    for name in ("images.tar.gz", "packages.tar"):
        (folder / name).write_text(name, encoding="utf-8")
        manifest["files"][name] = bundle.sha256(folder / name)
    change(folder, manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return str(folder)


def tamper(name: str) -> Change:
    return lambda folder, _: (folder / name).unlink()


def say(**values: Any) -> Change:
    return lambda _, manifest: manifest.update(values)


def run(folder: Path, playbook: str, hosts: dict[str, Any], path: str) -> dict[str, list[str]]:
    """Return what each host failed with."""
    apart = {name: {"stack_dir": f"{folder}/no-such-stack-{name}", **variables} for name, variables in hosts.items()}
    done = plays.run(folder, apart, {"frontend_port": 29970}, playbook, "--check", path=path)
    return plays.errors(done.stdout, hosts)


IMAGES: dict[str, tuple[Change, dict[str, Any], list[str]]] = {
    "unread": (say(format=99), {}, ["stack_bundle:", "is not a manifest that this version reads"]),
    "architecture": (say(architecture="s390x"), {}, ["stack_bundle: the bundle is for s390x, and the host is"]),
    "truncated": (tamper("images.tar.gz"), {}, ["stack_bundle:", "images.tar.gz is missing"]),
    "tampered": (say(files={"images.tar.gz": "0" * 64}), {}, ["images.tar.gz is not the file that was bundled (its sha256 is another)"]),
    "variables": (
        say(),
        {"stack_project": "other", "backend_packages": ["jq"]},
        ["other variables", 'stack_project: "other" here, and "ocweb" there', 'backend_packages: ["jq"] here, and [] there'],
    ),
    "page": (
        say(),
        {"stack_mode": "development", "frontend_ui": "opencode"},
        ["other variables", 'frontend_ui: "opencode" here, and "oc-web" there'],
    ),
    "page in production": (say(), {"frontend_ui": "opencode"}, ["what they are built from was changed since it was made"]),
    "version": (say(version="0.0.1"), {}, [f"the bundle is of version 0.0.1, and this is version {HERE}"]),
    "changed": (say(), {}, ["the bundle has no localhost/ocweb/egress:", "what they are built from was changed since it was made"]),
}


@pytest.fixture(scope="module")
def of_images(engine_path: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    folder = tmp_path_factory.mktemp("bundles")
    hosts = {name: {"stack_bundle": write(folder / name, change), **variables} for name, (change, variables, _) in IMAGES.items()}
    hosts["nothing"] = {"stack_bundle": str(folder / "no-such-folder")}
    return run(folder, "site.yml", hosts, engine_path)


@pytest.mark.parametrize("case", [*IMAGES, "nothing"])
def test_a_bundle_that_does_not_fit_gets_one_clear_error(of_images: dict[str, list[str]], case: str) -> None:
    words = IMAGES[case][2] if case in IMAGES else ["stack_bundle:", "no-such-folder has no manifest.json"]
    assert len(of_images[case]) == 1
    assert len(of_images[case][0].splitlines()) == 1
    assert [each for each in words if each not in of_images[case][0]] == []


def this_system() -> str:
    release = platform.freedesktop_os_release()
    return f"{release['ID']}-{release['VERSION_ID']}"


PACKAGES: dict[str, tuple[Change, dict[str, Any], list[str]]] = {
    "distribution": (say(), {}, ["stack_bundle: the host has no engine", f"for debian-99, not for {this_system()}"]),
    "tampered": (say(distribution=this_system(), files={"packages.tar": "0" * 64}), {}, ["packages.tar is not the file that was bundled"]),
    "source": (say(), {"docker_source": "docker"}, ["docker_source:"]),
}


@pytest.fixture(scope="module")
def of_packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    folder = tmp_path_factory.mktemp("packages")
    for name, script in (("docker", WITHOUT_PLUGINS), ("dpkg-query", "#!/bin/sh\necho docker.io installed\nexit 1\n")):
        (folder / name).write_text(script, encoding="utf-8")
        (folder / name).chmod(0o755)
    hosts = {
        name: {"stack_bundle": write(folder / f"for-{name}", change), **variables} for name, (change, variables, _) in PACKAGES.items()
    }
    return run(folder, "site.yml", hosts, f"{folder}:{os.environ['PATH']}")


@pytest.mark.parametrize("case", PACKAGES)
def test_packages_that_do_not_fit_get_one_clear_error(of_packages: dict[str, list[str]], case: str) -> None:
    words = PACKAGES[case][2] if os.geteuid() == 0 else ["docker: there is no engine with Compose and buildx"]
    assert len(of_packages[case]) == 1
    assert len(of_packages[case][0].splitlines()) == 1
    assert [each for each in words if each not in of_packages[case][0]] == []


@pytest.mark.parametrize(
    ("hosts", "words"),
    [
        ({"one": {}, "two": {}}, ["hosts: a bundle is made on one host, and these are 2 (one, two). Name one with --limit"]),
        (
            {"one": {"stack_bundle_packages": "ubuntu-22.04"}},
            ["stack_bundle_packages: packages for ubuntu-22.04 can be had on ubuntu-22.04 alone"],
        ),
        ({"one": {"stack_bundle_packages": "fedora"}}, ["must be one of: auto, none, debian-12, debian-13, ubuntu-22.04, ubuntu-24.04"]),
    ],
)
def test_a_bundle_that_cannot_be_made_gets_one_clear_error(
    engine_path: str, tmp_path: Path, hosts: dict[str, Any], words: list[str]
) -> None:
    for host, errors in run(tmp_path, "playbooks/bundle.yml", hosts, engine_path).items():
        assert len(errors) == 1, host
        assert [each for each in words if each not in errors[0]] == []
