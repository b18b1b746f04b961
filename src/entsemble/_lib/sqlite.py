"""SQLite files that several processes use at once."""

from __future__ import annotations

import sqlite3
import time

TIMEOUT_SECONDS = 60.0
"""How long a process waits for what another one does to a file."""

_PAUSE_SECONDS = 0.01


def enable_wal(connection: sqlite3.Connection) -> None:
    """Have a file keep a write-ahead log, so that those who read it do not wait for one who writes.

    SQLite waits for other processes everywhere but here: of two that turn it on at once, as the first two runs on a
    machine may, one is told that the file is locked. It tries again.

    Raises:
        sqlite3.Error: it is no such file, cannot be written, or is locked for longer.
    """
    until = time.monotonic() + TIMEOUT_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:  # noqa: PERF203 - a file is opened once
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            return
