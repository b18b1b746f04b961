"""transformers with PEFT adapters in this process.

It is for models that llama.cpp does not run, and for large batches: requests of several threads are read in one batch,
see `batcher`, and a cached prefix is not read again, see `kv_cache`. In float32 an answer depends on the other requests
in its batch only from the sixth digit on, in bfloat16 from the third.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path

from entsemble.backends.option_trie import TokenTrie, TokenTrieCache
from entsemble.backends.transformers.adapters import MERGED_BYTES, AdaptedModel
from entsemble.backends.transformers.batcher import AdapterWeights, Batcher, Request, StepInput, StepOutput
from entsemble.backends.transformers.loader import load_model
from entsemble.backends.transformers.runner import StepRunner
from entsemble.backends.transformers.scheduler import StepLimits
from entsemble.errors import BadReplyError, ModelUnavailableError, PromptTooLongError
from entsemble.prompting.parse import truncate_at_repetition
from entsemble.types import AdapterSum, Choice, Decoding, Precision, Reply, Usage

_MIN_LOG_PROBABILITY = math.log(1e-30)


@dataclass(frozen=True, slots=True)
class TransformersOptions:
    """How transformers runs a model.

    Attributes:
        context: tokens that a prompt and its reply may fill.
        slots: prompts whose keys and values are kept.
        adapters: name -> PEFT folder of plain LoRA, loaded beside the model; see `AdaptedModel`. Without effect until
            `with_adapters` applies a sum of them.
        precision: of the model and its adapters.
        unpacked_folder: where the weights of a GGUF file are kept; see `load_model`.
        merged_bytes: memory for weights with adapters added.
        limits: how much one step and the cache may hold.
    """

    context: int = 4096
    slots: int = 2
    adapters: Mapping[str, Path] = field(default_factory=dict)
    precision: Precision = "float32"
    unpacked_folder: Path | None = None
    merged_bytes: int = MERGED_BYTES
    limits: StepLimits = field(default_factory=StepLimits)


class TransformersModel:
    """A causal language model of transformers.

    Args:
        name: how the user calls it.
        path: a folder in the format of transformers, or a GGUF file.
        fingerprint: identifies the weights.
        options: how it is run.

    Raises:
        MissingExtraError: torch, transformers or PEFT is not installed.
        ModelUnavailableError: transformers cannot load it.
        DataError: an adapter does not fit the model.
    """

    def __init__(self, name: str, path: Path, *, fingerprint: str, options: TransformersOptions | None = None) -> None:
        options = options or TransformersOptions()
        model, self._tokenizer = load_model(path, options.precision, options.unpacked_folder)
        max_positions = getattr(model.config, "max_position_embeddings", None) or options.context
        self.name, self._context = name, min(options.context, max_positions)
        self.parameters: int | None = sum(parameter.numel() for parameter in model.parameters())
        import torch
        import transformers

        settings = f"{options.context}:{model.device.type}:{options.precision}"
        versions = f"{transformers.__version__}:{torch.__version__}"
        self.fingerprint = f"transformers:{fingerprint}:{settings}:{versions}"
        adapted = AdaptedModel(model, options.adapters, options.merged_bytes)
        self._runner = runner = StepRunner(adapted, options.slots, options.limits)
        self._batcher = Batcher(lambda inputs: _run_step(runner, name, inputs))  # outlives this view
        self._adapter_weights: AdapterWeights = ()
        self._tries = TokenTrieCache(self._tokenizer.encode)

    def with_adapters(self, name: str, adapter_sum: AdapterSum) -> TransformersModel:
        """See `AdaptableModel.with_adapters`. Any sum of the loaded adapters can be applied."""
        view = copy(self)
        view.name, view.fingerprint = name, f"{self.fingerprint}:{adapter_sum.fingerprint}"
        view._adapter_weights = tuple((adapter, weight) for adapter, weight in adapter_sum.weights.items() if weight)
        return view

    def generate(self, prompts: Sequence[str], decoding: Decoding) -> list[Reply]:
        """See `LanguageModel.generate`."""
        return self._batcher.run([self._generate_reply(prompt, decoding) for prompt in prompts])

    def choose(self, prompts: Sequence[str], options: Sequence[str]) -> list[Choice]:
        """See `LanguageModel.choose`. One evaluation for each branching of the options' token trie."""
        trie = self._tries.trie_for(options)
        return self._batcher.run([self._score_options(prompt, trie) for prompt in prompts])

    def close(self) -> None:
        """Forget the model; its memory is freed with the last view of it."""
        self._batcher = Batcher(_raise_closed)
        self.__dict__.pop("_runner", None)

    def _generate_reply(self, prompt: str, decoding: Decoding) -> Request[Reply]:
        prompt_ids = self._prompt_ids(prompt, decoding.max_tokens)
        try:
            constraint = self._tokenizer.constraint(decoding.grammar) if decoding.grammar else None
        except ValueError as error:
            raise BadReplyError(f"{self.name}: the engine refused a request: {error}") from error
        reply_ids: list[int] = []
        usage = Usage(prompt_tokens=len(prompt_ids), calls=1)
        text, is_finished = "", False
        while len(reply_ids) < decoding.max_tokens and not is_finished:
            output = yield StepInput(self._adapter_weights, prompt_ids + reply_ids)
            cached_tokens = 0 if reply_ids else output.cached_tokens
            usage += Usage(cached_tokens=cached_tokens, generated_tokens=1, seconds=output.seconds)
            reply_ids.append(constraint.next_token(output.logits) if constraint else int(output.logits.argmax()))
            text, is_finished = self._reply_text(prompt_ids, reply_ids, decoding)
            is_finished = is_finished or (constraint is not None and constraint.is_complete)
        return Reply(text, is_finished, usage)

    def _reply_text(self, prompt_ids: Sequence[int], reply_ids: Sequence[int], decoding: Decoding) -> tuple[str, bool]:
        """The reply's text so far, and whether it ends there."""
        is_end = reply_ids[-1] in self._tokenizer.end_token_ids
        text = self._tokenizer.decode(prompt_ids, reply_ids[:-1] if is_end else reply_ids)
        stop_offsets = [text.index(stop) for stop in decoding.stop if stop in text]
        if stop_offsets:
            return text[: min(stop_offsets)], True
        if decoding.list_separator is not None:
            truncated = truncate_at_repetition(text, decoding.list_separator)
            if truncated is not None:
                return truncated, True
        return text, is_end

    def _score_options(self, prompt: str, trie: TokenTrie) -> Request[Choice]:
        prompt_ids = self._prompt_ids(prompt, trie.depth)
        usage = Usage()
        branchings = trie.branchings(missing_log_probability=_MIN_LOG_PROBABILITY)
        log_probabilities: dict[int, float] | None = None
        while True:
            try:
                branching = next(branchings) if log_probabilities is None else branchings.send(log_probabilities)
            except StopIteration as stop:
                return Choice(stop.value, usage)
            token_ids = [*prompt_ids, *branching.path]
            output = yield StepInput(self._adapter_weights, token_ids)
            next_tokens = list(branching.next_tokens)
            scores = output.logits[next_tokens].log_softmax(0).tolist()
            log_probabilities = dict(zip(next_tokens, scores, strict=True))
            usage += Usage(len(token_ids), output.cached_tokens, 0, output.seconds, 1)

    def _prompt_ids(self, prompt: str, max_added_tokens: int) -> list[int]:
        token_ids, _ = self._tokenizer(prompt)
        if len(token_ids) + max_added_tokens > self._context:
            raise PromptTooLongError(
                f"{self.name}: a prompt of {len(token_ids)} + {max_added_tokens} tokens does not fit the context of "
                f"{self._context}; use fewer shots, shorter sentences, or a larger `context`"
            )
        return token_ids


def _raise_closed(_: Sequence[StepInput]) -> Sequence[tuple[int, StepOutput]]:
    raise ModelUnavailableError("the model is closed")


def _run_step(runner: StepRunner, name: str, inputs: Sequence[StepInput]) -> Sequence[tuple[int, StepOutput]]:
    try:
        return runner.step(inputs)
    except (RuntimeError, ValueError, IndexError, TypeError) as error:  # a full GPU, a model that takes no such batch
        raise ModelUnavailableError(f"{name}: {error}") from error
