from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from entsemble._lib.locks import locked
from entsemble._lib.temporary import temporary_folder
from entsemble.assembly import cache_folder
from entsemble.assembly.cache_folder import CLEARED_BY_DEFAULT, KINDS, CacheUse, Removal, clear, list_entries
from entsemble.execution.reply_cache import ReplyCache
from entsemble.retrieval.embedding_cache import PoolCache

LONG_AGO = time.time() - 30 * 86400


@pytest.fixture(autouse=True)
def temporary_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    root = tmp_path / "tmp"
    root.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(root))
    umask = os.umask(0o022)
    yield root
    os.umask(umask)


@pytest.fixture
def cache(tmp_path: Path, temporary_root: Path) -> Path:
    """A cache with something of every kind."""
    folder = tmp_path / "cache"
    CacheUse(folder).close()
    for name in ("models/small", "partial/large", "unpacked/0123", "training/4567"):
        (folder / name).mkdir(parents=True)
        (folder / name / "weights").write_bytes(b"0" * 1000)
    replies = ReplyCache(folder / "replies.sqlite", 1 << 20)
    for number in range(100):
        replies.put(b"%d" % number, b"Ann Example" * 50)
    replies.close()
    PoolCache(folder / "pools.sqlite").put("owner", {"Ann Example": b"Ann Example" * 500})
    (temporary_root / "entsemble-work-89ab").mkdir()
    return folder


def modes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}


def problems(removals: list[Removal]) -> dict[str, str]:
    return {removal.entry.kind: removal.problem for removal in removals if removal.problem}


class TestPrivacy:
    def test_a_new_cache_is_private_and_left_out_of_backups(self, tmp_path: Path) -> None:
        with closing(CacheUse(tmp_path / "cache")):
            assert modes(tmp_path)["cache"] == 0o700
            assert (tmp_path / "cache" / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886")

    def test_a_folder_of_the_users_keeps_its_permissions_but_what_is_private_in_it_does_not(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "training").mkdir()
        for name in ("replies.sqlite", "replies.sqlite-wal", "notes.txt"):
            (tmp_path / name).touch()
        mode = tmp_path.stat().st_mode
        with closing(CacheUse(tmp_path)):
            assert tmp_path.stat().st_mode == mode
            assert modes(tmp_path) == {
                "tmp": 0o755,
                "training": 0o700,
                "replies.sqlite": 0o600,
                "replies.sqlite-wal": 0o600,
                "notes.txt": 0o644,
                "in-use": 0o700,
            }

    def test_the_default_folder_of_an_older_version_becomes_private(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = tmp_path / "entsemble"
        folder.mkdir()
        monkeypatch.setattr(cache_folder, "default_cache_folder", lambda: folder)
        CacheUse(folder).close()
        assert modes(tmp_path)["entsemble"] == 0o700

    def test_a_folder_that_cannot_be_written_is_no_error_yet(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        CacheUse(tmp_path / "file" / "cache").close()


class TestContents:
    def test_there_is_an_entry_for_all_that_is_stored(self, cache: Path) -> None:
        entries = list_entries(cache)
        assert [entry.kind for entry in entries] == list(KINDS)
        sizes = {entry.kind: entry.size for entry in entries}
        assert sizes["models"] == sizes["downloads"] == 1000
        assert sizes["replies"] > 50_000
        assert all(time.time() - entry.modified < 600 for entry in entries)

    def test_no_cache_has_no_entries(self, tmp_path: Path) -> None:
        assert list_entries(tmp_path / "absent") == []


class TestClear:
    def test_everything_but_the_models_is_removed(self, cache: Path) -> None:
        removals = list(clear(cache, CLEARED_BY_DEFAULT))
        assert problems(removals) == {}
        assert [removal.entry.kind for removal in removals] == list(CLEARED_BY_DEFAULT)
        assert all(removal.freed > 0 for removal in removals if removal.entry.kind != "temporary")
        assert [entry.path.name for entry in list_entries(cache)] == ["replies.sqlite", "pools.sqlite", "small"]

    def test_no_text_is_left_in_the_databases(self, cache: Path) -> None:
        list(clear(cache, KINDS))
        for path in cache.rglob("*"):
            assert not path.is_file() or b"Ann Example" not in path.read_bytes()

    def test_only_what_is_older_is_removed(self, cache: Path) -> None:
        with closing(sqlite3.connect(cache / "replies.sqlite")) as connection, connection:
            connection.execute("UPDATE replies SET used = ? WHERE key < ?", (int(LONG_AGO), b"5"))
        os.utime(cache / "unpacked" / "0123" / "weights", (LONG_AGO, LONG_AGO))
        os.utime(cache / "unpacked" / "0123", (LONG_AGO, LONG_AGO))
        removals = list(clear(cache, KINDS, older_than_days=7))
        assert [removal.entry.kind for removal in removals] == ["replies", "unpacked"]
        with closing(sqlite3.connect(cache / "replies.sqlite")) as connection:
            assert connection.execute("SELECT count(*) FROM replies WHERE key >= ?", (b"5",)).fetchone() == (55,)
            assert connection.execute("SELECT count(*) FROM replies").fetchone() == (55,)

    def test_a_process_that_uses_the_cache_keeps_its_files_and_an_empty_reply_cache(self, cache: Path) -> None:
        replies = ReplyCache(cache / "replies.sqlite", 1 << 20)
        with closing(CacheUse(cache)), temporary_folder() as folder:
            removals = list(clear(cache, ("replies", "pools", "unpacked", "models", "temporary")))
            assert folder.exists()
        assert sorted(problems(removals)) == ["models", "temporary", "unpacked"]
        assert problems(removals)["models"].startswith(f"process {os.getpid()} (at work since ")
        assert replies.get(b"1") is None
        replies.put(b"1", b"new")
        assert replies.get(b"1") == b"new"
        replies.close()

    def test_a_training_in_progress_is_not_removed(self, cache: Path) -> None:
        with locked(cache / "training" / "4567"):
            removals = list(clear(cache, ("trainings",)))
        assert problems(removals)["trainings"].startswith(f"process {os.getpid()} (at work since ")
        assert problems(list(clear(cache, ("trainings",)))) == {}

    def test_a_file_that_is_not_a_database_is_removed(self, cache: Path) -> None:
        (cache / "pools.sqlite").write_text("not a database at all, whatever its name" * 50)
        assert problems(list(clear(cache, ("pools",)))) == {}
        assert not (cache / "pools.sqlite").exists()


def test_temporary_folders_of_ended_processes_are_removed_by_the_next(temporary_root: Path) -> None:
    (temporary_root / "entsemble-work-0123").mkdir()
    (temporary_root / "somebody-else").mkdir()
    with temporary_folder() as folder, temporary_folder() as other:
        assert folder.stat().st_mode & 0o777 == 0o700
        assert {path.name for path in temporary_root.iterdir() if path.is_dir()} == {
            folder.name,
            other.name,
            "somebody-else",
        }
    assert [path.name for path in temporary_root.iterdir()] == ["somebody-else"]
