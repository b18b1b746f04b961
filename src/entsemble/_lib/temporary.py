"""Temporary folders that do not outlive their process for long, even if it is killed."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from entsemble._lib.locks import locked
from entsemble._lib.private import FOLDER_MODE
from entsemble.errors import InUseError

_PREFIX = "entsemble-work-"


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that only this user can enter, for the block; those that killed processes left are removed.

    Raises:
        OSError: it cannot be created.
    """
    for abandoned in temporary_folders():
        remove_if_abandoned(abandoned)
    folder = Path(tempfile.gettempdir()) / f"{_PREFIX}{secrets.token_hex(8)}"
    with locked(folder):
        folder.mkdir(FOLDER_MODE)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def temporary_folders() -> list[Path]:
    """The temporary folders of this user, in use or not."""
    folders = []
    for folder in sorted(Path(tempfile.gettempdir()).glob(f"{_PREFIX}*")):
        with suppress(OSError):
            if os.name == "nt" or folder.lstat().st_uid == os.getuid():
                folders.append(folder)
    return folders


def remove_if_abandoned(folder: Path) -> bool:
    """Remove a temporary folder whose process has ended; returns whether it had."""
    try:
        with locked(folder, timeout=0):
            shutil.rmtree(folder, ignore_errors=True)
    except (InUseError, OSError):
        return False
    return True
