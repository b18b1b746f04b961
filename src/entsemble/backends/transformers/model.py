"""Hugging Face's transformers in process, with PEFT adapters: for models that llama.cpp does not run, and for batches.

What several threads ask at once is read in one batch, see `batch`, and what was read is not read again, see `states`.
In full precision, what a sentence is answered depends on its neighbours from the sixth digit on alone; in bfloat16
from the third.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path

from entsemble.backends.option_trie import TokenTrie, Tries
from entsemble.backends.transformers.adapters import AdaptedModel
from entsemble.backends.transformers.batcher import Batch, Request, Sum, Told, Wanted
from entsemble.backends.transformers.kv_cache import Reader
from entsemble.backends.transformers.loader import load_model
from entsemble.errors import BadReplyError, ModelUnavailableError, PromptTooLongError
from entsemble.prompting.parse import truncate_at_repetition
from entsemble.types import AdapterSum, Choice, Decoding, Precision, Reply, Usage

_FLOOR = math.log(1e-30)


class TransformersModel:
    """A causal language model of transformers.

    Args:
        name: how the user calls it.
        path: a folder as transformers writes it, or a GGUF file.
        fingerprint: identifies the weights.
        context: tokens that a prompt and its reply may fill.
        slots: prompts whose states are unpacked_folder.
        adapters: name -> PEFT folder of plain LoRA, see `AdaptedModel`; no effect until `with_adapters`
            applies them.
        precision: what the model and its adapters are computed in.
        unpacked_folder: folder for what is made of a GGUF file, see `load_model`.

    Raises:
        MissingExtraError: torch, transformers or PEFT is not installed.
        ModelUnavailableError: transformers cannot load it.
    """

    def __init__(
        self,
        name: str,
        path: Path,
        *,
        fingerprint: str,
        context: int = 4096,
        slots: int = 2,
        adapters: Mapping[str, Path] | None = None,
        precision: Precision = "float32",
        unpacked_folder: Path | None = None,
    ) -> None:
        model, self._tokenize = load_model(path, precision, unpacked_folder)
        longest = getattr(model.config, "max_position_embeddings", None) or context
        self.name, self._context = name, min(context, longest)
        self.parameters: int | None = sum(p.numel() for p in model.parameters())
        import torch
        import transformers

        versions = f"{transformers.__version__}:{torch.__version__}"
        self.fingerprint = f"transformers:{fingerprint}:{context}:{model.device.type}:{precision}:{versions}"
        self._reader = reader = Reader(AdaptedModel(model, adapters or {}), slots)
        self._batch = Batch(lambda wanted: _step(reader, name, wanted))  # outlives this view
        self._adapters: Sum = ()
        self._tries = Tries(self._tokenize.bare)

    def with_adapters(self, name: str, adapter_sum: AdapterSum) -> TransformersModel:
        """See `AdaptableModel.with_adapters`. Any sum of the loaded adapters can be applied."""
        view = copy(self)
        view.name, view.fingerprint = name, f"{self.fingerprint}:{adapter_sum.fingerprint}"
        view._adapters = tuple((adapter, weight) for adapter, weight in adapter_sum.weights.items() if weight)
        return view

    def generate(self, prompts: Sequence[str], decoding: Decoding) -> list[Reply]:
        """See `LanguageModel.generate`."""
        return self._batch.answer([self._reply(prompt, decoding) for prompt in prompts])

    def choose(self, prompts: Sequence[str], options: Sequence[str]) -> list[Choice]:
        """See `LanguageModel.choose`. One evaluation for each branching of the options' token trie."""
        trie = self._tries.of(options)
        return self._batch.answer([self._choice(prompt, trie) for prompt in prompts])

    def close(self) -> None:
        """Forget the model; its memory goes with the last view of it."""
        self._batch = Batch(_closed)
        self.__dict__.pop("_reader", None)

    def _reply(self, prompt: str, decoding: Decoding) -> Request[Reply]:
        ids = self._ids(prompt, decoding.max_tokens)
        try:
            allowed = self._tokenize.constraint(decoding.grammar) if decoding.grammar else None
        except ValueError as error:
            raise BadReplyError(f"{self.name}: the engine refused a request: {error}") from error
        written: list[int] = []
        usage = Usage(prompt_tokens=len(ids), calls=1)
        text, finished = "", False
        while len(written) < decoding.max_tokens and not finished:
            told = yield Wanted(self._adapters, ids + written)
            cached = 0 if written else told.cached
            usage += Usage(cached_tokens=cached, generated_tokens=1, seconds=told.seconds)
            written.append(allowed.best(told.logits) if allowed else int(told.logits.argmax()))
            text, finished = self._ended(ids, written, decoding)
            finished = finished or (allowed is not None and allowed.ended)
        return Reply(text, finished, usage)

    def _ended(self, ids: Sequence[int], written: Sequence[int], decoding: Decoding) -> tuple[str, bool]:
        """What the tokens say so far, and whether the reply ends there."""
        ends = written[-1] in self._tokenize.ends
        text = self._tokenize.text(ids, written[:-1] if ends else written)
        places = [text.index(s) for s in decoding.stop if s in text]
        if places:
            return text[: min(places)], True
        looped = None if decoding.list_separator is None else truncate_at_repetition(text, decoding.list_separator)
        return (looped, True) if looped is not None else (text, ends)

    def _choice(self, prompt: str, trie: TokenTrie) -> Request[Choice]:
        ids = self._ids(prompt, trie.depth)
        usage = Usage()
        branchings = trie.branchings(floor=_FLOOR)
        told: dict[int, float] | None = None
        while True:
            try:
                path, children = next(branchings) if told is None else branchings.send(told)
            except StopIteration as end:
                return Choice(end.value, usage)
            wanted = [*ids, *path]
            step = yield Wanted(self._adapters, wanted)
            told = dict(zip(children, step.logits[list(children)].log_softmax(0).tolist(), strict=True))
            usage += Usage(len(wanted), step.cached, 0, step.seconds, 1)

    def _ids(self, prompt: str, room: int) -> list[int]:
        ids, _ = self._tokenize(prompt)
        if len(ids) + room > self._context:
            raise PromptTooLongError(
                f"{self.name}: a prompt of {len(ids)} + {room} tokens does not fit the context of {self._context}; "
                f"use fewer shots, shorter sentences, or a larger `context`"
            )
        return ids


def _closed(_: Sequence[Wanted]) -> Sequence[tuple[int, Told]]:
    raise ModelUnavailableError("the model is closed")


def _step(reader: Reader, name: str, wanted: Sequence[Wanted]) -> Sequence[tuple[int, Told]]:
    try:
        return reader.step(wanted)
    except (RuntimeError, ValueError, IndexError, TypeError) as error:  # a full GPU, a model that takes no such batch
        raise ModelUnavailableError(f"{name}: {error}") from error
