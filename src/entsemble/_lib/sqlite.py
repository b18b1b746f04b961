"""SQLite files that several processes use at the same time."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

TIMEOUT_SECONDS = 60.0
"""How long a process waits for a file that another one has locked."""

_PAUSE_SECONDS = 0.01
_REFUSALS = ("unable to open", "readonly", "disk is full", "disk I/O error", "locked")
"""In SQLite's messages; its error codes reach Python from 3.11 on."""


@contextmanager
def damage_is_an_error_of_sqlite() -> Iterator[None]:
    """For the block, a damaged file raises nothing but errors of SQLite.

    Python cannot decode SQLite's message if this quotes bytes of the file that are no text, and says only this, or
    before 3.11 nothing.

    Raises:
        sqlite3.DatabaseError: the file is damaged.
    """
    try:
        yield
    except UnicodeDecodeError as error:
        raise sqlite3.DatabaseError("malformed database") from error
    except sqlite3.DatabaseError as error:
        if not str(error):
            raise sqlite3.DatabaseError("malformed database") from error
        raise


def is_refused(error: Exception) -> bool:
    """Whether a file cannot be opened or written, as in a folder of someone else or on a full disk, but may be sound.

    Args:
        error: of opening or writing it.
    """
    return isinstance(error, OSError) or (
        isinstance(error, sqlite3.OperationalError) and any(reason in str(error) for reason in _REFUSALS)
    )


def enable_wal(connection: sqlite3.Connection) -> None:
    """Switch a file to a write-ahead log, so that readers do not wait for a writer.

    SQLite's own timeout does not cover this statement: if two processes enable the log at once, as the first two runs
    on a machine may, one of them gets the error that the file is locked. This function tries again.

    Raises:
        sqlite3.Error: it is not an SQLite file, cannot be written, or stays locked for `TIMEOUT_SECONDS`.
    """
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        try:
            with damage_is_an_error_of_sqlite():
                connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:  # noqa: PERF203 - a file is opened once
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            return


def clear_table(path: Path, table: str, condition: str = "TRUE", parameters: Sequence[object] = ()) -> None:
    """Delete rows for good: their pages are overwritten. Other processes may go on using the file.

    Args:
        path: an SQLite file that exists.
        table: the rows' table; without one, there is nothing to delete.
        condition: of the rows, in SQL.
        parameters: of the condition.

    Raises:
        sqlite3.Error: it is not an SQLite file, cannot be written, or stays locked for `TIMEOUT_SECONDS`.
    """
    with (
        damage_is_an_error_of_sqlite(),
        closing(sqlite3.connect(path, timeout=TIMEOUT_SECONDS, isolation_level=None)) as connection,
    ):
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone():
            connection.execute(f"DELETE FROM {table} WHERE {condition}", parameters)
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
