"""What a model of transformers has read: kept, gone on from, and read on for several sequences at once."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import accumulate, takewhile
from typing import Any

from entsemble.backends.batch import Told, Wanted

_MOST = 4096
"""Tokens that are read in one step, if no single sequence has more."""

_HELD = 1 << 15
"""Tokens whose states are in a batch, or kept, if no single sequence has more: 1.5 GB of SmolLM2 135M in float32."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """What was read, under which sum of adapters, and the model's states behind it."""

    adapter: str
    ids: tuple[int, ...]
    states: Any


@dataclass(frozen=True, slots=True)
class _Row:
    """A sequence to be read on: its place among those that wait, what is known of it, and how much."""

    place: int
    ids: tuple[int, ...]
    kept: _Kept | None
    known: int

    @property
    def new(self) -> int:
        return len(self.ids) - self.known


class Reader:
    """Reads tokens. One thread at a time.

    Args:
        model: of transformers, or of PEFT.
        slots: sequences whose states are kept.
    """

    def __init__(self, model: Any, slots: int) -> None:  # noqa: ANN401 - untyped library
        self.model = model
        self._slots = slots
        self._kept: list[_Kept] = []
        self._active = ""

    def step(self, wanted: Sequence[Wanted]) -> list[tuple[int, Told]]:
        """Read on what lacks most, and what lacks about as much.

        So that what has far to go catches up first, and the short steps, in which replies are written, serve as many as
        can be. Sequences under other adapters than the first one's wait.

        Returns:
            The places of those that were served, and what they are told.
        """
        import torch

        adapter = wanted[0].adapter
        rows = sorted((self._row(i, w) for i, w in enumerate(wanted) if w.adapter == adapter), key=lambda row: -row.new)
        together = _fitting(takewhile(lambda row: 2 * row.new > rows[0].new, rows))
        began = time.perf_counter()
        with torch.inference_mode(), self._under(adapter):
            try:
                read = self._read(adapter, together)
            except BaseException:
                self._kept.clear()  # such as a GPU whose memory is full
                raise
        share = (time.perf_counter() - began) / len(together)
        return [(row.place, Told(logits, row.known, share)) for row, logits in read]

    def _row(self, place: int, wanted: Wanted) -> _Row:
        ids = tuple(wanted.ids)
        own = [kept for kept in self._kept if kept.adapter == wanted.adapter]
        whole = [k for k in own if len(k.ids) < len(ids) and ids[: len(k.ids)] == k.ids]
        if whole:
            best = max(whole, key=lambda k: len(k.ids))
            return _Row(place, ids, best, len(best.ids))
        begun = [(min(_common(k.ids, ids), len(ids) - 1), k) for k in own if _shareable(k.states)]
        known, kept = max(begun, key=lambda b: b[0], default=(0, None))
        return _Row(place, ids, kept, known) if known else _Row(place, ids, None, 0)

    def _under(self, adapter: str) -> Any:  # noqa: ANN401 - untyped library
        if not adapter:
            return self.model.disable_adapter() if hasattr(self.model, "disable_adapter") else nullcontext()
        if self._active != adapter:
            self._active = ""  # until it is
            self.model.set_adapter(adapter)
            self._active = adapter
        return nullcontext()

    def _read(self, adapter: str, rows: Sequence[_Row]) -> list[tuple[_Row, Any]]:
        """Each row with the logits of its next token [vocabulary]; the rows' states are kept."""
        from transformers import DynamicCache

        fresh = DynamicCache(config=self.model.config)
        if _shareable(fresh):
            logits, states = self._padded(rows, fresh)
        else:  # what slides a window can neither be padded, nor cut back, nor gone on from twice
            firsts = {id(row.kept): row.place for row in reversed(rows)}
            rows = [row if firsts[id(row.kept)] == row.place else replace(row, kept=None, known=0) for row in rows]
            logits, states = map(list, zip(*map(self._alone, rows), strict=True))
        gone_on = {id(row.kept) for row in rows if row.kept and row.known == len(row.kept.ids)}
        self._kept = [kept for kept in self._kept if id(kept) not in gone_on]
        if _resumable(
            fresh
        ):  # what folds the past into one state is read anew: not every model goes on from it rightly
            self._kept += [_Kept(adapter, row.ids, own) for row, own in zip(rows, states, strict=True)]
        self._kept = _newest(self._kept[-self._slots :])
        return list(zip(rows, logits, strict=True))

    def _alone(self, row: _Row) -> tuple[Any, Any]:
        import torch
        from transformers import DynamicCache

        states = row.kept.states if row.kept else DynamicCache(config=self.model.config)
        ids = torch.tensor([row.ids[row.known :]], device=self.model.device)
        logits = self.model(input_ids=ids, past_key_values=states, use_cache=True, logits_to_keep=1).logits
        return logits[0, -1].float().cpu(), states

    def _padded(self, rows: Sequence[_Row], cache: Any) -> tuple[list[Any], list[Any]]:  # noqa: ANN401
        """All rows in one batch: what is known and what is new of each is padded at its left."""
        known, new = max(row.known for row in rows), max(row.new for row in rows)
        _fill(cache, rows, known)
        ids, positions, hidden = _inputs(rows, known, new, self.model)
        answer = self.model(
            input_ids=ids,
            attention_mask=hidden,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        states = [self._part(cache, i, row, known, new) for i, row in enumerate(rows)]
        return list(answer.logits[:, -1].float().cpu()), states

    def _part(self, cache: Any, i: int, row: _Row, known: int, new: int) -> Any:  # noqa: ANN401
        """A copy of the states of one row of a batch, without its padding."""
        import torch
        from transformers import DynamicCache

        own, gap = DynamicCache(config=self.model.config), new - row.new
        for layer, whole in zip(own.layers, cache.layers, strict=True):
            sides = [side[i : i + 1, :, known - row.known :] for side in (whole.keys, whole.values)]
            if gap:
                sides = [torch.cat([s[:, :, : row.known], s[:, :, row.known + gap :]], dim=2) for s in sides]
            layer.update(*sides)
        return own


def _fitting(rows: Iterable[_Row]) -> list[_Row]:
    """The first rows, as many as a batch may hold with their padding."""
    taken: list[_Row] = []
    known = new = 0
    for row in rows:
        known, new = max(known, row.known), max(new, row.new)
        many = len(taken) + 1
        if taken and (many * new > _MOST or many * (known + new) > _HELD):
            break
        taken.append(row)
    return taken


def _newest(kept: Sequence[_Kept]) -> list[_Kept]:
    """The last that was read, and as many before it as may be held together."""
    held = accumulate(len(k.ids) for k in reversed(kept))
    many = sum(tokens <= _HELD for tokens in held)
    return list(kept[-max(1, many) :])


def _fill(cache: Any, rows: Sequence[_Row], known: int) -> None:  # noqa: ANN401 - untyped library
    """What is known of each row, `known` tokens with the padding at its left."""
    kept = {i: row.kept.states.layers for i, row in enumerate(rows) if row.kept}
    if not kept:
        return
    for n, layer in enumerate(cache.layers):
        any_row = next(iter(kept.values()))[n]
        heads = any_row.keys.shape[1]
        sides = [s.new_zeros(len(rows), heads, known, s.shape[3]) for s in (any_row.keys, any_row.values)]
        for i, layers in kept.items():
            for whole, own in zip(sides, (layers[n].keys, layers[n].values), strict=True):
                whole[i, :, known - rows[i].known :] = own[0, :, : rows[i].known]
        layer.update(*sides)


def _inputs(rows: Sequence[_Row], known: int, new: int, model: Any) -> tuple[Any, Any, Any]:  # noqa: ANN401
    """Tokens [rows, new], their positions, and what is added to attention [rows, 1, new, known + new]."""
    import torch

    ids = torch.zeros(len(rows), new, dtype=torch.long)
    positions = torch.zeros_like(ids)
    seen = torch.ones(new, known + new, dtype=torch.bool).tril(known).repeat(len(rows), 1, 1, 1)
    for i, row in enumerate(rows):
        gap = new - row.new
        ids[i, gap:] = torch.tensor(row.ids[row.known :])
        positions[i, gap:] = torch.arange(row.known, len(row.ids))
        seen[i, :, :, : known - row.known] = False
        seen[i, :, gap:, known : known + gap] = False
    hidden = torch.zeros(seen.shape, dtype=model.dtype).masked_fill_(~seen, torch.finfo(model.dtype).min)
    return ids.to(model.device), positions.to(model.device), hidden.to(model.device)


def _shareable(states: Any) -> bool:  # noqa: ANN401 - untyped library
    """Whether the states can be padded, cut, and gone on from more than once."""
    from transformers.cache_utils import DynamicLayer

    return bool(states.layers) and all(type(layer) is DynamicLayer for layer in states.layers)


def _resumable(states: Any) -> bool:  # noqa: ANN401 - untyped library
    """Whether a model can be trusted to go on from them."""
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    return bool(states.layers) and all(
        type(layer) in {DynamicLayer, DynamicSlidingWindowLayer} for layer in states.layers
    )


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Tokens at the beginning that two sequences share."""
    for i, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return i
    return min(len(one), len(other))
