"""What a model of transformers has read: kept, gone on from, and read on for several sequences at once.

The keys and values of a token lie at a place of their own, and a sequence is a list of places. So what sequences share
lies there once, going on from a beginning copies nothing, and a step gathers each layer's keys and values for all its
sequences at once.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, islice
from typing import Any

import numpy as np
import numpy.typing as npt

from entsemble.backends.transformers.adapters import AdaptedModel
from entsemble.backends.transformers.batcher import Sum, Told, Wanted

_MOST = 4096
"""Tokens that are read in one step, if no single sequence has more."""

_HELD = 1 << 15
"""Tokens whose states are in a batch, or kept, if no single sequence has more: 1.5 GB of SmolLM2 135M in float32."""

_PATIENCE = 16
"""Steps in which the request that waits longest is passed over at most."""

_Key = tuple[Sum, tuple[int, ...]]
"""A sum of adapters, and the tokens that were read under it."""

_Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Kept:
    """Tokens that were read, and the places of their keys and values."""

    ids: _Numbers
    places: _Numbers


@dataclass(frozen=True, slots=True)
class _Row:
    """A sequence to be read on.

    Attributes:
        place: among those that wait.
        ids: all its tokens.
        places: of the keys and values of those that are known.
    """

    place: int
    ids: tuple[int, ...]
    places: _Numbers

    @property
    def known(self) -> int:
        return len(self.places)

    @property
    def new(self) -> int:
        return len(self.ids) - self.known


class Reader:
    """Reads tokens. One thread at a time.

    Args:
        adapted: the model, and what its adapters make of it.
        slots: sequences whose states are kept.
    """

    def __init__(self, adapted: AdaptedModel, slots: int) -> None:
        self.adapted = adapted
        self._slots = slots
        self._windows = _windows(adapted.model)
        self._kept: dict[_Key, _Kept] = {}
        self._pool: _Pool | None = None
        self._passed = 0

    def step(self, wanted: Sequence[Wanted]) -> list[tuple[int, Told]]:
        """Read on those that lack about as much as each other, of which there are most.

        Each step reads all the model's weights, so it pays to serve many. Those that begin wait until they are as many
        as those that are being written, and sequences under other adapters than those that are applied wait too: but
        what came first is not passed over for ever.

        Returns:
            The places of those that were served, and what they are told.
        """
        import torch

        together, applied = self._together(wanted)
        began = time.perf_counter()
        try:
            with self.adapted.under(applied), torch.inference_mode():
                logits = self._read_anew(together) if self._windows is None else self._read(applied, together)
        except BaseException:
            self.forget()  # such as a GPU whose memory is full
            raise
        share = (time.perf_counter() - began) / len(together)
        return [(row.place, Told(found, row.known, share)) for row, found in zip(together, logits, strict=True)]

    def _together(self, wanted: Sequence[Wanted]) -> tuple[list[_Row], Sum]:
        """Those that are read on now, and under which adapters."""
        first = wanted[0].adapters  # of the request that waits longest
        overdue = self._passed >= _PATIENCE
        applied = next((w.adapters for w in wanted if w.adapters == self.adapted.active and not overdue), first)
        groups = _alike([self._row(i, w) for i, w in enumerate(wanted) if w.adapters == applied])
        if overdue:
            [due] = (group for group in groups if any(row.place == 0 for row in group))
            groups = [sorted(due, key=lambda row: row.place > 0)]
        largest = max(groups, key=len)
        together = _fitting(largest)
        self._passed = 0 if any(row.place == 0 for row in together) else self._passed + 1
        return together, applied

    def forget(self) -> None:
        """Keep nothing of what was read."""
        self._kept.clear()
        self._pool = None

    def _row(self, place: int, wanted: Wanted) -> _Row:
        ids = tuple(wanted.ids)
        before = self._kept.get((wanted.adapters, ids[:-1]))
        if before is not None:  # as nearly always: a reply that is being written
            return _Row(place, ids, before.places)
        beginning = np.array(ids[:-1], dtype=np.int64)  # the last token is read at any rate: it tells the next
        own = [kept for (applied, _), kept in self._kept.items() if applied == wanted.adapters]
        begun = (kept.places[: _common(kept.ids, beginning)] for kept in own)
        return _Row(place, ids, max(begun, key=len, default=beginning[:0]))

    def _read_anew(self, rows: Sequence[_Row]) -> list[Any]:
        """For models that fold the past into one state: not every one goes on from it rightly."""
        import torch

        found = []
        for row in rows:
            ids = torch.tensor([row.ids], device=self.adapted.model.device)
            answer = self.adapted.model(input_ids=ids, use_cache=False, logits_to_keep=1)
            found.append(answer.logits[0, -1].float().cpu())
        return found

    def _read(self, applied: Sum, rows: Sequence[_Row]) -> list[Any]:
        """The logits of each row's next token [vocabulary]; the rows' states are kept."""
        model, windows = self.adapted.model, self._windows or {}
        self._pool = pool = self._pool or _Pool()
        free = iter(pool.free(sum(row.new for row in rows), [kept.places for kept in self._kept.values()]))
        at = [np.array([*row.places, *islice(free, row.new)]) for row in rows]
        batch = _Batch(rows, at, model)
        answer = model(
            input_ids=batch.ids,
            attention_mask=batch.masks(windows),
            position_ids=batch.positions,
            past_key_values=pool.cache(batch, model),
            use_cache=True,
            logits_to_keep=1,
        )
        if pool.empty:  # it has no use for a cache, and heeded neither masks nor positions
            self._windows = None
            return self._read_anew(rows)
        read = {(applied, row.ids): _Kept(np.array(row.ids), places) for row, places in zip(rows, at, strict=True)}
        old = {(applied, row.ids[: row.known]) for row in rows} | read.keys()  # what is kept of them now is longer
        others = {key: kept for key, kept in self._kept.items() if key not in old}
        self._kept = _newest(others | read, self._slots)
        return list(answer.logits[:, -1].float().cpu())


class _Batch:
    """Sequences side by side, what is known and what is new of each padded at its left.

    Args:
        rows: they.
        at: places of each one's tokens, the new ones' included.
        model: that reads them.

    Attributes:
        ids: of the new tokens [rows, new].
        positions: of the new tokens [rows, new].
        gathered: places of all tokens [rows, known + new]; the padding's is 0.
    """

    def __init__(self, rows: Sequence[_Row], at: Sequence[_Numbers], model: Any) -> None:  # noqa: ANN401
        import torch

        self._known, new = max(row.known for row in rows), max(row.new for row in rows)
        whole = self._known + new
        ids, gathered = np.zeros((len(rows), whole), dtype=np.int64), np.zeros((len(rows), whole), dtype=np.int64)
        order = np.full((len(rows), whole), -1)
        for i, (row, places) in enumerate(zip(rows, at, strict=True)):
            for part, told in ((ids, row.ids), (gathered, places), (order, range(len(row.ids)))):
                part[i, self._known - row.known : self._known] = told[: row.known]
                part[i, whole - row.new :] = told[row.known :]
        self._model, self._order = model, order
        self.ids = torch.from_numpy(ids[:, self._known :]).to(model.device)
        self.gathered = torch.from_numpy(gathered).to(model.device)
        self.positions = torch.from_numpy(order[:, self._known :].clip(min=0)).to(model.device)

    @property
    def written(self) -> Any:  # noqa: ANN401 - a tensor
        """Places of the new tokens [rows, new]."""
        return self.gathered[:, self._known :]

    def masks(self, windows: Mapping[str, int | None]) -> Any:  # noqa: ANN401 - a tensor, or one for each kind of layer
        """What is added to attention [rows, 1, new, known + new]."""
        made = {kind: self._mask(window) for kind, window in windows.items()}
        return made if len(made) > 1 else next(iter(made.values()))

    def _mask(self, window: int | None) -> Any:  # noqa: ANN401 - a tensor
        import torch

        keys, queries = self._order[:, None, None, :], self._order[:, None, self._known :, None].clip(min=0)
        hidden = (keys < 0) | (keys > queries)
        if window is not None:
            hidden |= keys <= queries - window
        made = torch.zeros(hidden.shape, dtype=self._model.dtype)
        made.masked_fill_(torch.from_numpy(hidden), torch.finfo(made.dtype).min)
        return made.to(self._model.device)


class _Pool:
    """Keys and values of tokens, each at a place of its own. Place 0 is the padding's."""

    def __init__(self) -> None:
        self._places = 1
        self._sides: dict[int, tuple[Any, ...]] = {}  # of each layer: keys and values [places, heads, size]

    @property
    def empty(self) -> bool:
        """Whether nothing was ever kept here."""
        return not self._sides

    def free(self, many: int, held: Sequence[_Numbers]) -> _Numbers:
        """Places where nothing lies that is held [many]; where there are too few, there will be more."""
        free = np.ones(self._places, dtype=bool)
        free[0] = False
        for places in held:
            free[places] = False
        found = np.flatnonzero(free)[:many]
        if missing := many - len(found):
            found = np.concatenate([found, np.arange(self._places, self._places + missing)])
            self._grow(max(missing, min(self._places, _MOST)))
        return found

    def _grow(self, more: int) -> None:
        import torch

        self._places += more
        for layer, sides in self._sides.items():
            self._sides[layer] = tuple(torch.cat([s, s.new_zeros(more, *s.shape[1:])]) for s in sides)

    def cache(self, batch: _Batch, model: Any) -> Any:  # noqa: ANN401 - untyped library
        """What a model takes for the cache of its past, so that it reads and writes here."""
        from transformers import DynamicCache

        made: Any = DynamicCache(config=model.config)
        made.update = partial(self._update, batch)  # all it is asked for, since the model is told masks and positions
        return made

    def _update(self, batch: _Batch, *told: Any) -> tuple[Any, ...]:  # noqa: ANN401 - tensors
        """Keep what is new of a layer, keys and values [rows, heads, new, size]; all of it [.., known + new, size]."""
        *new, layer = told
        if layer not in self._sides:
            self._sides[layer] = tuple(n.new_zeros(self._places, n.shape[1], n.shape[3]) for n in new)
        for side, fresh in zip(self._sides[layer], new, strict=True):
            side.index_copy_(0, batch.written.flatten(), fresh.transpose(1, 2).flatten(0, 1))
        if batch.written.shape == batch.gathered.shape:
            return tuple(new)
        found = (side.index_select(0, batch.gathered.flatten()) for side in self._sides[layer])
        return tuple(side.unflatten(0, batch.gathered.shape).transpose(1, 2) for side in found)


def _alike(rows: Sequence[_Row]) -> list[list[_Row]]:
    """Groups in which none lacks twice as much as another, those that lack most first."""
    groups: list[list[_Row]] = []
    for row in sorted(rows, key=lambda row: -row.new):
        if groups and 2 * row.new > groups[-1][0].new:
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


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


def _newest(kept: Mapping[_Key, _Kept], slots: int) -> dict[_Key, _Kept]:
    """The last that was read, and as many before it as may be held together."""
    last = list(kept.items())[-slots:] if slots else []
    held = accumulate(len(each.ids) for _, each in reversed(last))
    many = sum(tokens <= _HELD for tokens in held)
    return dict(last[-max(1, many) :])


def _windows(model: Any) -> dict[str, int | None] | None:  # noqa: ANN401 - untyped library
    """How far back each kind of layer sees, `None` for all; `None` where a model keeps other than keys and values."""
    from transformers.cache_utils import get_layer_types_and_kwargs

    kinds, told = get_layer_types_and_kwargs(model.config.get_text_config(decoder=True))
    if not set(kinds) <= {"full_attention", "sliding_attention"}:
        return None
    return {kind: each.get("sliding_window") for kind, each in zip(kinds, told, strict=True)}


def _common(one: _Numbers, other: _Numbers) -> int:
    """Tokens at the beginning that two sequences share."""
    many = min(len(one), len(other))
    differing = np.flatnonzero(one[:many] != other[:many])
    return int(differing[0]) if differing.size else many
