"""What a restore refuses before it looks into a backup."""

from pathlib import Path

import pytest

import restore
from folder import Refusal


@pytest.mark.parametrize(
    ("there", "words"),
    [
        ([], "Name a backup by its absolute path."),
        (["a.tar.gpg", "b.tar.gpg", "c.tar.gpg", "d.tar.gpg", "other"], "path. Beside it are b.tar.gpg, c.tar.gpg, d.tar.gpg."),
    ],
)
def test_a_file_that_is_not_there_and_the_last_ones_that_are(tmp_path: Path, there: list[str], words: str) -> None:
    for name in there:
        (tmp_path / name).touch()
    file = tmp_path / "none.tar.gpg"
    question = {"stack_dir": str(tmp_path), "project": "ocweb", "password": "a password of tests", "file": str(file), "check": False}
    with pytest.raises(Refusal) as refused:
        restore.answer({**question, "workspace": False})
    assert str(refused.value).startswith(f"stack_restore_file: {file} is not a file on this host.")
    assert str(refused.value).endswith(words)
