"""An inventory with a vault to be, its password, and a person who types."""

import os
import pty
import select
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from vault_bed import ROOT, Bed, Typing

import vault_keys


@pytest.fixture
def bed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Bed:
    """The example inventory, before anyone entered a key."""
    shutil.copytree(ROOT / "inventories/example", tmp_path / "mine")
    bed = Bed(tmp_path / "mine", tmp_path / "secrets/mine", capsys)
    bed.secret(bed.password)
    return bed


@pytest.fixture
def typing() -> Typing:
    """A person at a terminal of the command's own, who waits for each prompt and then types an answer."""

    def run(words: Sequence[str | Path], answers: Sequence[tuple[str, str]]) -> tuple[int, str]:
        child, terminal = pty.fork()
        if child == 0:
            # Who runs the tests in the background has them ignore it.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            sys.stdout = sys.stderr = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            code = 3
            try:
                code = vault_keys.main(list(map(str, words)))
                sys.stdout.flush()
            finally:
                os._exit(code)
        seen, waiting = "", list(answers)
        while True:
            if waiting and waiting[0][0] in seen:
                prompt, answer = waiting.pop(0)
                seen = seen.replace(prompt, "[asked]", 1)
                os.write(terminal, answer.encode() + b"\n")
            assert select.select([terminal], [], [], 30)[0], f"nothing more is said after: {seen}"
            try:
                said = os.read(terminal, 4096)
            except OSError:  # The other end is closed.
                break
            seen += said.decode()
        os.close(terminal)
        assert waiting == [], seen
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), seen

    return run
