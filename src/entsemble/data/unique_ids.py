"""Ids that must be unique, as a set whose memory does not grow with the input."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from entsemble.errors import DataError
from entsemble.types import Document

_MAX_IN_MEMORY = 100_000


class UniqueIds:
    """A set of strings that moves to a temporary file when it grows large. Strings cannot be removed.

    Args:
        max_in_memory: how many strings are held in memory.
    """

    def __init__(self, max_in_memory: int = _MAX_IN_MEMORY) -> None:
        self._recent: set[bytes] = set()
        self._max_in_memory = max_in_memory
        self._connection: sqlite3.Connection | None = None

    def add(self, value: str) -> bool:
        """Add a string, and say whether it is new."""
        key = hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if key in self._recent or (self._connection is not None and self._is_stored(self._connection, key)):
            return False
        self._recent.add(key)
        if len(self._recent) >= self._max_in_memory:
            self._spill()
        return True

    @staticmethod
    def _is_stored(connection: sqlite3.Connection, key: bytes) -> bool:
        return connection.execute("SELECT 1 FROM ids WHERE key = ?", (key,)).fetchone() is not None

    def _spill(self) -> None:
        if self._connection is None:
            self._connection = sqlite3.connect("", isolation_level=None)  # "": a temporary file
            self._connection.execute("PRAGMA cache_size = -8000")
            self._connection.execute("CREATE TABLE ids (key BLOB PRIMARY KEY) WITHOUT ROWID")
        self._connection.execute("BEGIN")
        self._connection.executemany("INSERT INTO ids VALUES (?)", ((key,) for key in sorted(self._recent)))
        self._connection.execute("COMMIT")
        self._recent.clear()

    def close(self) -> None:
        """Delete the temporary file."""
        if self._connection is not None:
            self._connection.close()


def check_unique(documents: Iterable[Document], place: str | Path | None = None) -> Iterator[Document]:
    """The documents, whose ids must be unique, because outputs, journals and errors name them.

    Args:
        documents: of any number of files.
        place: the file or folder that all of them are from, if there is only one.

    Raises:
        DataError: at a second document with the same id.
    """
    with closing(UniqueIds()) as ids:
        for number, document in enumerate(documents, 1):
            if not ids.add(document.id):
                problem = f"document {number} has the id {document.id!r}, as has an earlier one"
                raise DataError(f"{problem}; give each its own, or leave ids out", place)
            yield document
