"""The file of a review session: its tables, and transactions in which all changes are made."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from entsemble._lib.private import make_private_database
from entsemble._lib.sqlite import TIMEOUT_SECONDS, damage_is_an_error_of_sqlite, enable_wal, is_refused
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

_MISFITS = (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError)
"""What stored values raise that do not fit together; refused edits are of another type."""


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
        self._is_lost = False
        _check_file(path)
        try:
            make_private_database(path)
            self._connection = sqlite3.connect(
                path, timeout=TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False
            )
            status = path.stat()
        except (OSError, sqlite3.Error) as error:
            raise DataError(f"the session cannot be stored here ({error}); name another --session", path) from error
        self._identity, self._size = (status.st_dev, status.st_ino), status.st_size
        try:
            with damage_is_an_error_of_sqlite():
                self._prepare()
        except DataError:
            self._connection.close()
            raise
        except sqlite3.Error as error:
            self._connection.close()
            problem = "the session cannot be stored here" if is_refused(error) else "not a review session"
            raise DataError(f"{problem} ({error}); name another --session", path) from error

    def _prepare(self) -> None:
        """Create the tables in an empty file; check another before anything is written to it.

        Raises:
            DataError: it is of another version, or damaged.
            sqlite3.Error: it is another kind of file, or cannot be written.
        """
        if self._connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            self._check_tables()
        enable_wal(self._connection)
        self._connection.execute("PRAGMA synchronous=FULL")
        if not self._connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            self._connection.executescript("BEGIN IMMEDIATE;" + _TABLES)  # as a whole: a kill leaves all or nothing
            rows = [(name, json.dumps(value)) for name, value in _DEFAULTS.items()]
            self._connection.executemany("INSERT OR IGNORE INTO settings VALUES (?, ?)", rows)
            self._connection.execute("COMMIT")
        [(problem, *_), *_] = self._connection.execute("PRAGMA quick_check(1)").fetchall()
        if problem != "ok":
            raise sqlite3.DatabaseError(problem)

    def _check_tables(self) -> None:
        tables = _columns_of_tables(self._connection)
        if ("settings", "name", "TEXT", 1) not in tables:
            raise sqlite3.DatabaseError("it has other tables")
        file_format = self.setting("format")
        if file_format != _FORMAT:
            raise DataError(f"a session of another version ({file_format}); name another --session", self.path)
        with closing(sqlite3.connect(":memory:")) as empty:
            empty.executescript(_TABLES)
            expected = _columns_of_tables(empty)
        with self._damage_is_named():
            if tables != expected:
                raise sqlite3.DatabaseError("its tables have changed")
            for name, default in _DEFAULTS.items():
                if type(self.setting(name)) is not type(default):
                    raise sqlite3.DatabaseError(f"the setting {name} is of another type")

    def close(self) -> None:
        """Close the file.

        Raises:
            DataError: it was removed or replaced, and nobody knows it yet.
        """
        with self._lock:
            try:
                if not self._is_lost:
                    self._check_identity()
            finally:
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
            self._check_identity()
            self._connection.execute("BEGIN")
            try:
                yield self._connection
            finally:
                self._connection.execute("COMMIT")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A connection for a change that is made as a whole or, after an error, not at all.

        Raises:
            DataError: it cannot be written, or is damaged.
        """
        with self._lock, self._damage_is_named():
            self._check_identity()
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except sqlite3.OperationalError as error:
                self._roll_back()
                raise DataError(
                    f"the session cannot be written ({error}); check the permissions of the file and its folder, and "
                    f"the free space",
                    self.path,
                ) from error
            except BaseException:
                self._roll_back()
                raise

    def setting(self, name: str) -> Any:  # noqa: ANN401 - JSON
        """The value of a setting of the session."""
        with self._lock, self._damage_is_named():
            row = self._connection.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
            if row is None:
                raise sqlite3.DatabaseError(f"no setting {name}")
            return json.loads(row[0])

    @contextmanager
    def _damage_is_named(self) -> Iterator[None]:
        """What a damaged page or value raises, as an error of ours."""
        try:
            with damage_is_an_error_of_sqlite():
                yield
        except (sqlite3.DatabaseError, *_MISFITS) as error:
            is_damage = type(error) in {sqlite3.DatabaseError, json.JSONDecodeError, *_MISFITS} or (
                isinstance(error, sqlite3.OperationalError) and "no such" in str(error)
            )
            if not is_damage:
                raise  # the disk, a constraint, or an edit that is refused
            raise DataError(
                f"the session is damaged ({error}); keep the file, restore an earlier copy, or name another --session",
                self.path,
            ) from error

    def _check_identity(self) -> None:
        """Check that the name still is that of the open file; otherwise, what is in this is stored under another name.

        Raises:
            DataError: it is not, or the file was truncated.
        """
        if self._connection.in_transaction:
            return
        try:
            status = self.path.stat()
            identity, size = (status.st_dev, status.st_ino), status.st_size
        except OSError:
            identity, size = None, 0
        if identity != self._identity:
            where = "the message before says where its content is" if self._is_lost else self._rescue()
            raise DataError(f"the session was removed or replaced while it was open; {where}", self.path)
        if size < self._size:
            self._is_lost = True
            raise DataError(
                "the session was truncated while it was open; end this program, and restore an earlier copy", self.path
            )
        self._size = size

    def _rescue(self) -> str:
        """Write the content to a new file beside the old one, and empty the log, which no other file may get."""
        self._is_lost = True
        names = (self.path.with_name(f"{self.path.stem}.rescued{number}{self.path.suffix}") for number in count(1))
        target = next(path for path in names if not path.exists())
        try:
            make_private_database(target)
            with closing(sqlite3.connect(target)) as rescued:
                self._connection.backup(rescued)
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except (OSError, sqlite3.Error) as error:
            return f"its content cannot be stored in {target} ({error})"
        return f"its content is in {target}; end this program, and continue with the session that you want"

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def _check_file(path: Path) -> None:
    """Check what SQLite would take for an empty file, and overwrite, or wait for."""
    log = path.with_name(f"{path.name}-wal")
    try:
        if path.exists() and not path.is_file():
            raise DataError("not a file; name another --session", path)
        size = path.stat().st_size if path.exists() else 0
        has_log = log.exists() and log.stat().st_size > 0
    except OSError as error:
        raise DataError(f"the session cannot be stored here ({error}); name another --session", path) from error
    if size == 1:
        raise DataError("not a review session (it has 1 byte); name another --session", path)
    if size == 0 and has_log:
        raise DataError(
            f"the session is damaged (it is empty, but {log.name} is not); keep both, restore an earlier copy, or name "
            f"another --session",
            path,
        )


def _columns_of_tables(connection: sqlite3.Connection) -> set[tuple[str, str, str, int]]:
    """Table, name, type and place in the primary key of all columns; triggers and views count as tables."""
    query = (
        "SELECT items.name, columns.name, columns.type, columns.pk FROM sqlite_master AS items "
        "LEFT JOIN pragma_table_info(items.name) AS columns "
        "WHERE items.type != 'index' AND items.name NOT LIKE 'sqlite_%'"
    )
    return set(connection.execute(query).fetchall())


def set_setting(connection: sqlite3.Connection, name: str, value: object) -> None:
    """Change a setting."""
    connection.execute("UPDATE settings SET value = ? WHERE name = ?", (json.dumps(value, ensure_ascii=False), name))


def next_version(connection: sqlite3.Connection) -> int:
    """The version of the change that this transaction makes; it is higher than those of all earlier ones."""
    connection.execute("UPDATE settings SET value = value + 1 WHERE name = 'version'")
    version: int = connection.execute("SELECT value FROM settings WHERE name = 'version'").fetchone()[0]
    return int(version)
