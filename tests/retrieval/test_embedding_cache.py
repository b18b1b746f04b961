from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from entsemble._lib.cancellation import WorkCancelledError, cancellable
from entsemble.errors import DataError
from entsemble.execution.threads import LocalMapper
from entsemble.retrieval.embedding_cache import CachedEncoder, PoolCache, cached_spans

TEXTS = [f"sentence {number}" for number in range(30)]

INTERRUPTED_PREPARATION = """
import os, signal, sys
from pathlib import Path
from entsemble.retrieval.embedding_cache import PoolCache, cached_spans
done = []
def find_spans(text):
    if len(done) == 12:
        os.kill(os.getpid(), signal.SIGKILL)
    done.append(text)
    return [text.upper(), "x"]
class OneByOne:
    map = staticmethod(map)
texts = [f"sentence {number}" for number in range(30)]
cached_spans("owner", texts, find_spans, PoolCache(Path(sys.argv[1])), OneByOne())
"""

WRITER = """
import sys
from pathlib import Path
from entsemble.retrieval.embedding_cache import PoolCache
cache = PoolCache(Path(sys.argv[1]))
for number in range(20):
    cache.put(sys.argv[2], {f"text {number}": f"{sys.argv[2]} {number}".encode()})
    cache.put("shared", {f"text {number}": b"same"})
"""


@pytest.fixture
def cache(tmp_path: Path) -> PoolCache:
    return PoolCache(tmp_path / "pools.sqlite")


def test_a_killed_preparation_resumes_where_it_stopped(tmp_path: Path) -> None:
    path = tmp_path / "pools.sqlite"
    command = [sys.executable, "-c", INTERRUPTED_PREPARATION, str(path)]
    assert subprocess.run(command, check=False, timeout=600).returncode == -signal.SIGKILL
    computed: list[str] = []
    steps: list[tuple[int, int]] = []

    def find_spans(text: str) -> list[str]:
        computed.append(text)
        return [text.upper(), "x"]

    spans = cached_spans("owner", TEXTS, find_spans, PoolCache(path), LocalMapper(1), lambda *step: steps.append(step))
    assert computed == TEXTS[12:]
    assert (steps[0], steps[-1]) == ((1, 18), (18, 18))
    assert spans == {text: (text.upper(), "x") for text in TEXTS}


def test_several_processes_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "pools.sqlite"
    owners = ["a", "b", "c"]
    processes = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), owner], stderr=subprocess.PIPE) for owner in owners
    ]
    for process in processes:
        _, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors.decode()
    cache = PoolCache(path)
    texts = [f"text {number}" for number in range(20)]
    for owner in owners:
        expected = {text: f"{owner} {number}".encode() for number, text in enumerate(texts)}
        assert cache.get(owner, texts) == expected
    assert set(cache.get("shared", texts).values()) == {b"same"}


def test_owners_do_not_share_values(cache: PoolCache) -> None:
    assert cached_spans("one", ["a", "a", "b"], lambda text: [text], cache, LocalMapper(1)) == {
        "a": ("a",),
        "b": ("b",),
    }
    assert cached_spans("two", ["a"], lambda text: ["other"], cache, LocalMapper(1)) == {"a": ("other",)}
    assert cached_spans("one", ["a"], lambda text: ["new"], cache, LocalMapper(1)) == {"a": ("a",)}


def test_spans_of_several_texts_are_found_at_once(cache: PoolCache) -> None:
    all_begun = threading.Barrier(4)

    def find_spans(text: str) -> list[str]:
        all_begun.wait(timeout=60)  # breaks unless four texts are in flight
        return [text.upper()]

    spans = cached_spans("owner", TEXTS[:8], find_spans, cache, LocalMapper(4))
    assert spans == {text: (text.upper(),) for text in TEXTS[:8]}


def test_a_cancelled_preparation_keeps_what_is_done(cache: PoolCache) -> None:
    done: list[str] = []

    def find_spans(text: str) -> list[str]:
        done.append(text)
        return [text]

    with cancellable(lambda: len(done) >= 3), pytest.raises(WorkCancelledError):
        cached_spans("owner", TEXTS, find_spans, cache, LocalMapper(1))
    assert 3 <= len(done) < len(TEXTS)
    assert cached_spans("owner", TEXTS[:1], lambda text: ["new"], cache, LocalMapper(1)) == {TEXTS[0]: (TEXTS[0],)}


def test_any_number_of_texts_in_any_script_can_be_cached(cache: PoolCache, tmp_path: Path) -> None:
    values = {f"{number} 北京 😀 \ud800 \0": str(number).encode() for number in range(600)}
    cache.put("owner", values)
    assert PoolCache(tmp_path / "pools.sqlite").get("owner", [*values, "missing"]) == values
    assert cache.get("owner", []) == {}


def test_no_text_is_encoded_twice(cache: PoolCache, tmp_path: Path, trigrams: Any) -> None:
    texts = [f"text {number % 300}" for number in range(400)]
    steps: list[tuple[int, int]] = []
    first = CachedEncoder(trigrams, cache, lambda done, total: steps.append((done, total))).encode(texts)
    assert sorted(trigrams.encoded_texts) == sorted(set(texts))
    assert steps == [(256, 300), (300, 300)]
    second = CachedEncoder(trigrams, PoolCache(tmp_path / "pools.sqlite")).encode([*texts, "new"])
    assert len(trigrams.encoded_texts) == 301
    assert np.array_equal(second[:-1], first)
    assert np.array_equal(first, trigrams.encode(texts))
    assert second.dtype == np.float32


def test_repeated_and_partly_cached_texts_have_their_embeddings_in_order(cache: PoolCache, trigrams: Any) -> None:
    texts = ["Oslo", "Rome", "Oslo", *(f"town {number}" for number in range(300)), "Rome"]
    CachedEncoder(trigrams, cache).encode(texts[50:100])
    steps: list[tuple[int, int]] = []
    vectors = CachedEncoder(trigrams, cache, lambda done, total: steps.append((done, total))).encode(texts)
    assert np.array_equal(vectors, trigrams.encode(texts))
    assert steps == [(252, 252)]


def test_no_texts_have_no_embeddings(cache: PoolCache, trigrams: Any) -> None:
    assert len(CachedEncoder(trigrams, cache).encode([])) == 0


def test_another_encoder_does_not_use_the_cached_embeddings(cache: PoolCache, trigrams: Any) -> None:
    CachedEncoder(trigrams, cache).encode(["a"])
    trigrams.fingerprint = "trigrams-2"
    CachedEncoder(trigrams, cache).encode(["a"])
    assert trigrams.encoded_texts == ["a", "a"]


def test_a_file_that_is_not_a_cache_is_refused_with_advice(tmp_path: Path) -> None:
    path = tmp_path / "pools.sqlite"
    path.write_text("this is not a database, " * 100)
    with pytest.raises(DataError, match=r"pools\.sqlite.*delete the file.*ENTSEMBLE_CACHE"):
        PoolCache(path).get("owner", ["text"])


def test_where_nothing_can_be_written_nothing_is_cached_after_a_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = PoolCache(tmp_path / "file" / "a.sqlite")
    with pytest.warns(UserWarning, match=r"file/a\.sqlite: .* is not cached .*ENTSEMBLE_CACHE to a folder that can"):
        assert cache.get("owner", ["text"]) == {}
    cache.put("owner", {"text": b"1"})
    assert cache.get("owner", ["text"]) == {}


def test_a_cache_that_nobody_uses_needs_no_file(tmp_path: Path) -> None:
    PoolCache(tmp_path / "cache" / "pools.sqlite")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_a_warning_when_writing_and_an_error_when_reading(
    cache: PoolCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(*_: Any, **__: Any) -> Any:
        raise sqlite3.OperationalError("disk I/O error")

    cache.put("owner", {"other": b"1"})
    monkeypatch.setattr("entsemble.retrieval.embedding_cache.sqlite3.connect", connect)
    with pytest.warns(UserWarning, match="is not cached: disk I/O error"):
        cache.put("owner", {"text": b"1"})
    with pytest.raises(DataError, match="disk I/O error"):
        cache.get("owner", ["text"])
