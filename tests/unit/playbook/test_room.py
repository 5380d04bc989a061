"""A deploy to a stack that runs sees that there is room for what it would build, and asks for none where it builds nothing."""

import os
import re
from pathlib import Path
from typing import Any

import pytest

import plays

# More than any disk has.
HUGE = 10**6


def run(folder: Path, engine_path: str, *options: str, **given: Any) -> str:
    """Run a deploy dry where a stack is deployed; return what was said, as one line."""
    (folder / "stack").mkdir(exist_ok=True)
    (folder / "stack/compose.yml").write_text("\nname: ocweb\n", encoding="utf-8")
    common = {"stack_dir": f"{folder}/stack", "frontend_port": 29907, "stack_verify": False}
    done = plays.run(folder, {"host": given}, common, "site.yml", "--check", *options, path=engine_path, settings={})
    return " ".join((done.stdout + done.stderr).split())


@pytest.fixture(scope="module")
def images(engine_path: str, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The images that such a deploy would build."""
    said = run(tmp_path_factory.mktemp("images"), engine_path, stack_minimum_free_gib=0)
    found = sorted(set(re.findall(r"localhost/ocweb/(?!base)[a-z-]+:\w+", said)))
    assert len(found) == 5, said
    return found


def with_images(folder: Path, engine_path: str, images: list[str]) -> str:
    """Return a PATH whose engine has these images."""
    listed = f'case "$*" in image\\ ls*) echo {" ".join(images)}; exit ;; esac'
    engine = Path(engine_path.partition(":")[0], "docker").read_text(encoding="utf-8")
    (folder / "docker").write_text(engine.replace("\n", f"\n{listed}\n", 1), encoding="utf-8")
    (folder / "docker").chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


@pytest.mark.parametrize("missing", [5, 1, 0])
def test_room_is_asked_for_as_far_as_images_are_missing(tmp_path: Path, engine_path: str, images: list[str], missing: int) -> None:
    path = with_images(tmp_path, engine_path, images[missing:])
    said = run(tmp_path, path, "--tags=check", stack_minimum_free_gib=HUGE)
    wanted = f"{missing} of 5 images are missing, which need {HUGE * missing / 5} there."
    asked = re.search(rf"stack_minimum_free_gib: /var/lib/docker has [\d.]+ GiB free, and {wanted}", said)
    assert bool(asked) == ("failed=1" in said) == (missing > 0), said
