from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from entsemble._lib.locks import OutputLock, describe_holder, is_locked, locked, remove_held_locks
from entsemble.errors import DataError, InUseError

HOLDER = """
import pathlib, sys, time
from entsemble._lib.locks import OutputLock
lock = OutputLock(pathlib.Path(sys.argv[1]))
print("locked", flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_the_lock_of_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    target = tmp_path / "out"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, target], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "locked\n"
    lock_path = tmp_path / ".out.lock"
    for _ in range(2):  # the first attempt does not hide the holder from the second
        with pytest.raises(InUseError) as caught:
            OutputLock(target, timeout=0)
        assert f"out: process {holder.pid} (at work since 20" in str(caught.value)
        assert "wait for it, stop it, or name another output" in str(caught.value)
        assert isinstance(caught.value, DataError)
        assert caught.value.exit_code == 65
    assert is_locked(lock_path)
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    assert lock_path.exists()
    assert not is_locked(lock_path)
    with locked(target):
        assert f"process {os.getpid()} (" in describe_holder(lock_path)
    assert list(tmp_path.iterdir()) == []


def test_a_link_and_its_target_have_one_lock(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with locked(tmp_path / "link"), pytest.raises(InUseError):
        OutputLock(tmp_path / "target", timeout=0)


@pytest.mark.parametrize("content", ["", "{}", "[]", "not JSON", '{"pid": "x", "host": "h", "since": "s"}'])
def test_a_lock_that_names_nobody_is_of_another_process(tmp_path: Path, content: str) -> None:
    (tmp_path / "lock").write_text(content)
    assert describe_holder(tmp_path / "lock") == describe_holder(tmp_path / "absent") == "another process"


def test_a_holder_on_another_machine_is_named_with_it(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text(json.dumps({"pid": 7, "host": "elsewhere", "since": "2026-01-31 12:00:00+00:00"}))
    assert describe_holder(tmp_path / "lock") == "process 7 on elsewhere (at work since 2026-01-31 12:00:00+00:00)"


def test_a_process_that_ends_at_once_removes_its_locks(tmp_path: Path) -> None:
    lock = OutputLock(tmp_path / "out")
    remove_held_locks()
    assert list(tmp_path.iterdir()) == []
    lock.close()
