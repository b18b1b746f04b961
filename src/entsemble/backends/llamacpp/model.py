"""A GGUF model in this process through llama.cpp: the embedded default.

Two properties matter more here than anywhere else.

*Prefix reuse.* The prompts of one sentence share a prefix, and the engine evaluates it once. A prompt that continues
the prompt of a slot is evaluated in that slot; any other prompt starts a slot afresh.

*Reproducible answers.* Evaluating a prompt in other pieces changes its logits in the second digit (quantised
activations). So a slot's first prompt is always evaluated whole, never on top of what an unrelated earlier prompt left
behind, and by default the engine works on one request at a time. The answers for a sentence do not depend on its
neighbours.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any

from entsemble._lib.cancellation import check_cancelled, current_cancel_check
from entsemble.backends.control_tokens import ControlTokens
from entsemble.backends.gguf.file import read_header
from entsemble.backends.llamacpp.engine import Engine, LlamaCppOptions, engine_version, start_engine
from entsemble.backends.llamacpp.slots import SlotScheduler
from entsemble.backends.option_trie import Branching, TokenTrie, TokenTrieCache
from entsemble.errors import BadReplyError, PromptTooLongError
from entsemble.prompting.parse import truncate_at_repetition
from entsemble.types import AdapterSum, Choice, Decoding, Reply, Usage

_LOGIT_BIAS = 100.0
"""Added to the logits of the tokens that are scored, so that all others have a probability below exp(-100)."""

_MIN_PROBABILITY = 1e-30
"""Replaces a probability that the engine rounds to zero, so that its logarithm is finite."""

_TOO_LONG = "exceed_context_size_error"


class LlamaCppModel:
    """A GGUF model in this process.

    Args:
        name: how the user calls it.
        path: the `.gguf` file.
        fingerprint: identifies the weights.
        parameters: number of weights, if known.
        options: how it is run.

    Raises:
        MissingExtraError: xllamacpp is not installed.
        ModelUnavailableError: there is no such file, or llama.cpp cannot load it.
    """

    def __init__(
        self,
        name: str,
        path: Path,
        *,
        fingerprint: str,
        parameters: int | None = None,
        options: LlamaCppOptions | None = None,
    ) -> None:
        options = options or LlamaCppOptions()
        self.name, self.parameters = name, parameters
        settings = (options.context, options.parallel, options.threads, options.gpu_layers)
        self.fingerprint = ":".join(map(str, ("llamacpp", fingerprint, *settings, engine_version())))
        self._context = options.context
        self._engine = start_engine(path, options)
        self._control_tokens = ControlTokens(read_header(path).control_tokens())
        self._slots = SlotScheduler(options.slots)
        self._turns = threading.Semaphore(options.parallel)
        self._tries = TokenTrieCache(self.tokenize)
        self._adapters = tuple(options.adapters)
        self._adapter: str | None = None
        self._is_view = False

    def with_adapters(self, name: str, adapter_sum: AdapterSum) -> LlamaCppModel:
        """See `AdaptableModel.with_adapters`. The engine must have loaded the sum as one adapter."""
        adapter = adapter_sum.fingerprint if adapter_sum.weights else None
        if adapter not in {None, *self._adapters}:
            raise ValueError(f"the engine of {self.name} was not started with the adapter {adapter}")
        view = copy(self)
        view.name, view._is_view, view._adapter = name, True, adapter
        view.fingerprint = f"{self.fingerprint}:{adapter_sum.fingerprint}"
        return view

    def generate(self, prompts: Sequence[str], decoding: Decoding) -> list[Reply]:
        """See `LanguageModel.generate`."""
        body: dict[str, Any] = {
            "max_tokens": decoding.max_tokens,
            "temperature": 0.0,
            "stop": list(decoding.stop),
        }
        if decoding.grammar is not None:
            body["grammar"] = decoding.grammar
        replies = []
        for prompt in prompts:
            answer, usage = self._complete(prompt, (), body, decoding.list_separator)
            completion = answer["choices"][0]
            is_finished = completion["finish_reason"] == "stop"
            if not is_finished and usage.generated_tokens < decoding.max_tokens:
                token_counts = f"{usage.prompt_tokens} + {decoding.max_tokens}"
                self._raise_error({"type": _TOO_LONG, "n_prompt_tokens": token_counts})
            replies.append(Reply(completion["text"], is_finished, usage))
        return replies

    def choose(self, prompts: Sequence[str], options: Sequence[str]) -> list[Choice]:
        """See `LanguageModel.choose`. One evaluation for each branching of the options' token trie."""
        trie = self._tries.trie_for(options)
        return [self._score_options(prompt, trie) for prompt in prompts]

    def close(self) -> None:
        """Stop the engine and free its memory, if this is not a view of another model."""
        if not self._is_view:
            self._engine.close()

    def tokenize(self, text: str) -> list[int]:
        """Token ids of `text` without special tokens."""
        return self._engine.tokenize(text)

    def _prompt_content(self, prompt: str) -> list[Any]:
        """The prompt as the engine takes it: text, or token ids where the text spells a control token."""
        if self._control_tokens.occur_in(prompt):
            return [*self._engine.tokenize(prompt, add_begin_token=True)]
        return [prompt]

    def _score_options(self, prompt: str, trie: TokenTrie) -> Choice:
        usages: list[Usage] = []

        def score_branching(branching: Branching) -> Mapping[int, float]:
            body = {
                "max_tokens": 1,
                "temperature": 1.0,
                "seed": 0,
                "samplers": ["top_k", "temperature"],
                "top_k": len(branching.next_tokens),
                "logprobs": len(branching.next_tokens),
                "post_sampling_probs": True,
                "logit_bias": [[token, _LOGIT_BIAS] for token in branching.next_tokens],
            }
            answer, usage = self._complete(prompt, branching.path, body)
            usages.append(usage)
            top_tokens = answer["choices"][0]["logprobs"]["content"][0]["top_probs"]
            return {entry["id"]: math.log(max(entry["prob"], _MIN_PROBABILITY)) for entry in top_tokens}

        scores = trie.log_probabilities(score_branching, missing_log_probability=math.log(_MIN_PROBABILITY))
        return Choice(scores, sum(usages, Usage()))

    def _complete(
        self, prompt: str, continuation: Sequence[int], body: Mapping[str, Any], list_separator: str | None = None
    ) -> tuple[dict[str, Any], Usage]:
        """The engine's answer, and what it cost.

        Args:
            prompt: text; it decides which slot the request is evaluated in.
            continuation: token ids that follow it.
            body: other parameters of the request.
            list_separator: see `Decoding`.
        """
        parts = [*self._prompt_content(prompt), *continuation]
        content = parts[0] if parts == [prompt] else parts
        with self._turns, self._slots.assign(prompt, self._adapter) as (slot, is_continued):
            request = {**body, "prompt": content, "id_slot": slot, "cache_prompt": is_continued}
            if self._adapters:
                request["lora"] = [
                    {"id": index, "scale": float(adapter == self._adapter)}
                    for index, adapter in enumerate(self._adapters)
                ]
            if list_separator is None:
                answer = self._engine.complete(request)
            else:
                answer = _complete_list(self._engine, request, list_separator)
            if "error" in answer:
                self._raise_error(answer["error"])
        return answer, _usage(answer)

    def _raise_error(self, error: Mapping[str, Any]) -> None:
        if error.get("type") == _TOO_LONG:
            raise PromptTooLongError(
                f"{self.name}: a prompt of {error.get('n_prompt_tokens')} tokens does not fit the context of "
                f"{self._context}; use fewer shots, shorter sentences, or a larger `context`"
            )
        raise BadReplyError(f"{self.name}: the engine refused a request: {error.get('message', error)}")


def _complete_list(engine: Engine, body: Mapping[str, Any], separator: str) -> dict[str, Any]:
    """An answer that ends where its list begins to repeat itself, in the form of a complete one.

    Raises:
        WorkCancelledError: the answer is no longer wanted.
    """
    text, last_chunk, is_cancelled = "", {}, current_cancel_check()

    def receive(chunk: dict[str, Any]) -> bool:
        """Whether the engine should stop."""
        nonlocal text, last_chunk
        last_chunk = chunk
        text += "" if "error" in chunk else chunk["choices"][0]["text"]
        return is_cancelled() or truncate_at_repetition(text, separator) is not None

    engine.complete({**body, "stream": True, "timings_per_token": True}, receive)
    check_cancelled()
    if "error" in last_chunk:
        return last_chunk
    truncated = truncate_at_repetition(text, separator)
    timings = last_chunk["timings"]
    token_counts = {
        "prompt_tokens": timings["cache_n"] + timings["prompt_n"],
        "completion_tokens": timings["predicted_n"],
        "prompt_tokens_details": {"cached_tokens": timings["cache_n"]},
    }
    finish_reason = last_chunk["choices"][0]["finish_reason"] if truncated is None else "stop"
    completion = {"text": text if truncated is None else truncated, "finish_reason": finish_reason}
    return {"choices": [completion], "usage": token_counts, "timings": timings}


def _usage(answer: Mapping[str, Any]) -> Usage:
    token_counts, timings = answer["usage"], answer["timings"]
    return Usage(
        prompt_tokens=token_counts["prompt_tokens"],
        cached_tokens=token_counts["prompt_tokens_details"]["cached_tokens"],
        generated_tokens=token_counts["completion_tokens"],
        seconds=(timings["prompt_ms"] + timings["predicted_ms"]) / 1000,
        calls=1,
    )
