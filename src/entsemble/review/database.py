"""The file of a review session: its tables, and transactions in which all changes are made."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from entsemble._lib.private import make_private_database
from entsemble._lib.sqlite import TIMEOUT_SECONDS, damage_is_an_error_of_sqlite, enable_wal
from entsemble.errors import DataError

_FORMAT = "entsemble.review/1"
_TABLES = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS documents (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, text TEXT NOT NULL, tokens TEXT NOT NULL, meta TEXT NOT NULL,
  state TEXT NOT NULL, is_deleted INTEGER NOT NULL, extraction TEXT NOT NULL, problem TEXT NOT NULL,
  version INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS sentences (
  document INTEGER NOT NULL, number INTEGER NOT NULL, start INTEGER NOT NULL, end INTEGER NOT NULL,
  is_signed INTEGER NOT NULL, is_extracted INTEGER NOT NULL, demonstrations TEXT NOT NULL, version INTEGER NOT NULL,
  PRIMARY KEY (document, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS spans (
  id INTEGER PRIMARY KEY, document INTEGER NOT NULL, sentence INTEGER NOT NULL, start INTEGER NOT NULL,
  end INTEGER NOT NULL, label TEXT NOT NULL, status TEXT NOT NULL, score REAL, facts TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS edits (
  number INTEGER PRIMARY KEY AUTOINCREMENT, action TEXT NOT NULL, kind TEXT NOT NULL, target INTEGER,
  changes TEXT NOT NULL, place TEXT NOT NULL, created TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE IF NOT EXISTS pool_entries (
  document INTEGER NOT NULL, start INTEGER NOT NULL, end INTEGER NOT NULL, digest TEXT NOT NULL, pool_id TEXT NOT NULL,
  previous TEXT NOT NULL, PRIMARY KEY (document, start, end)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS spans_by_sentence ON spans (document, sentence);
CREATE INDEX IF NOT EXISTS spans_by_place ON spans (document, start);
CREATE INDEX IF NOT EXISTS undecided_spans ON spans (document, sentence) WHERE status = 'proposed';
CREATE INDEX IF NOT EXISTS documents_by_version ON documents (version);
"""

_DEFAULTS: dict[str, Any] = {
    "format": _FORMAT,
    "version": 0,
    "labels": [],
    "nested": False,
    "pool_version": 0,
    "settings_version": 0,
}


class Database:
    """An SQLite file with a write-ahead log; any thread may use it, and any number of processes.

    Each transaction is on disk when it ends, so that a process that is killed loses no finished one.

    Args:
        path: created if it does not exist, for its owner only.

    Raises:
        DataError: it cannot be opened, or is another kind of file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        try:
            make_private_database(path)
            self._connection = sqlite3.connect(
                path, timeout=TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            raise DataError(f"the session cannot be stored here ({error}); name another --session", path) from error
        try:
            enable_wal(self._connection)
            self._connection.execute("PRAGMA synchronous=FULL")
            with damage_is_an_error_of_sqlite():
                self._connection.executescript(_TABLES)
                [(problem, *_), *_] = self._connection.execute("PRAGMA quick_check(1)").fetchall()
            if problem != "ok":
                raise sqlite3.DatabaseError(problem)
            with self.writing():
                for name, value in _DEFAULTS.items():
                    row = (name, json.dumps(value))
                    self._connection.execute("INSERT OR IGNORE INTO settings VALUES (?, ?)", row)
            file_format = self.setting("format")
        except DataError:
            self._connection.close()
            raise
        except sqlite3.Error as error:
            self._connection.close()
            raise DataError(f"not a review session ({error}); name another --session", path) from error
        if file_format != _FORMAT:
            self._connection.close()
            raise DataError(f"a session of another version ({file_format}); name another --session", path)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection for several reads that see the same state.

        Raises:
            DataError: the file is damaged.
        """
        with self._lock, self._damage_is_named():
            if self._connection.in_transaction:
                yield self._connection
                return
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            except ValueError as error:  # values that do not fit together: what is stored was checked before
                raise sqlite3.DatabaseError(str(error)) from error
            finally:
                self._connection.execute("COMMIT")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A connection for a change that is made as a whole or, after an error, not at all.

        Raises:
            DataError: it cannot be written, or is damaged.
        """
        with self._lock, self._damage_is_named():
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except sqlite3.OperationalError as error:
                self._roll_back()
                raise DataError(f"the session cannot be written ({error})", self.path) from error
            except BaseException:
                self._roll_back()
                raise

    def setting(self, name: str) -> Any:  # noqa: ANN401 - JSON
        """The value of a setting of the session."""
        with self._lock, self._damage_is_named():
            [value] = self._connection.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
            return json.loads(value)

    @contextmanager
    def _damage_is_named(self) -> Iterator[None]:
        """What a damaged page or value raises, as an error of ours."""
        try:
            with damage_is_an_error_of_sqlite():
                yield
        except (sqlite3.DatabaseError, json.JSONDecodeError) as error:
            is_damage = type(error) in {sqlite3.DatabaseError, json.JSONDecodeError} or "no such" in str(error)
            if not is_damage:
                raise  # the disk, or a constraint
            raise DataError(
                f"the session is damaged ({error}); keep the file, restore an earlier copy, or name another --session",
                self.path,
            ) from error

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def set_setting(connection: sqlite3.Connection, name: str, value: object) -> None:
    """Change a setting."""
    connection.execute("UPDATE settings SET value = ? WHERE name = ?", (json.dumps(value, ensure_ascii=False), name))


def next_version(connection: sqlite3.Connection) -> int:
    """The version of the change that this transaction makes; it is higher than those of all earlier ones."""
    connection.execute("UPDATE settings SET value = value + 1 WHERE name = 'version'")
    version: int = connection.execute("SELECT value FROM settings WHERE name = 'version'").fetchone()[0]
    return int(version)
