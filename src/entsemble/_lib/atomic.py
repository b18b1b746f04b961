"""Files and folders that are written whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def sync(path: Path) -> None:
    """Flush a file or folder to the disk; a no-op for folders on Windows, which cannot be opened."""
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A path for a new file or folder, which replaces `target` when the block ends without an error.

    After an error or a kill `target` is as it was. The new content is on the disk before the old is gone, and readers
    see either one or the other. A link is followed; a pipe or a device is written directly. The file's permissions are
    those that it had.

    Args:
        target: file or folder; its parent is created.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    if target.exists() and not target.is_file() and not target.is_dir():
        yield target
        return
    target = target.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    workspace = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        replacement = workspace / target.name
        yield replacement
        _sync_tree(replacement)
        if target.is_file() and replacement.is_file():
            shutil.copymode(target, replacement)
        _swap(replacement, target, workspace / "previous")
        sync(target.parent)
    finally:
        shutil.rmtree(workspace, ignore_errors=True)


def _sync_tree(path: Path) -> None:
    for part in (*path.rglob("*"), path) if path.is_dir() else (path,):
        sync(part)


def _swap(replacement: Path, target: Path, previous: Path) -> None:
    """Put `replacement` at `target`. A folder cannot be renamed over another, so the old one is moved away first."""
    if not (target.is_dir() and replacement.is_dir()):
        replacement.replace(target)
        return
    target.rename(previous)
    try:
        replacement.rename(target)
    except OSError:
        previous.rename(target)
        raise
