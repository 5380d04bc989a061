"""An image is built from what its tag is made of, and from nothing that lay there before."""

from pathlib import Path

import contexts


def test_a_folder_holds_exactly_what_was_given(tmp_path: Path) -> None:
    folder = tmp_path / "backend/image"
    contexts.write(folder, {"Dockerfile": "FROM a\n", "start": "old\n"})
    contexts.write(folder, {"Dockerfile": "FROM b\n", "health": "ü\n"})
    assert {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()} == {"Dockerfile": "FROM b\n", "health": "ü\n"}
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o644}
