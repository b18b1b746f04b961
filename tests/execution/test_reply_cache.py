"""The file of replies: its size, several processes, and what happens if it breaks."""

from __future__ import annotations

import multiprocessing
import sqlite3
from pathlib import Path

import pytest

from entsemble.errors import DataError
from entsemble.execution.reply_cache import ReplyCache


def test_a_value_is_there_for_the_next_run(tmp_path: Path) -> None:
    cache = ReplyCache(tmp_path / "deep" / "replies.sqlite", 1 << 20)
    cache.put(b"key", b"value")
    cache.close()
    reopened = ReplyCache(tmp_path / "deep" / "replies.sqlite", 1 << 20)
    assert reopened.get(b"key") == b"value"
    assert reopened.get(b"other") is None


def test_beyond_its_size_the_least_recently_used_values_are_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 10**9, 10_000))
    monkeypatch.setattr("entsemble.execution.reply_cache.time.time", lambda: next(clock))
    path = tmp_path / "replies.sqlite"
    cache = ReplyCache(path, 1 << 20)
    for number in range(4000):
        cache.put(b"%d" % number, b"x" * 1000)
        assert cache.get(b"0") is not None  # used all the time
    cache.close()
    assert path.stat().st_size < 2 * (1 << 20)
    reopened = ReplyCache(path, 1 << 20)
    assert reopened.get(b"3999") is not None
    assert reopened.get(b"1") is None


def test_many_short_runs_stay_within_the_size(tmp_path: Path) -> None:
    path = tmp_path / "replies.sqlite"
    for run in range(20):
        cache = ReplyCache(path, 1 << 20)
        for number in range(30):
            cache.put(f"{run} {number}".encode(), b"x" * 10_000)
        assert cache.size_in_bytes < 1.5 * (1 << 20)
        cache.close()


def _use_cache(path: Path, step: int) -> None:
    cache = ReplyCache(path, 1 << 20)
    for number in range(500):
        cache.put(b"%d" % (number % 50), b"%d" % (number % 50) * 100)
        key = (number * step) % 50
        assert cache.get(b"%d" % key) in (None, b"%d" % key * 100)
    cache.close()


def test_two_processes_share_one_file(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    path = tmp_path / "replies.sqlite"
    processes = [context.Process(target=_use_cache, args=(path, step)) for step in (3, 7)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT count(*) FROM replies").fetchone() == (50,)
    connection.close()


def test_a_file_that_is_not_a_cache_is_refused(tmp_path: Path) -> None:
    (tmp_path / "replies.sqlite").write_text("certainly not a database, but long enough to look like one" * 20)
    with pytest.raises(DataError, match=r"not a cache of replies .*; delete the file"):
        ReplyCache(tmp_path / "replies.sqlite", 1 << 20)


def test_where_nothing_can_be_written_replies_last_as_long_as_the_process_after_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match=r"file/replies\.sqlite: replies are not cached .*ENTSEMBLE_CACHE.*--no-cache"):
        cache = ReplyCache(tmp_path / "file" / "replies.sqlite", 1 << 20)
    cache.put(b"key", b"value")
    assert cache.get(b"key") == b"value"
    cache.close()


def test_a_cache_that_breaks_warns_once_and_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "replies.sqlite"
    cache = ReplyCache(path, 1 << 20)
    with sqlite3.connect(path) as connection:
        connection.execute("DROP TABLE replies")
    connection.close()
    with pytest.warns(UserWarning, match="no longer cached"):
        assert cache.get(b"key") is None
    cache.put(b"key", b"value")
    assert cache.get(b"key") is None
