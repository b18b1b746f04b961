from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier

import pytest

from entsemble._lib import sqlite
from entsemble._lib.sqlite import enable_wal


def test_many_connections_can_enable_the_log_at_once(tmp_path: Path) -> None:
    together = Barrier(8)

    def open_file(path: Path) -> str:
        with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as connection:
            together.wait()
            enable_wal(connection)
            connection.execute("CREATE TABLE IF NOT EXISTS items (value BLOB)")
            return str(connection.execute("PRAGMA journal_mode").fetchone()[0])

    with ThreadPoolExecutor(8) as threads:
        for i in range(50):
            assert set(threads.map(open_file, [tmp_path / f"{i}.sqlite"] * 8)) == {"wal"}


def test_a_file_that_stays_locked_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "TIMEOUT_SECONDS", 0.05)
    with (
        closing(sqlite3.connect(tmp_path / "x.sqlite", isolation_level=None)) as other,
        closing(sqlite3.connect(tmp_path / "x.sqlite", timeout=0)) as connection,
    ):
        other.execute("CREATE TABLE items (value BLOB)")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            enable_wal(connection)


def test_a_file_that_is_not_a_database_is_an_error_at_once(tmp_path: Path) -> None:
    (tmp_path / "x.sqlite").write_text("certainly no database, but long enough to be looked at" * 20)
    with (
        closing(sqlite3.connect(tmp_path / "x.sqlite")) as connection,
        pytest.raises(sqlite3.DatabaseError, match="not a database"),
    ):
        enable_wal(connection)
