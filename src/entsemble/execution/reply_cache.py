"""Replies of models on disk: values by key in one SQLite file of limited size, least recently used first to go."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path

from entsemble._lib.private import make_private_database, make_private_folder
from entsemble._lib.sealed import seal, unseal
from entsemble._lib.sqlite import TIMEOUT_SECONDS, enable_wal, is_refused
from entsemble.errors import DataError, warn

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS replies (key BLOB PRIMARY KEY, value BLOB, used INTEGER) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS by_use ON replies (used)",
)

_PUTS_BETWEEN_CHECKS = 64
"""How often the size of the file is checked."""

_USE_RESOLUTION_SECONDS = 3600
"""How precisely the last use of a reply is recorded; a finer resolution would write at every hit."""


class ReplyCache:
    """Values by key, in a file that many threads and processes may use at once.

    If the file cannot be created, the values last as long as the process, after a warning. If it cannot be written any
    more, as on a full disk, it warns once and the run continues without it. A value that was damaged is as one that was
    never cached.

    Args:
        path: the SQLite file; created, with its folders, if missing, for its owner only.
        max_bytes: size at which the least recently used tenth is dropped.

    Raises:
        DataError: the file is not a cache.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path, self._max_bytes = path, max_bytes
        self._lock = threading.Lock()
        self._put_count, self._is_broken = 0, False
        try:
            make_private_folder(path.parent)
            make_private_database(path)
            self._connection = self._open(path)
        except (OSError, sqlite3.Error) as error:
            if not is_refused(error):
                raise DataError(f"this is not a cache of replies ({error}); delete the file", path) from error
            advice = "set ENTSEMBLE_CACHE to a folder that can be written, or turn the cache off with --no-cache"
            warn(f"{path}: replies are not cached ({error}); {advice}")
            self._connection = self._open(":memory:")

    def _open(self, path: Path | str) -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=TIMEOUT_SECONDS, check_same_thread=False, isolation_level=None)
        enable_wal(connection)
        connection.execute("PRAGMA synchronous=NORMAL")
        for statement in _SCHEMA:
            connection.execute(statement)
        self._shrink(connection)
        return connection

    def get(self, request_key: bytes) -> bytes | None:
        """The value of a key, if it is cached."""
        current_time = int(time.time())
        query = "SELECT value, used < ? FROM replies WHERE key = ?"
        with self._lock:
            try:
                cached_row = self._connection.execute(
                    query, (current_time - _USE_RESOLUTION_SECONDS, request_key)
                ).fetchone()
                if cached_row and cached_row[1]:
                    self._connection.execute("UPDATE replies SET used = ? WHERE key = ?", (current_time, request_key))
            except sqlite3.Error as error:
                self._give_up(error)
                return None
        return unseal(request_key, cached_row[0]) if cached_row else None

    def put(self, request_key: bytes, value: bytes) -> None:
        """Cache a value; if the process is killed meanwhile, all of it or nothing."""
        if self._is_broken:
            return
        with self._lock:
            try:
                new_row = (request_key, seal(request_key, value), int(time.time()))
                self._connection.execute("INSERT OR REPLACE INTO replies VALUES (?, ?, ?)", new_row)
                self._put_count += 1
                if self._put_count % _PUTS_BETWEEN_CHECKS == 0:
                    self._shrink(self._connection)
            except sqlite3.Error as error:
                self._give_up(error)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @property
    def size_in_bytes(self) -> int:
        """What the replies take up in the file, without the space that SQLite will reuse."""
        return _size_in_bytes(self._connection)

    def _shrink(self, connection: sqlite3.Connection) -> None:
        """Drop the least recently used tenth until the rest fits."""
        while _size_in_bytes(connection) > self._max_bytes:
            least_used = "SELECT key FROM replies ORDER BY used LIMIT (SELECT 1 + count(*) / 10 FROM replies)"
            if not connection.execute(f"DELETE FROM replies WHERE key IN ({least_used})").rowcount:
                return

    def _give_up(self, error: sqlite3.Error) -> None:
        if not self._is_broken:
            self._is_broken = True
            warn(f"{self._path}: replies are no longer cached: {error}")


def _size_in_bytes(connection: sqlite3.Connection) -> int:
    page_count, free_pages, page_size = (
        connection.execute(f"PRAGMA {pragma}").fetchone()[0] for pragma in ("page_count", "freelist_count", "page_size")
    )
    return int((page_count - free_pages) * page_size)
