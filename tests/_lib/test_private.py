from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from entsemble._lib.private import make_private_database, make_private_folder, restrict
from entsemble.execution.reply_cache import ReplyCache
from entsemble.retrieval.embedding_cache import PoolCache


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    umask = os.umask(0o022)
    yield
    os.umask(umask)


def modes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}


def test_a_new_folder_is_private_and_an_existing_one_keeps_its_permissions(tmp_path: Path) -> None:
    for name in ("parent/new", "old"):
        (tmp_path / "old").mkdir(exist_ok=True)
        make_private_folder(tmp_path / name)
    assert modes(tmp_path) == {"parent": 0o755, "old": 0o755}
    assert modes(tmp_path / "parent") == {"new": 0o700}


def test_a_database_and_its_logs_are_private_even_if_they_were_not(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    for _ in range(2):
        make_private_database(path)
        with sqlite3.connect(path) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE IF NOT EXISTS t (x)")
            connection.execute("INSERT INTO t VALUES (1)")
            connection.commit()
            assert modes(tmp_path) == {"a.sqlite": 0o600, "a.sqlite-wal": 0o600, "a.sqlite-shm": 0o600}
        connection.close()
        path.chmod(0o644)


def test_the_caches_are_private(tmp_path: Path) -> None:
    cache = ReplyCache(tmp_path / "cache" / "replies.sqlite", 1 << 20)
    cache.put(b"key", b"Ann")
    PoolCache(tmp_path / "cache" / "pools.sqlite").put("owner", {"Ann": b"vector"})
    assert modes(tmp_path) == {"cache": 0o700}
    assert set(modes(tmp_path / "cache").values()) == {0o600}
    cache.close()


def test_links_and_absent_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").touch(0o644)
    (tmp_path / "link").symlink_to(tmp_path / "file")
    restrict(tmp_path / "link")
    restrict(tmp_path / "absent")
    assert modes(tmp_path) == {"file": 0o644, "link": 0o644}
