"""A process that is killed between two edits, or within one, loses none that it has acknowledged."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from entsemble.review import actions
from entsemble.review.session import Session
from entsemble.types import Document

TEXT = "Ann met Bob. " * 200


def edit_until_killed(path: Path) -> None:
    """Add one mention after the other; print the number of each when it is on disk."""
    session = Session(path)
    known = next(iter(session.documents())).mentions
    for number in range(len(known), 400):
        start = number // 2 * 13 + (8 if number % 2 else 0)
        session.edit(partial(actions.add, document=1, start=start, end=start + 3, label="person"))
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


def killed_runs(path: Path, kill_count: int) -> None:
    setup = Session(path)
    setup.add([Document("a", TEXT)], is_extracted=True)
    setup.close()
    acknowledged, chance = -1, random.Random(7)
    for _ in range(kill_count):
        command = [sys.executable, "-m", "tests.review.test_kills", str(path)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(chance.random() * 0.02)
        os.kill(process.pid, signal.SIGKILL)
        lines = process.stdout.read().split()
        process.communicate()
        acknowledged = int(lines[-1]) if lines else acknowledged
        session = Session(path)
        [document] = session.documents()
        assert len(document.mentions) >= acknowledged + 1, "an edit that was acknowledged is lost"
        if len(document.mentions) > 300:  # begin again: undo all, which needs the whole log
            for _ in range(len(document.mentions)):
                session.undo()
            [document] = session.documents()
            assert document.mentions == ()
            acknowledged = -1
        session.close()


@pytest.mark.skipif(sys.platform == "win32", reason="kills by signals")
def test_edits_survive_kills(tmp_path: Path) -> None:
    killed_runs(tmp_path / "texts.review", 3)


@pytest.mark.soak
@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="kills by signals")
def test_edits_survive_a_hundred_kills(tmp_path: Path) -> None:
    killed_runs(tmp_path / "texts.review", 100)


if __name__ == "__main__":
    edit_until_killed(Path(sys.argv[1]))
