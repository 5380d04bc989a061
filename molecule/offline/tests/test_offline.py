"""A server that reaches nothing has a stack that works, from a bundle alone, and nothing of the bundle is left on it."""

import json
import re

import pytest
from conftest import BUNDLE, Stack, deploy

MANIFEST = json.loads((BUNDLE / "manifest.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("address", ["http://deb.debian.org/debian/", "https://pypi.org/simple/", "http://192.0.2.1/", "http://1.1.1.1/"])
def test_the_server_reaches_nothing(stack: Stack, address: str) -> None:
    """6 is a name that is not known, 7 a host that is not reached, 28 one that does not answer."""
    assert stack.server.run("curl --silent --max-time 3 %s", address).rc in {6, 7, 28}


def test_the_images_are_those_of_the_bundle(stack: Stack) -> None:
    images = stack.server.check_output("docker image ls --format '{{.Repository}}:{{.Tag}} {{.ID}}' --no-trunc").splitlines()
    found = dict(line.split() for line in images)
    assert found == MANIFEST["images"]


def test_nothing_of_the_bundle_is_left(stack: Stack) -> None:
    assert not stack.server.file("/opt/ocweb/bundle").exists
    assert stack.server.check_output("find /tmp /var/tmp -mindepth 1 -maxdepth 1 ! -name 'systemd-private-*' ! -name '.*-unix'") == ""
    assert stack.server.run("grep -r /opt/ocweb /etc/apt").stdout == ""
    assert stack.server.check_output("ls /etc/apt/sources.list.d /etc/apt/preferences.d | grep trixie-compose | wc -l") == "0"


def test_its_folder_is_as_where_the_images_are_built(stack: Stack) -> None:
    assert stack.server.file("/opt/ocweb").mode == 0o755


def test_another_deploy_changes_nothing() -> None:
    assert re.search(r"changed=0 .*failed=0", deploy("--extra-vars=stack_verify=false"))


def test_a_dry_run_says_which_images_would_be_loaded(stack: Stack) -> None:
    running = stack.server.check_output("docker ps --format '{{.Image}}'").splitlines()
    tag = next(tag for tag in running if "/gateway:" in tag)
    stack.server.check_output(f"docker tag {tag} aside && docker rmi {tag}")
    try:
        said = deploy("--check")
    finally:
        stack.server.check_output(f"docker tag aside {tag} && docker rmi aside")
    assert "would be loaded" in said
    assert tag in said


def test_the_demo_model_answers(stack: Stack) -> None:
    created = stack.backend("/session", {"title": "offline"})["id"]
    assert "You wrote: “hello”." in stack.ask(created, "hello")


def test_the_page_is_there(stack: Stack) -> None:
    assert "<title>" in stack.server.check_output("curl --silent --fail http://127.0.0.1:3000/")
