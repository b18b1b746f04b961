"""The cache folder: who can read it, what is stored in it, and how that is removed."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from entsemble._lib.locks import OutputLock, describe_holder, is_locked
from entsemble._lib.private import make_private_folder, restrict
from entsemble._lib.sqlite import clear_table
from entsemble._lib.temporary import remove_if_abandoned, temporary_folders
from entsemble.settings import default_cache_folder

KINDS = {
    "replies": "what models answered",
    "pools": "vectors and spans of pools, adapted scorers, trials of experts",
    "trainings": "unfinished trainings of experts",
    "unpacked": "models unpacked for transformers",
    "downloads": "unfinished downloads",
    "temporary": "what killed runs left behind",
    "models": "downloaded models",
}
"""What is stored, by the names that `entsemble cache clear` takes."""

CLEARED_BY_DEFAULT = tuple(kind for kind in KINDS if kind != "models")
"""Models say nothing about the user's texts, and have to be downloaded again."""

_TAG_FILE = "CACHEDIR.TAG"
_TAG = """Signature: 8a477f597d28d172789f06886806bc55
# A cache of entsemble, which backups may leave out: https://bford.info/cachedir/
"""
_USERS_FOLDER = "in-use"
_FOLDERS = {
    "models": ("models", "hub"),
    "downloads": ("partial",),
    "unpacked": ("unpacked",),
    "trainings": ("training",),
}
_DATABASES = {"replies": ("replies.sqlite", "replies"), "pools": ("pools.sqlite", "entries")}
_LOG_SUFFIXES = ("-wal", "-shm", "-journal")
_SECONDS_PER_DAY = 86400


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """Something that is stored.

    Attributes:
        kind: a key of `KINDS`.
        path: file or folder.
        size: bytes, those of a database's logs included.
        modified: time of the last change, in seconds since 1970.
    """

    kind: str
    path: Path
    size: int
    modified: float


@dataclass(frozen=True, slots=True)
class Removal:
    """What became of an entry: how much of it was removed, and why the rest was not."""

    entry: CacheEntry
    freed: int
    problem: str = ""


class CacheUse:
    """Says, until it is closed, that this process uses the cache. Creates the folder, for its owner only."""

    def __init__(self, folder: Path) -> None:
        self._lock: OutputLock | None = None
        with suppress(OSError):  # who needs to write there says so
            _prepare(folder)
            make_private_folder(folder / _USERS_FOLDER)
            self._lock = OutputLock(folder / _USERS_FOLDER / f"{os.getpid()}-{id(self)}")

    def close(self) -> None:
        """The cache is no longer in use."""
        if self._lock:
            self._lock.close()


def list_entries(folder: Path) -> list[CacheEntry]:
    """All that is stored in the cache folder, and in temporary folders."""
    entries = []
    for kind in KINDS:
        if kind in _DATABASES:
            database_path = folder / _DATABASES[kind][0]
            if database_path.exists():
                entries.append(_entry(kind, database_path, _log_files(database_path)))
        paths = temporary_folders() if kind == "temporary" else []
        for name in _FOLDERS.get(kind, ()):
            with suppress(OSError):
                paths += sorted(path for path in (folder / name).iterdir() if not path.name.startswith("."))
        entries += [_entry(kind, path, _files_below(path)) for path in paths]
    return entries


def clear(folder: Path, kinds: Iterable[str], older_than_days: float = 0) -> Iterator[Removal]:
    """Remove what is stored, except what other processes are using.

    Args:
        folder: the cache folder.
        kinds: keys of `KINDS`.
        older_than_days: only what was not used, or changed, for so long.
    """
    latest = time.time() - older_than_days * _SECONDS_PER_DAY
    for entry in [entry for entry in list_entries(folder) if entry.kind in kinds]:
        if entry.kind == "replies":
            yield _clear_database(entry, lambda path: clear_table(path, "replies", "used <= ?", [latest]))
        elif entry.modified > latest:
            continue
        elif entry.kind == "pools":
            yield _clear_database(entry, lambda path: clear_table(path, "entries"))
        elif entry.kind == "temporary":
            is_removed = remove_if_abandoned(entry.path)
            yield Removal(entry, entry.size) if is_removed else Removal(entry, 0, "a process is using it")
        else:
            yield _remove(entry, _holder(entry, folder))


def _prepare(folder: Path) -> None:
    """Create the folder; restrict what older versions created for everyone to read."""
    is_new = not folder.is_dir()
    make_private_folder(folder)
    if is_new or folder == default_cache_folder():  # others may hold more than a cache
        restrict(folder)
        if not (folder / _TAG_FILE).exists():
            (folder / _TAG_FILE).write_text(_TAG, encoding="utf-8")
    restrict(folder / "training")
    for file_name, _ in _DATABASES.values():
        for path in (folder / file_name, *_log_files(folder / file_name)):
            restrict(path)


def _entry(kind: str, path: Path, files: Iterable[Path]) -> CacheEntry:
    sizes, times = [], []
    for file in (path, *files):
        with suppress(OSError):  # removed meanwhile
            status = file.lstat()
            times.append(status.st_mtime)
            if not file.is_dir():
                sizes.append(status.st_size)
    return CacheEntry(kind, path, sum(sizes), max(times, default=0.0))


def _files_below(path: Path) -> list[Path]:
    return [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else []


def _log_files(path: Path) -> list[Path]:
    """The logs of a database."""
    return [path.with_name(path.name + suffix) for suffix in _LOG_SUFFIXES]


def _holder(entry: CacheEntry, folder: Path) -> str | None:
    """The process that uses an entry, in words, if there is one."""
    is_training = entry.kind == "trainings"
    lock_paths = (
        [entry.path.with_name(f".{entry.path.name}.lock")]
        if is_training
        else list((folder / _USERS_FOLDER).glob(".*.lock"))
    )
    return next((describe_holder(path) for path in lock_paths if path.exists() and is_locked(path)), None)


def _remove(entry: CacheEntry, holder: str | None) -> Removal:
    if holder:
        return Removal(entry, 0, f"{holder} is using it; stop it first")
    try:
        if entry.path.is_dir():
            shutil.rmtree(entry.path)
        else:
            entry.path.unlink()
    except OSError as error:
        return Removal(entry, 0, f"cannot be removed ({error.strerror})")
    return Removal(entry, entry.size)


def _clear_database(entry: CacheEntry, delete_rows: Callable[[Path], None]) -> Removal:
    """Delete rows in place, because other processes may have the file open."""
    try:
        delete_rows(entry.path)
    except sqlite3.OperationalError as error:
        return Removal(entry, 0, f"cannot be cleared ({error})")
    except sqlite3.DatabaseError:  # not a database at all
        return _remove(entry, None)
    return Removal(entry, entry.size - _entry(entry.kind, entry.path, _log_files(entry.path)).size)
