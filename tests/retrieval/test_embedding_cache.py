from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from entsemble.errors import DataError
from entsemble.retrieval.embedding_cache import CachedEncoder, PoolCache, cached_spans

TEXTS = [f"sentence {i}" for i in range(30)]

KILLED = """
import os, signal, sys
from pathlib import Path
from entsemble.retrieval.embedding_cache import PoolCache, cached_spans
done = []
def find(text):
    if len(done) == 12:
        os.kill(os.getpid(), signal.SIGKILL)
    done.append(text)
    return [text.upper(), "x"]
cached_spans("me", [f"sentence {i}" for i in range(30)], find, PoolCache(Path(sys.argv[1])))
"""

WRITER = """
import sys
from pathlib import Path
from entsemble.retrieval.embedding_cache import PoolCache, cached_spans
store = PoolCache(Path(sys.argv[1]))
for i in range(20):
    store.put(sys.argv[2], {f"text {i}": f"{sys.argv[2]} {i}".encode()})
    store.put("both", {f"text {i}": b"same"})
"""


def test_a_preparation_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "pools.sqlite"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False, timeout=600)
    assert killed.returncode == -signal.SIGKILL
    asked: list[str] = []
    steps: list[tuple[int, int]] = []

    def find(text: str) -> list[str]:
        asked.append(text)
        return [text.upper(), "x"]

    found = cached_spans("me", TEXTS, find, PoolCache(path), lambda done, total: steps.append((done, total)))
    assert asked == TEXTS[12:]
    assert steps[0] == (1, 18)
    assert steps[-1] == (18, 18)
    assert found == {text: (text.upper(), "x") for text in TEXTS}


def test_two_processes_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "pools.sqlite"
    names = ["a", "b", "c"]
    running = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), name], stderr=subprocess.PIPE) for name in names
    ]
    for process in running:
        _, told = process.communicate(timeout=600)
        assert process.returncode == 0, told.decode()
    store = PoolCache(path)
    texts = [f"text {i}" for i in range(20)]
    for name in names:
        assert store.get(name, texts) == {text: f"{name} {i}".encode() for i, text in enumerate(texts)}
    assert set(store.get("both", texts).values()) == {b"same"}


def test_what_another_owner_found_is_not_taken(tmp_path: Path) -> None:
    store = PoolCache(tmp_path / "s.sqlite")
    assert cached_spans("one", ["a", "a", "b"], lambda t: [t], store) == {"a": ("a",), "b": ("b",)}
    assert cached_spans("two", ["a"], lambda t: ["other"], store) == {"a": ("other",)}
    assert cached_spans("one", ["a"], lambda t: ["new"], store) == {"a": ("a",)}


def test_values_of_many_texts_in_any_script(tmp_path: Path) -> None:
    store = PoolCache(tmp_path / "s.sqlite")
    values = {f"{i} 北京 😀 \ud800 \0": str(i).encode() for i in range(600)}
    store.put("me", values)
    assert PoolCache(tmp_path / "s.sqlite").get("me", [*values, "unknown"]) == values
    assert store.get("me", []) == {}


def test_nothing_is_encoded_twice(tmp_path: Path, trigrams: Any) -> None:
    store, steps = PoolCache(tmp_path / "s.sqlite"), []
    texts = [f"text {i % 300}" for i in range(400)]
    first = CachedEncoder(trigrams, store, lambda done, total: steps.append((done, total))).encode(texts)
    assert sorted(trigrams.asked) == sorted(set(texts))
    assert steps == [(256, 300), (300, 300)]
    again = CachedEncoder(trigrams, PoolCache(tmp_path / "s.sqlite")).encode([*texts, "new"])
    assert len(trigrams.asked) == 301
    assert np.array_equal(again[:-1], first)
    assert np.array_equal(first, trigrams.encode(texts))
    assert again.dtype == np.float32
    assert len(CachedEncoder(trigrams, store).encode([])) == 0


def test_another_encoder_starts_afresh(tmp_path: Path, trigrams: Any) -> None:
    store = PoolCache(tmp_path / "s.sqlite")
    CachedEncoder(trigrams, store).encode(["a"])
    trigrams.fingerprint = "trigrams-2"
    CachedEncoder(trigrams, store).encode(["a"])
    assert trigrams.asked == ["a", "a"]


def test_a_file_that_is_no_store(tmp_path: Path) -> None:
    path = tmp_path / "pools.sqlite"
    path.write_text("this is no database, " * 100)
    with pytest.raises(DataError, match=r"pools\.sqlite.*delete the file.*ENTSEMBLE_CACHE"):
        PoolCache(path)
    with pytest.raises(DataError, match="ENTSEMBLE_CACHE"):
        PoolCache(path / "below" / "a.sqlite")


def test_a_disk_that_is_full_ends_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = PoolCache(tmp_path / "pools.sqlite")

    def full(*_: Any, **__: Any) -> Any:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr("entsemble.retrieval.embedding_cache.sqlite3.connect", full)
    with pytest.warns(UserWarning, match="is not cached: disk I/O error"):
        store.put("me", {"text": b"1"})
    with pytest.raises(DataError, match="disk I/O error"):
        store.get("me", ["text"])
