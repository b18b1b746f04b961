from __future__ import annotations

import math
import multiprocessing
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from entsemble.errors import DataError
from entsemble.execution.reply_cache import CachedModel, ReplyCache
from entsemble.protocols import LanguageModel
from entsemble.types import Choice, Decoding, Reply, Usage


class Counting:
    """A model that remembers what it was asked, and whose answers tell what it saw before."""

    parameters = None

    def __init__(self, name: str = "m", fingerprint: str = "m-1") -> None:
        self.name, self.fingerprint = name, fingerprint
        self.asked: list[str] = []

    def generate(self, prompts: Sequence[str], decoding: Decoding) -> list[Reply]:
        self.asked += prompts
        return [
            Reply(
                f"{p}!{decoding.max_tokens}{decoding.grammar}{decoding.list_separator or ''}",
                True,
                Usage(len(p), 1, 2, 0.5, 1),
            )
            for p in prompts
        ]

    def choose(self, prompts: Sequence[str], options: Sequence[str]) -> list[Choice]:
        self.asked += prompts
        return [Choice((math.log(0.1), -math.inf), Usage(len(p), calls=1), exact=False) for p in prompts]

    def close(self) -> None:
        pass


@pytest.fixture
def cache(tmp_path: Path) -> ReplyCache:
    return ReplyCache(tmp_path / "deep" / "replies.sqlite", 1 << 30)


def test_the_same_request_is_asked_once(cache: ReplyCache) -> None:
    asked = Counting()
    model: LanguageModel = CachedModel(asked, cache)
    first = model.generate(["a"], Decoding(5))
    again = model.generate(["a"], Decoding(5))
    assert asked.asked == ["a"]
    assert (again[0].text, again[0].finished) == (first[0].text, first[0].finished)
    assert again[0].usage == Usage(1, cached_tokens=1, calls=1, cache_hits=1)
    chosen = model.choose(["b"], ["x", "y"])[0]
    assert model.choose(["b"], ["x", "y"])[0].log_probabilities == chosen.log_probabilities
    assert model.choose(["b"], ["x", "y"])[0].exact is False
    assert asked.asked == ["a", "b"]


def test_whatever_shapes_the_answer_is_in_the_key(cache: ReplyCache) -> None:
    asked = Counting()
    model = CachedModel(asked, cache)
    told = [
        model.generate(["a"], Decoding(5)),
        model.generate(["a"], Decoding(6)),
        model.generate(["a"], Decoding(5, stop=("\n",))),
        model.generate(["a"], Decoding(5, grammar="root ::= x")),
        model.generate(["a"], Decoding(5, list_separator="|")),
        CachedModel(Counting(fingerprint="m-2"), cache).generate(["a"], Decoding(5)),
    ]
    assert [r[0].usage.cache_hits for r in told] == [0] * 6
    model.choose(["a"], ["x", "y"])
    assert model.choose(["a"], ["y", "x"])[0].usage.cache_hits == 0


def test_a_batch_is_asked_whole_each_prompt_once_and_comes_in_order(cache: ReplyCache) -> None:
    asked = Counting()
    model = CachedModel(asked, cache)
    model.generate(["b"], Decoding(1))
    replies = model.generate(["a", "b", "a", "c"], Decoding(1))
    assert [r.text[0] for r in replies] == ["a", "b", "a", "c"]
    assert asked.asked[1:] == ["a", "b", "c"]


def test_a_miss_asks_again_what_the_engine_has_not_seen_of_its_sentence(cache: ReplyCache) -> None:
    """An engine continues its prompts: the sentence must reach it in the pieces of an uninterrupted run."""
    CachedModel(Counting(), cache).generate(["s"], Decoding(1))
    CachedModel(Counting(), cache).choose(["s one"], ["x", "y"])
    asked = Counting()
    model = CachedModel(asked, cache)
    model.generate(["s"], Decoding(1))
    model.choose(["s one"], ["x", "y"])
    assert asked.asked == []
    model.choose(["s one two"], ["x", "y"])
    assert asked.asked == ["s", "s one", "s one two"]
    model.choose(["s one two three"], ["x", "y"])
    assert asked.asked[3:] == ["s one two three"]
    model.generate(["other"], Decoding(1))
    assert asked.asked[4:] == ["other"]


def test_threads_do_not_mix_their_sentences(cache: ReplyCache) -> None:
    CachedModel(Counting(), cache).generate(["s", "t"], Decoding(1))
    asked = Counting()
    model = CachedModel(asked, cache)
    with ThreadPoolExecutor(1) as other:
        other.submit(model.generate, ["t"], Decoding(1)).result()
        model.generate(["s"], Decoding(1))
        other.submit(model.choose, ["t one"], ["x", "y"]).result()
        assert asked.asked == ["t", "t one"]
        model.choose(["s one"], ["x", "y"])
    assert asked.asked == ["t", "t one", "s", "s one"]


def test_it_stays_within_its_size_and_drops_the_longest_unused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 10**9, 10_000))
    monkeypatch.setattr("entsemble.execution.reply_cache.time.time", lambda: next(clock))
    path = tmp_path / "replies.sqlite"
    cache = ReplyCache(path, 1 << 20)
    for i in range(4000):
        cache.put(b"%d" % i, b"x" * 1000)
        assert cache.get(b"0") is not None  # in use all the time
    cache.close()
    assert path.stat().st_size < 2 * (1 << 20)
    again = ReplyCache(path, 1 << 20)
    assert again.get(b"3999") is not None
    assert again.get(b"1") is None


def _hammer(path: Path, seed: int) -> None:
    cache = ReplyCache(path, 1 << 20)
    for i in range(500):
        cache.put(b"%d" % (i % 50), b"%d" % (i % 50) * 100)
        found = cache.get(b"%d" % ((i * seed) % 50))
        assert found is None or found == b"%d" % ((i * seed) % 50) * 100
    cache.close()


def test_many_short_runs_stay_within_its_size(tmp_path: Path) -> None:
    path = tmp_path / "replies.sqlite"
    for run in range(20):
        cache = ReplyCache(path, 1 << 20)
        for i in range(30):
            cache.put(f"{run} {i}".encode(), b"x" * 10_000)
        assert cache._bytes() < 1.5 * (1 << 20)
        cache.close()


def test_two_processes_share_one_file(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    path = tmp_path / "replies.sqlite"
    processes = [context.Process(target=_hammer, args=(path, seed)) for seed in (3, 7)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [p.exitcode for p in processes] == [0, 0]
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT count(*) FROM replies").fetchone() == (50,)
    connection.close()


def test_a_file_that_is_no_cache(tmp_path: Path) -> None:
    (tmp_path / "replies.sqlite").write_text("certainly no database, but long enough to be looked at" * 20)
    with pytest.raises(DataError, match="--no-cache"):
        ReplyCache(tmp_path / "replies.sqlite", 1 << 20)


def test_a_cache_that_breaks_is_done_without(cache: ReplyCache) -> None:
    asked = Counting()
    model = CachedModel(asked, cache)
    cache._connection.execute("DROP TABLE replies")
    with pytest.warns(UserWarning, match="not kept any more"):
        assert model.generate(["a"], Decoding(1))[0].text == "a!1None"
    assert model.generate(["a"], Decoding(1))[0].usage.cache_hits == 0
