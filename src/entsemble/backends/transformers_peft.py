"""Hugging Face's transformers in process, with PEFT adapters: for models that llama.cpp does not run, and for GPUs.

Prompts of one sentence begin alike, so the states of the last few prompts are kept, and a prompt goes on from the one
that it shares most with.
"""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from entsemble.backends.transformers_base import load_base
from entsemble.backends.trie import TokenTrie, Tries
from entsemble.errors import DataError, MissingExtraError, ModelUnavailableError, PromptTooLongError
from entsemble.prompting.parse import before_loop
from entsemble.types import Choice, Reply, Usage

_FLOOR = math.log(1e-30)


@dataclass(slots=True)
class _Kept:
    """The states of a prompt, and under which sum of adapters they were made."""

    adapter: str
    ids: list[int]
    states: Any


@dataclass(slots=True)
class _Shared:
    """What the views of one loaded model share: one of them works at a time."""

    model: Any
    turn: threading.Lock = field(default_factory=threading.Lock)
    kept: list[_Kept] = field(default_factory=list)
    active: str | None = None


class TransformersModel:
    """A causal language model of transformers.

    Args:
        name: how the user calls it.
        path: a folder as transformers writes it, or a GGUF file.
        fingerprint: identifies the weights.
        context: tokens that a prompt and its reply may fill.
        slots: prompts whose states are kept.
        adapters: name -> PEFT folder of plain LoRA, as `experts.adapter.save` writes it, since PEFT's sums get the
            scale of rsLoRA wrong; no effect until a view asks for them, see `adapted`.

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
    ) -> None:
        model, self._tokenize = load_base(path)
        longest = getattr(model.config, "max_position_embeddings", None) or context
        self.name, self._context, self._slots = name, min(context, longest), slots
        self.parameters: int | None = sum(p.numel() for p in model.parameters())
        import torch
        import transformers

        versions = f"{transformers.__version__}:{torch.__version__}"
        self.fingerprint = f"transformers:{fingerprint}:{context}:{model.device.type}:{versions}"
        self._shared = _Shared(_with_adapters(model, adapters or {}).eval())
        self._adapter = ""
        self._tries = Tries(lambda text: self._tokenize(text)[0])

    def adapted(self, name: str, fingerprint: str, weights: Mapping[str, float]) -> TransformersModel:
        """The same model with a weighted sum of its adapters applied; the weights are loaded once.

        Args:
            name: of the new model.
            fingerprint: of the adapters' contents and weights; the base's is put before it.
            weights: adapter -> weight; of none, the model as it is.
        """
        made = copy(self)
        made.name, made.fingerprint = name, f"{self.fingerprint}:{fingerprint}"
        applied = {adapter: weight for adapter, weight in weights.items() if weight}
        made._adapter = _module_name(fingerprint) if applied else ""
        model = self._shared.model
        with self._shared.turn:
            if applied and made._adapter not in model.peft_config:
                # stacked ranks: the only kind of PEFT's sums that is the sum of the changes (its issue 3004)
                parts = [_module_name(adapter) for adapter in applied]
                model.add_weighted_adapter(parts, list(applied.values()), made._adapter, combination_type="cat")
        return made

    def generate(
        self,
        prompts: Sequence[str],
        *,
        max_tokens: int,
        stop: Sequence[str] = (),
        constraint: str | None = None,  # noqa: ARG002 - no grammars here
        separator: str | None = None,
    ) -> list[Reply]:
        """See `LanguageModel.generate`. There are no grammars: `constraint` is left aside."""
        return [self._continue(prompt, max_tokens, stop, separator) for prompt in prompts]

    def choose(self, prompts: Sequence[str], options: Sequence[str]) -> list[Choice]:
        """See `LanguageModel.choose`. One evaluation for each branching of the options' token trie."""
        trie = self._tries.of(options)
        return [self._choose_one(prompt, trie) for prompt in prompts]

    def close(self) -> None:
        """Forget the model; its memory goes with the last view of it."""
        self._shared = _Shared(None)

    def _continue(self, prompt: str, max_tokens: int, stop: Sequence[str], separator: str | None) -> Reply:
        began = time.perf_counter()
        ids = self._ids(prompt, max_tokens)
        written: list[int] = []
        text, finished, cached = "", False, 0
        with self._working():
            while len(written) < max_tokens and not finished:
                logits, reused = self._logits(ids + written)
                cached = cached if written else reused
                written.append(int(logits.argmax()))
                text, finished = self._ended(ids, written, stop, separator)
        usage = Usage(
            prompt_tokens=len(ids),
            cached_tokens=cached,
            generated_tokens=len(written),
            seconds=time.perf_counter() - began,
            calls=1,
        )
        return Reply(text, finished, usage)

    def _ended(
        self, ids: Sequence[int], written: Sequence[int], stop: Sequence[str], separator: str | None
    ) -> tuple[str, bool]:
        """What the tokens say so far, and whether the reply ends there."""
        ends = written[-1] in self._tokenize.ends
        text = self._tokenize.text(ids, written[:-1] if ends else written)
        places = [text.index(s) for s in stop if s in text]
        if places:
            return text[: min(places)], True
        looped = None if separator is None else before_loop(text, separator)
        return (looped, True) if looped is not None else (text, ends)

    def _choose_one(self, prompt: str, trie: TokenTrie) -> Choice:
        began = time.perf_counter()
        ids = self._ids(prompt, 0)
        asked: list[tuple[int, int]] = []

        def siblings(path: tuple[int, ...], children: tuple[int, ...]) -> Mapping[int, float]:
            logits, cached = self._logits([*ids, *path])
            asked.append((len(ids) + len(path), cached))
            told = logits[list(children)].log_softmax(0).tolist()
            return dict(zip(children, told, strict=True))

        with self._working():
            scores = trie.log_probabilities(siblings, floor=_FLOOR)
        usage = Usage(
            prompt_tokens=sum(count for count, _ in asked),
            cached_tokens=sum(cached for _, cached in asked),
            generated_tokens=0,
            seconds=time.perf_counter() - began,
            calls=len(asked),
        )
        return Choice(scores, usage)

    def _ids(self, prompt: str, room: int) -> list[int]:
        ids, _ = self._tokenize(prompt)
        if len(ids) + room > self._context:
            raise PromptTooLongError(
                f"{self.name}: a prompt of {len(ids)} + {room} tokens does not fit the context of {self._context}; "
                f"use fewer shots, shorter sentences, or a larger `context`"
            )
        return ids

    @contextmanager
    def _working(self) -> Iterator[None]:
        """This view's adapters, and no other view until it is done."""
        import torch

        shared = self._shared
        with shared.turn, torch.inference_mode():
            if self._adapter and shared.active != self._adapter:
                shared.model.set_adapter(self._adapter)
                shared.active = self._adapter
            plain = not self._adapter and hasattr(shared.model, "disable_adapter")
            try:
                with shared.model.disable_adapter() if plain else nullcontext():
                    yield
            except RuntimeError as error:  # such as a GPU whose memory is full
                shared.kept.clear()
                raise ModelUnavailableError(f"{self.name}: {error}") from error

    def _logits(self, ids: list[int]) -> tuple[Any, int]:
        """Of the token that follows `ids` [vocabulary], and how many of them were known already."""
        import torch
        from transformers import DynamicCache
        from transformers.cache_utils import DynamicLayer

        shared = self._shared
        # what slides a window or folds the past into one state cannot be cut back: it may only be gone on with
        own = [
            kept
            for kept in shared.kept
            if kept.adapter == self._adapter
            and (all(type(layer) is DynamicLayer for layer in kept.states.layers) or _begins(ids, kept.ids))
        ]
        best = max(own, key=lambda kept: _common(kept.ids, ids), default=None)
        known = 0 if best is None else min(_common(best.ids, ids), len(ids) - 1)
        if best is None or known == 0:
            best = _Kept(self._adapter, [], DynamicCache(config=shared.model.config))
        else:
            shared.kept.remove(best)
            if known < len(best.ids):
                best.states.crop(known - len(best.ids))
        device = shared.model.device
        answer = shared.model(
            input_ids=torch.tensor([ids[known:]], device=device), past_key_values=best.states, use_cache=True
        )
        best.ids = list(ids)
        shared.kept = [*shared.kept, best][-self._slots :]
        return answer.logits[0, -1].float(), known


def _with_adapters(model: Any, adapters: Mapping[str, Path]) -> Any:  # noqa: ANN401 - untyped libraries
    if not adapters:
        return model
    try:
        from peft import PeftModel
    except ImportError as error:
        raise MissingExtraError("peft", "experts", "experts of a model of transformers") from error
    (first, folder), *others = adapters.items()
    try:
        made = PeftModel.from_pretrained(model, folder, adapter_name=_module_name(first))
        for name, folder in others:
            made.load_adapter(folder, adapter_name=_module_name(name))
    except (ValueError, RuntimeError) as error:
        raise DataError(f"it does not fit its base ({str(error).splitlines()[0]})", folder) from error
    return made


def _module_name(text: str) -> str:
    """A name that PyTorch takes for a module, which may hold no dot."""
    return "a" + hashlib.sha256(text.encode()).hexdigest()[:16]


def _begins(ids: Sequence[int], kept: Sequence[int]) -> bool:
    return len(kept) < len(ids) and list(ids[: len(kept)]) == list(kept)


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Tokens at the beginning that two prompts share."""
    for i, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return i
    return min(len(one), len(other))
