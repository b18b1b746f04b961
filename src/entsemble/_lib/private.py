"""Files and folders that only their owner can read, because they hold texts or what was read from them."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

FILE_MODE, FOLDER_MODE = 0o600, 0o700
_SQLITE_SUFFIXES = ("", "-wal", "-shm", "-journal")


def make_private_folder(folder: Path) -> None:
    """Create a folder that only its owner can enter; one that exists keeps its permissions.

    Raises:
        OSError: it cannot be created.
    """
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(FOLDER_MODE, exist_ok=True)


def make_private_database(path: Path) -> None:
    """Create an empty file for SQLite, whose logs get the same permissions, or restrict one that exists.

    Raises:
        OSError: it cannot be created.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE_MODE))
    for suffix in _SQLITE_SUFFIXES:
        restrict(path.with_name(path.name + suffix))


def restrict(path: Path) -> None:
    """Take a file or folder of this user away from all others; nothing happens if there is none, or it is not ours."""
    with suppress(OSError):
        if path.is_symlink():
            return
        mode = path.stat().st_mode & 0o777
        allowed = mode & (FOLDER_MODE if path.is_dir() else FILE_MODE)
        if mode != allowed:
            path.chmod(allowed)
