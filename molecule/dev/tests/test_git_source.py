"""The page's source from a git server, by https: a clone of it that a person works on, and a page that is built from it."""

import subprocess
from pathlib import Path

import bed
import pytest
from conftest import DIR, Stack, deploy

SOURCE = Path(__file__).parents[3] / "tests/development/source"
GIT = bed.Companion("ocweb-dev-git")
PAGE = "http://127.0.0.1:3000"
PUBLISH = """
git init --quiet --bare --initial-branch main /srv/git/page.git
cd "$(mktemp --directory)"
tar --extract --no-same-owner
git init --quiet --initial-branch main
git add .
git -c user.name=Git -c user.email=git@git.example commit --quiet --message 'A page'
git push --quiet /srv/git/page.git main
git rev-parse HEAD
"""


@pytest.fixture(scope="module")
def source(stack: Stack) -> dict[str, str]:
    """Where the git server has the page, and which commit that is. The server under test trusts it."""
    certificate = GIT.output("cat /srv/repository/server.crt")
    stack.server.check_output("echo %s >/usr/local/share/ca-certificates/git.crt && update-ca-certificates", certificate)
    files = subprocess.run(
        ["tar", "--create", "--exclude=node_modules", "--directory", SOURCE, "."], stdout=subprocess.PIPE, check=True
    ).stdout
    publish = ["docker", "exec", "--interactive", GIT.name, "sh", "-euc", PUBLISH]
    commit = subprocess.run(publish, input=files, stdout=subprocess.PIPE, check=True, timeout=60).stdout.decode().strip()
    return {"git": f"https://{GIT.output('cat /srv/repository/address')}/page.git", "commit": commit}


def test_a_clone_is_worked_on(stack: Stack, source: dict[str, str]) -> None:
    done = deploy({"stack_mode": "development", "frontend_source": source})
    assert done.returncode == 0, done.stdout
    stack.refresh()
    stack.server.check_output(f"sed -i 's/edit number 0/edit of a clone/' {DIR}/frontend/source/{source['commit'][:12]}/src/page.tsx")
    shown = f'until curl -fs {PAGE}/src/page.tsx | grep -q "edit of a clone"; do sleep 0.2; done'
    stack.server.check_output(f"timeout 60 sh -c '{shown}'")


def test_a_page_is_built_from_it(stack: Stack, source: dict[str, str]) -> None:
    done = deploy({"frontend_source": source})
    assert done.returncode == 0, done.stdout
    stack.refresh()
    assert stack.labels["ocweb.page"] == "source"
    # What was done in a clone is nobody's but whose clone it is.
    assert "edit number 0" in stack.server.check_output(f"curl --silent --fail {PAGE}/")
