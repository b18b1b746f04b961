"""A paged cache of keys and values for several sequences at once.

The keys and values of each token are in a cell of their own, and a sequence is a list of cells. So a prefix that
several sequences share is held once, continuing from a prefix copies nothing, and a step gathers each layer's keys and
values for all its sequences at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, islice
from typing import Any

import numpy as np

from entsemble.backends.transformers.batcher import AdapterWeights, StepInput
from entsemble.backends.transformers.scheduler import Cells, Row

_MAX_GROWTH = 4096
"""Cells that storage grows by at most, unless more are needed at once."""

_SequenceKey = tuple[AdapterWeights, tuple[int, ...]]
"""A sum of adapters, and the tokens that were read with it."""


@dataclass(frozen=True, slots=True)
class _CachedSequence:
    """Tokens that were read [tokens], and the cells of their keys and values [tokens]."""

    token_ids: Cells
    cells: Cells


class KVCache:
    """Keys and values of the sequences that were read last. For one thread at a time.

    Args:
        max_sequences: sequences that are kept.
        max_tokens: tokens that are kept, unless a single sequence has more.
    """

    def __init__(self, max_sequences: int, max_tokens: int) -> None:
        self._max_sequences, self._max_tokens = max_sequences, max_tokens
        self._sequences: dict[_SequenceKey, _CachedSequence] = {}
        self._storage = _Storage()

    @property
    def token_count(self) -> int:
        """Tokens of all kept sequences; those of a shared prefix count once for each sequence."""
        return sum(len(sequence.token_ids) for sequence in self._sequences.values())

    @property
    def is_unused(self) -> bool:
        """Whether the model has never written to it."""
        return self._storage.is_empty

    def clear(self) -> None:
        """Forget all sequences and free their memory."""
        self._sequences.clear()
        self._storage = _Storage()

    def cached_cells(self, step_input: StepInput) -> Cells:
        """Cells of the longest cached prefix; never of the last token, whose output is needed."""
        token_ids = tuple(step_input.token_ids)
        previous = self._sequences.get((step_input.adapter_weights, token_ids[:-1]))
        if previous is not None:  # nearly always: a reply that is being written
            return previous.cells
        prefix = np.array(token_ids[:-1], dtype=np.int64)
        candidates = [
            sequence
            for (adapter_weights, _), sequence in self._sequences.items()
            if adapter_weights == step_input.adapter_weights
        ]
        shared = (sequence.cells[: _common_prefix_length(sequence.token_ids, prefix)] for sequence in candidates)
        return max(shared, key=len, default=prefix[:0])

    def allocate(self, rows: Sequence[Row]) -> list[Cells]:
        """Cells of each row's tokens: the cached ones, and free ones for the new tokens."""
        in_use = [sequence.cells for sequence in self._sequences.values()]
        free = iter(self._storage.find_free(sum(row.new_count for row in rows), in_use))
        return [np.array([*row.cached_cells, *islice(free, row.new_count)]) for row in rows]

    def as_past(self, batch: PaddedBatch, model: Any) -> Any:  # noqa: ANN401 - untyped library
        """A `past_key_values` with which the model reads and writes the cells of a batch."""
        return self._storage.as_past(batch, model)

    def store(self, adapter_weights: AdapterWeights, rows: Sequence[Row], cells: Sequence[Cells]) -> None:
        """Keep the sequences that were read; those that they continue are replaced, the oldest ones dropped."""
        extended = {
            (adapter_weights, row.token_ids): _CachedSequence(np.array(row.token_ids), row_cells)
            for row, row_cells in zip(rows, cells, strict=True)
        }
        replaced = {(adapter_weights, row.token_ids[: row.cached_count]) for row in rows} | extended.keys()
        others = {key: sequence for key, sequence in self._sequences.items() if key not in replaced}
        self._sequences = self._newest(others | extended)

    def _newest(self, sequences: Mapping[_SequenceKey, _CachedSequence]) -> dict[_SequenceKey, _CachedSequence]:
        """The last sequence, and as many before it as fit the limits."""
        newest = list(sequences.items())[-self._max_sequences :] if self._max_sequences else []
        token_counts = accumulate(len(sequence.token_ids) for _, sequence in reversed(newest))
        fitting_count = sum(token_count <= self._max_tokens for token_count in token_counts)
        return dict(newest[-max(1, fitting_count) :])


class PaddedBatch:
    """Sequences side by side; the cached part and the new part of each are padded on the left.

    Args:
        rows: the sequences.
        cells: cells of each row's tokens, the new ones included.
        model: the model that reads them.

    Attributes:
        token_ids: of the new tokens [rows, new].
        positions: of the new tokens [rows, new].
        cells: of all tokens [rows, cached + new]; 0 for padding.
    """

    def __init__(self, rows: Sequence[Row], cells: Sequence[Cells], model: Any) -> None:  # noqa: ANN401
        import torch

        self._cached_width = cached_width = max(row.cached_count for row in rows)
        width = cached_width + max(row.new_count for row in rows)
        token_ids = np.zeros((len(rows), width), dtype=np.int64)
        all_cells = np.zeros((len(rows), width), dtype=np.int64)
        positions = np.full((len(rows), width), -1)
        for index, (row, row_cells) in enumerate(zip(rows, cells, strict=True)):
            columns = ((token_ids, row.token_ids), (all_cells, row_cells), (positions, range(len(row.token_ids))))
            for table, values in columns:
                table[index, cached_width - row.cached_count : cached_width] = values[: row.cached_count]
                table[index, width - row.new_count :] = values[row.cached_count :]
        self._model, self._positions = model, positions
        self.token_ids = torch.from_numpy(token_ids[:, cached_width:]).to(model.device)
        self.cells = torch.from_numpy(all_cells).to(model.device)
        self.positions = torch.from_numpy(positions[:, cached_width:].clip(min=0)).to(model.device)

    @property
    def new_cells(self) -> Any:  # noqa: ANN401 - a tensor
        """Cells of the new tokens [rows, new]."""
        return self.cells[:, self._cached_width :]

    def attention_masks(self, windows: Mapping[str, int | None]) -> Any:  # noqa: ANN401 - one or more tensors
        """The additive mask [rows, 1, new, cached + new], or a dict of them by kind of layer if there are several."""
        masks = {layer_kind: self._attention_mask(window) for layer_kind, window in windows.items()}
        return masks if len(masks) > 1 else next(iter(masks.values()))

    def _attention_mask(self, window: int | None) -> Any:  # noqa: ANN401 - a tensor
        import torch

        keys = self._positions[:, None, None, :]
        queries = self._positions[:, None, self._cached_width :, None].clip(min=0)
        hidden = (keys < 0) | (keys > queries)
        if window is not None:
            hidden |= keys <= queries - window
        mask = torch.zeros(hidden.shape, dtype=self._model.dtype)
        mask.masked_fill_(torch.from_numpy(hidden), torch.finfo(mask.dtype).min)
        return mask.to(self._model.device)


class _Storage:
    """Keys and values by cell. Cell 0 is the padding's."""

    def __init__(self) -> None:
        self._cell_count = 1
        self._layers: dict[int, tuple[Any, ...]] = {}  # of each layer: keys and values [cells, heads, head size]

    @property
    def is_empty(self) -> bool:
        return not self._layers

    def find_free(self, count: int, in_use: Sequence[Cells]) -> Cells:
        """Cells that are not in use [count]; storage grows if there are too few."""
        is_free = np.ones(self._cell_count, dtype=bool)
        is_free[0] = False
        for cells in in_use:
            is_free[cells] = False
        free_cells = np.flatnonzero(is_free)[:count]
        if missing_count := count - len(free_cells):
            added_cells = np.arange(self._cell_count, self._cell_count + missing_count)
            free_cells = np.concatenate([free_cells, added_cells])
            self._grow(max(missing_count, min(self._cell_count, _MAX_GROWTH)))
        return free_cells

    def _grow(self, count: int) -> None:
        import torch

        self._cell_count += count
        for layer, tensors in self._layers.items():
            self._layers[layer] = tuple(
                torch.cat([tensor, tensor.new_zeros(count, *tensor.shape[1:])]) for tensor in tensors
            )

    def as_past(self, batch: PaddedBatch, model: Any) -> Any:  # noqa: ANN401 - untyped library
        """A cache of transformers whose `update` reads and writes here.

        The model calls nothing else of it, since it is given the attention masks and the positions.
        """
        from transformers import DynamicCache

        past: Any = DynamicCache(config=model.config)
        past.update = partial(self._update, batch)
        return past

    def _update(self, batch: PaddedBatch, keys: Any, values: Any, layer: int) -> tuple[Any, ...]:  # noqa: ANN401
        """Keep a layer's new keys and values; see `DynamicCache.update`.

        Args:
            batch: the sequences.
            keys: of the new tokens [rows, heads, new, head size].
            values: likewise.
            layer: its index.

        Returns:
            The layer's keys and values of all tokens [rows, heads, cached + new, head size].
        """
        new_tensors = (keys, values)
        if layer not in self._layers:
            self._layers[layer] = tuple(
                tensor.new_zeros(self._cell_count, tensor.shape[1], tensor.shape[3]) for tensor in new_tensors
            )
        for stored, new_tensor in zip(self._layers[layer], new_tensors, strict=True):
            stored.index_copy_(0, batch.new_cells.flatten(), new_tensor.transpose(1, 2).flatten(0, 1))
        if batch.new_cells.shape == batch.cells.shape:
            return new_tensors
        gathered = (stored.index_select(0, batch.cells.flatten()) for stored in self._layers[layer])
        return tuple(tensor.unflatten(0, batch.cells.shape).transpose(1, 2) for tensor in gathered)


def attention_windows(model: Any) -> dict[str, int | None] | None:  # noqa: ANN401 - untyped library
    """How far back each kind of layer attends, `None` for no limit.

    `None` in place of the dict for a model that keeps other state than keys and values, such as a recurrent one.
    """
    from transformers.cache_utils import get_layer_types_and_kwargs

    layer_kinds, arguments = get_layer_types_and_kwargs(model.config.get_text_config(decoder=True))
    if not set(layer_kinds) <= {"full_attention", "sliding_attention"}:
        return None
    return {layer_kind: layer.get("sliding_window") for layer_kind, layer in zip(layer_kinds, arguments, strict=True)}


def _common_prefix_length(first: Cells, second: Cells) -> int:
    length = min(len(first), len(second))
    differing = np.flatnonzero(first[:length] != second[:length])
    return int(differing[0]) if differing.size else length
