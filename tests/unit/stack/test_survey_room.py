"""How much is free is told of what will be written to."""

from pathlib import Path

import pytest

import room


@pytest.mark.parametrize("path", ["{}", "{}/not/yet/there", "relative", ""])
def test_free_space_is_that_of_the_nearest_folder_there_is(tmp_path: Path, path: str) -> None:
    assert room.free(path.format(tmp_path)) > 0
