"""A model behind a reply cache: the same request is never evaluated twice, in this run or another."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from entsemble.execution.reply_cache import ReplyCache
from entsemble.protocols import LanguageModel
from entsemble.types import Choice, Decoding, Reply, Usage

Answer = TypeVar("Answer", Reply, Choice)


class ReplayBuffer(threading.local):
    """The calls of a sentence that the cache answered, so that the engine has not seen them; one list for each thread.

    The first prompt of a sentence is the beginning of all its others, and a prompt that does not continue it begins
    another sentence::

        begin_call(["Text: Ann"])           a hit: buffered
        begin_call(["Text: Ann | Ann ="])   continues it; a hit: buffered too
        begin_call(["Text: Ann | Bob ="])   continues it; a miss: both buffered calls are replayed
        begin_call(["Text: Oslo"])          another sentence: the buffer is emptied
    """

    def __init__(self) -> None:
        self._first_prompt: str | None = None
        self._calls: list[Callable[[], object]] = []

    def begin_call(self, prompts: Sequence[str]) -> None:
        """Note the prompts of the next call; empty the buffer if they do not continue the current sentence."""
        first_prompt = self._first_prompt
        if first_prompt is None or not all(
            prompt != first_prompt and prompt.startswith(first_prompt) for prompt in prompts
        ):
            self._first_prompt = prompts[0] if prompts else None
            self._calls.clear()

    def on_hit(self, call: Callable[[], object]) -> None:
        """Buffer a call that the cache answered."""
        self._calls.append(call)

    def on_miss(self) -> None:
        """Repeat the buffered calls in their order, then forget them."""
        for call in self._calls:
            call()
        self._calls.clear()


class CachedModel:
    """A `LanguageModel` that passes on only what the cache does not hold.

    The answers of an engine that reuses its KV cache depend, in the second digit, on what it evaluated before. So if a
    request is not cached but earlier ones of the same sentence were, these are replayed first: a run that was killed
    within a sentence resumes with the same bytes as an uninterrupted one.

    A request's key consists of all that affects its answer: the model's fingerprint (weights, adapter, engine,
    threads), the prompt, and the decoding or the options.

    Args:
        model: evaluates what is not cached.
        cache: of replies; whoever opened it closes it.
    """

    def __init__(self, model: LanguageModel, cache: ReplyCache) -> None:
        self._model, self._cache = model, cache
        self._replay_buffer = ReplayBuffer()

    @property
    def name(self) -> str:
        """The model's."""
        return self._model.name

    @property
    def fingerprint(self) -> str:
        """The model's."""
        return self._model.fingerprint

    @property
    def parameters(self) -> int | None:
        """The model's."""
        return self._model.parameters

    def generate(self, prompts: Sequence[str], decoding: Decoding) -> list[Reply]:
        """See `LanguageModel.generate`."""
        request = ["generate", decoding.max_tokens, list(decoding.stop), decoding.grammar, decoding.list_separator]

        def evaluate(distinct: Sequence[str]) -> list[Reply]:
            return self._model.generate(distinct, decoding)

        return self._answer(prompts, request, evaluate, _reply_to_json, _reply_from_json)

    def choose(self, prompts: Sequence[str], options: Sequence[str]) -> list[Choice]:
        """See `LanguageModel.choose`."""

        def evaluate(distinct: Sequence[str]) -> list[Choice]:
            return self._model.choose(distinct, options)

        return self._answer(prompts, ["choose", list(options)], evaluate, _choice_to_json, _choice_from_json)

    def close(self) -> None:
        """Close the model, but not the cache."""
        self._model.close()

    def _answer(
        self,
        prompts: Sequence[str],
        request: list[Any],
        evaluate: Callable[[Sequence[str]], list[Answer]],
        to_json: Callable[[Answer], Any],
        from_json: Callable[[Any], Answer],
    ) -> list[Answer]:
        """Answers from the cache if it holds all of them; otherwise the model evaluates all, each prompt once."""
        request_keys = {prompt: self._request_key(prompt, request) for prompt in prompts}
        distinct = list(request_keys)
        cached_values = [self._cache.get(request_key) for request_key in request_keys.values()]
        hits = [from_json(json.loads(value)) for value in cached_values if value is not None]
        self._replay_buffer.begin_call(prompts)
        if len(hits) == len(distinct):
            self._replay_buffer.on_hit(lambda: evaluate(distinct))
            answers = dict(zip(distinct, hits, strict=True))
        else:
            self._replay_buffer.on_miss()
            answers = dict(zip(distinct, evaluate(distinct), strict=True))
            for prompt, answer in answers.items():
                self._cache.put(request_keys[prompt], json.dumps(to_json(answer)).encode())
        return [answers[prompt] for prompt in prompts]

    def _request_key(self, prompt: str, request: list[Any]) -> bytes:
        return hashlib.sha256(json.dumps([self._model.fingerprint, prompt, *request]).encode()).digest()


def _cached_usage(prompt_tokens: int) -> Usage:
    """The cost of a cached answer: tokens that were submitted but not evaluated."""
    return Usage(prompt_tokens, cached_tokens=prompt_tokens, calls=1, cache_hits=1)


def _reply_to_json(reply: Reply) -> list[Any]:
    return [reply.text, reply.finished, reply.usage.prompt_tokens]


def _reply_from_json(values: list[Any]) -> Reply:
    text, finished, prompt_tokens = values
    return Reply(text, finished, _cached_usage(prompt_tokens))


def _choice_to_json(choice: Choice) -> list[Any]:
    return [choice.log_probabilities, choice.exact, choice.usage.prompt_tokens]


def _choice_from_json(values: list[Any]) -> Choice:
    log_probabilities, exact, prompt_tokens = values
    return Choice(tuple(log_probabilities), _cached_usage(prompt_tokens), exact)
