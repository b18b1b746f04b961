"""A model behind a cache: what is evaluated, what is not, and what is replayed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from entsemble.execution.cached_model import CachedModel, ReplayBuffer
from entsemble.execution.reply_cache import ReplyCache
from entsemble.protocols import LanguageModel
from entsemble.types import Choice, Decoding, Reply, Usage


class RecordingModel:
    """A model that records the prompts that it evaluates, and whose replies name the decoding."""

    parameters = None

    def __init__(self, name: str = "m", fingerprint: str = "m-1") -> None:
        self.name, self.fingerprint = name, fingerprint
        self.prompts: list[str] = []

    def generate(self, prompts: Sequence[str], decoding: Decoding) -> list[Reply]:
        self.prompts += prompts
        return [
            Reply(f"{prompt}!{decoding.max_tokens}", finished=True, usage=Usage(len(prompt), 1, 2, 0.5, 1))
            for prompt in prompts
        ]

    def choose(self, prompts: Sequence[str], options: Sequence[str]) -> list[Choice]:
        self.prompts += prompts
        return [Choice((math.log(0.1), -math.inf), Usage(len(p), calls=1), exact=False) for p in prompts]

    def close(self) -> None:
        pass


@pytest.fixture
def cache(tmp_path: Path) -> ReplyCache:
    return ReplyCache(tmp_path / "replies.sqlite", 1 << 30)


class TestCachedModel:
    def test_the_same_request_is_evaluated_once(self, cache: ReplyCache) -> None:
        recording = RecordingModel()
        model: LanguageModel = CachedModel(recording, cache)
        [first] = model.generate(["a"], Decoding(5))
        [second] = model.generate(["a"], Decoding(5))
        assert recording.prompts == ["a"]
        assert (second.text, second.finished) == (first.text, first.finished)
        assert second.usage == Usage(1, cached_tokens=1, calls=1, cache_hits=1)
        [evaluated] = model.choose(["b"], ["x", "y"])
        [cached] = model.choose(["b"], ["x", "y"])
        assert (cached.log_probabilities, cached.exact) == (evaluated.log_probabilities, False)
        assert recording.prompts == ["a", "b"]

    def test_all_that_affects_an_answer_is_in_its_key(self, cache: ReplyCache) -> None:
        model = CachedModel(RecordingModel(), cache)
        replies = [
            model.generate(["a"], Decoding(5)),
            model.generate(["a"], Decoding(6)),
            model.generate(["a"], Decoding(5, stop=("\n",))),
            model.generate(["a"], Decoding(5, grammar="root ::= x")),
            model.generate(["a"], Decoding(5, list_separator="|")),
            CachedModel(RecordingModel(fingerprint="m-2"), cache).generate(["a"], Decoding(5)),
        ]
        assert [reply.usage.cache_hits for [reply] in replies] == [0] * 6
        model.choose(["a"], ["x", "y"])
        assert model.choose(["a"], ["y", "x"])[0].usage.cache_hits == 0

    def test_a_batch_is_evaluated_as_a_whole_each_prompt_once(self, cache: ReplyCache) -> None:
        recording = RecordingModel()
        model = CachedModel(recording, cache)
        model.generate(["b"], Decoding(1))
        replies = model.generate(["a", "b", "a", "c"], Decoding(1))
        assert [reply.text[0] for reply in replies] == ["a", "b", "a", "c"]
        assert recording.prompts[1:] == ["a", "b", "c"]

    def test_a_miss_replays_what_the_cache_answered_of_the_same_sentence(self, cache: ReplyCache) -> None:
        """The engine must evaluate the prompts of a sentence in the order of an uninterrupted run."""
        CachedModel(RecordingModel(), cache).generate(["s"], Decoding(1))
        CachedModel(RecordingModel(), cache).choose(["s one"], ["x", "y"])
        recording = RecordingModel()
        model = CachedModel(recording, cache)
        model.generate(["s"], Decoding(1))
        model.choose(["s one"], ["x", "y"])
        assert recording.prompts == []
        model.choose(["s one two"], ["x", "y"])
        assert recording.prompts == ["s", "s one", "s one two"]
        model.choose(["s one two three"], ["x", "y"])
        assert recording.prompts[3:] == ["s one two three"]
        model.generate(["other"], Decoding(1))
        assert recording.prompts[4:] == ["other"]

    def test_each_thread_replays_its_own_sentence(self, cache: ReplyCache) -> None:
        CachedModel(RecordingModel(), cache).generate(["s", "t"], Decoding(1))
        recording = RecordingModel()
        model = CachedModel(recording, cache)
        with ThreadPoolExecutor(1) as other_thread:
            other_thread.submit(model.generate, ["t"], Decoding(1)).result()
            model.generate(["s"], Decoding(1))
            other_thread.submit(model.choose, ["t one"], ["x", "y"]).result()
            assert recording.prompts == ["t", "t one"]
            model.choose(["s one"], ["x", "y"])
        assert recording.prompts == ["t", "t one", "s", "s one"]

    def test_without_a_working_cache_everything_is_evaluated(self, cache: ReplyCache) -> None:
        model = CachedModel(RecordingModel(), cache)
        cache.close()
        with pytest.warns(UserWarning, match="no longer cached"):
            assert model.generate(["a"], Decoding(1))[0].text == "a!1"
        assert model.generate(["a"], Decoding(1))[0].usage.cache_hits == 0


class TestReplayBuffer:
    @pytest.fixture
    def calls(self) -> list[str]:
        return []

    def test_a_miss_repeats_the_hits_of_the_sentence_once(self, calls: list[str]) -> None:
        buffer = ReplayBuffer()
        for prompt in ("s", "s one"):
            buffer.begin_call([prompt])
            buffer.on_hit(partial(calls.append, prompt))
        buffer.begin_call(["s two"])
        buffer.on_miss()
        assert calls == ["s", "s one"]
        buffer.on_miss()
        assert calls == ["s", "s one"]

    @pytest.mark.parametrize("prompts", [["t"], ["s"], ["s one", "t"], []])
    def test_prompts_that_do_not_continue_the_sentence_empty_it(self, calls: list[str], prompts: list[str]) -> None:
        buffer = ReplayBuffer()
        buffer.begin_call(["s"])
        buffer.on_hit(lambda: calls.append("s"))
        buffer.begin_call(prompts)
        buffer.on_miss()
        assert calls == ([] if prompts else ["s"])

    def test_calls_stay_buffered_if_one_fails(self, calls: list[str]) -> None:
        def fail_once() -> None:
            calls.append("try")
            if len(calls) == 1:
                raise RuntimeError

        buffer = ReplayBuffer()
        buffer.begin_call(["s"])
        buffer.on_hit(fail_once)
        with pytest.raises(RuntimeError):
            buffer.on_miss()
        buffer.on_miss()
        assert calls == ["try", "try"]
