"""Files and folders that are written whole or not at all, by one process at a time."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from entsemble._lib.locks import OutputLock, remove_held_locks
from entsemble._lib.paths import real_path
from entsemble._lib.private import FILE_MODE, FOLDER_MODE

WORKSPACE_SUFFIX = ".replacing"
"""Ends the names of the hidden folders in which replacements are prepared: `.NAME.RANDOM.replacing`."""

_PREVIOUS = "previous"
"""Name within such a folder of the content that is being replaced."""

_STREAM_FOLDERS = (Path("/dev/fd"), Path("/proc"))
_STREAMS = (Path("/dev/stdout"), Path("/dev/stderr"))
_workspaces: set[Path] = set()


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


def lock_output(target: Path, timeout: float = 1.0) -> OutputLock:
    """Lock an output, and clean up after processes that were killed while they wrote it.

    Args:
        target: file or folder; its parent is created.
        timeout: seconds to wait for another process.

    Raises:
        InUseError: another process is writing it.
        OSError: nothing can be written there.
    """
    real_path(target).parent.mkdir(parents=True, exist_ok=True)
    lock = OutputLock(target, timeout)
    try:
        recover(lock.target.parent, lock.target.name)
    except BaseException:
        lock.close()
        raise
    return lock


@contextmanager
def replacing(target: Path, *, lock: OutputLock | None = None, private: bool = False) -> Iterator[Path]:
    """A path for a new file or folder, which replaces `target` when the block ends without an error.

    After an error `target` is as it was. The new content is on the disk before the old is gone, and readers see either
    one or the other; only of a folder, there is none for a moment, and after a kill in this moment the next writer
    brings the old one back. A link is followed; a pipe or a device is written directly. The permissions are those that
    `target` had.

    Args:
        target: file or folder; its parent is created.
        lock: the lock of `target`, if the caller has it; by default it is locked while the block runs.
        private: whether only the user may read a new file or folder, whatever the umask.

    Raises:
        InUseError: another process is writing it.
        OSError: it cannot be written; nothing is left behind.
    """
    if _is_stream(target):
        yield target
        return
    own_lock = lock_output(target) if lock is None else None
    target = real_path(target)
    try:
        with _workspace(target) as workspace:
            replacement = workspace / target.name
            yield replacement
            _sync_tree(replacement)
            if target.is_file() and replacement.is_file():
                shutil.copymode(target, replacement)
            elif private and not target.exists():
                replacement.chmod(FOLDER_MODE if replacement.is_dir() else FILE_MODE)
            _swap(replacement, target, workspace / _PREVIOUS)
            sync(target.parent)
    finally:
        if own_lock:
            own_lock.close()


def recover(folder: Path, name: str | None = None) -> None:
    """Undo the replacements that a kill interrupted, and remove what they left behind.

    Only safe while nobody is replacing what is recovered: the caller has its lock.

    Args:
        folder: where the replaced files and folders are.
        name: of the one to recover; by default all in `folder`.
    """
    for workspace in folder.glob(f".*{WORKSPACE_SUFFIX}"):
        if name is None or _target_name(workspace) == name:
            _discard(workspace)


def abandon_replacements() -> None:
    """Undo the replacements of this process, which is about to end without cleaning up."""
    for workspace in list(_workspaces):
        _discard(workspace)
    remove_held_locks()


def _is_stream(target: Path) -> bool:
    """Whether a path is a pipe, a device, or another name of an open file: none of them can be replaced."""
    if target in _STREAMS or any(folder in target.parents for folder in _STREAM_FOLDERS):
        return True
    return target.exists() and not target.is_file() and not target.is_dir()


@contextmanager
def _workspace(target: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=WORKSPACE_SUFFIX, dir=target.parent))
    _workspaces.add(folder)
    try:
        yield folder
    finally:
        _discard(folder)
        _workspaces.discard(folder)


def _target_name(workspace: Path) -> str:
    return workspace.name.removesuffix(WORKSPACE_SUFFIX).rpartition(".")[0].removeprefix(".")


def _discard(workspace: Path) -> None:
    """Remove a workspace, after bringing back what it had already moved away."""
    previous, target = workspace / _PREVIOUS, workspace.with_name(_target_name(workspace))
    if previous.exists() and not target.exists():
        previous.rename(target)
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
    replacement.rename(target)  # otherwise `_discard` brings the old one back
