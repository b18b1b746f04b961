"""Locks of outputs: one process at a time writes a file or folder."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from entsemble._lib.paths import real_path
from entsemble.errors import InUseError

UNKNOWN_HOLDER = "another process"
_TIMEOUT_SECONDS = 1.0
_held_paths: set[Path] = set()


class OutputLock:
    """Exclusive use of an output, through the file `.NAME.lock` beside it.

    The operating system releases the lock when its process ends, however it ends, so that the lock of a killed process
    stops nobody. The file names the process, for the message of others.

    Args:
        target: file or folder in a folder that exists; a link is followed.
        timeout: seconds to wait for another process.

    Raises:
        InUseError: another process has the lock.
        OSError: the lock cannot be written.
    """

    def __init__(self, target: Path, timeout: float = _TIMEOUT_SECONDS) -> None:
        self.target = real_path(target)
        self.path = self.target.with_name(f".{self.target.name}.lock")
        self._file_lock = FileLock(self.path, thread_local=False)
        holder = describe_holder(self.path)  # before the attempt: some versions of filelock empty the file
        try:
            self._file_lock.acquire(timeout=timeout)
        except Timeout as error:
            raise InUseError(target, holder) from error
        _held_paths.add(self.path)
        _write_holder(self.path)

    def close(self) -> None:
        """Let others write the output; the lock file is removed."""
        if self._file_lock.is_locked:
            _held_paths.discard(self.path)
            with suppress(OSError):  # Windows does not remove open files
                self.path.unlink()  # while it is locked: a process that waits then locks a new file
            self._file_lock.release()


@contextmanager
def locked(target: Path, timeout: float = _TIMEOUT_SECONDS) -> Iterator[OutputLock]:
    """Hold the lock of an output while the block runs; raises as `OutputLock` does."""
    lock = OutputLock(target, timeout)
    try:
        yield lock
    finally:
        lock.close()


def is_locked(lock_path: Path) -> bool:
    """Whether a process has the lock of this lock file, which must exist."""
    file_lock = FileLock(lock_path)
    try:
        file_lock.acquire(timeout=0)
    except (Timeout, OSError):
        return True
    file_lock.release()
    return False


def describe_holder(lock_path: Path) -> str:
    """The process that a lock file names, in words."""
    try:
        holder = json.loads(lock_path.read_text(encoding="utf-8"))
        process_id, host, start = int(holder["pid"]), str(holder["host"]), str(holder["since"])
    except (OSError, ValueError, KeyError, TypeError):
        return UNKNOWN_HOLDER
    place = "" if host == socket.gethostname() else f" on {host}"
    return f"process {process_id}{place} (at work since {start})"


def remove_held_locks() -> None:
    """Remove the lock files of this process, which is about to end without cleaning up."""
    for path in list(_held_paths):
        with suppress(OSError):
            path.unlink()


def _write_holder(lock_path: Path) -> None:
    start = datetime.now().astimezone().isoformat(" ", "seconds")
    holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": start}
    with suppress(OSError):  # Windows does not write locked files; then others are told less
        descriptor = os.open(lock_path, os.O_WRONLY | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0))
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(holder, file)
