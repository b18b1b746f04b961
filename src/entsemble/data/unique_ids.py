"""Which ids there were already, in memory that does not grow with the input."""

from __future__ import annotations

import hashlib
import sqlite3

_IN_MEMORY = 100_000


class Seen:
    """A set of strings that moves to a temporary file once it is large. It only ever grows."""

    def __init__(self, in_memory: int = _IN_MEMORY) -> None:
        self._recent: set[bytes] = set()
        self._most = in_memory
        self._file: sqlite3.Connection | None = None

    def add(self, value: str) -> bool:
        """Whether `value` is new."""
        key = hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if key in self._recent or (self._file is not None and self._in_file(self._file, key)):
            return False
        self._recent.add(key)
        if len(self._recent) >= self._most:
            self._spill()
        return True

    @staticmethod
    def _in_file(file: sqlite3.Connection, key: bytes) -> bool:
        return file.execute("SELECT 1 FROM seen WHERE key = ?", (key,)).fetchone() is not None

    def _spill(self) -> None:
        if self._file is None:
            self._file = sqlite3.connect("", isolation_level=None)  # "": a file that vanishes with the connection
            self._file.execute("PRAGMA cache_size = -8000")
            self._file.execute("CREATE TABLE seen (key BLOB PRIMARY KEY) WITHOUT ROWID")
        self._file.execute("BEGIN")
        self._file.executemany("INSERT INTO seen VALUES (?)", ((key,) for key in sorted(self._recent)))
        self._file.execute("COMMIT")
        self._recent.clear()

    def close(self) -> None:
        """Let the temporary file go."""
        if self._file is not None:
            self._file.close()
