"""SQLite files that several processes use at the same time."""

from __future__ import annotations

import sqlite3
import time

TIMEOUT_SECONDS = 60.0
"""How long a process waits for a file that another one has locked."""

_PAUSE_SECONDS = 0.01


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
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:  # noqa: PERF203 - a file is opened once
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            return
