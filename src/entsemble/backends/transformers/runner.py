"""The forward passes of a model: scheduling, reading, caching."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from entsemble.backends.transformers.adapters import AdaptedModel
from entsemble.backends.transformers.batcher import AdapterWeights, StepInput, StepOutput
from entsemble.backends.transformers.kv_cache import KVCache, PaddedBatch, attention_windows
from entsemble.backends.transformers.scheduler import Row, Scheduler, StepLimits


class StepRunner:
    """Runs a model step by step. For one thread at a time.

    Args:
        adapted: the model and its adapters.
        max_sequences: sequences whose keys and values are kept.
        limits: how much a step and the cache may hold.
    """

    def __init__(self, adapted: AdaptedModel, max_sequences: int, limits: StepLimits) -> None:
        self.adapted = adapted
        self._cache = KVCache(max_sequences, limits.cached_tokens)
        self._scheduler = Scheduler(self._cache.cached_cells, limits)
        self._windows = attention_windows(adapted.model)

    @property
    def cached_tokens(self) -> int:
        """Tokens of the sequences whose keys and values are kept."""
        return self._cache.token_count

    def forget(self) -> None:
        """Clear the cache."""
        self._cache.clear()

    def step(self, inputs: Sequence[StepInput]) -> list[tuple[int, StepOutput]]:
        """One forward pass over the requests that the scheduler chooses.

        Returns:
            The index of each input that was served, and its output.
        """
        import torch

        adapter_weights, rows = self._scheduler.next_batch(inputs, self.adapted.active)
        started = time.perf_counter()
        try:
            with self.adapted.apply(adapter_weights), torch.inference_mode():
                if self._windows is None:
                    all_logits = self._read_without_cache(rows)
                else:
                    all_logits = self._read(adapter_weights, rows)
        except BaseException:
            self.forget()  # such as a GPU whose memory is full
            raise
        seconds = (time.perf_counter() - started) / len(rows)
        return [
            (row.index, StepOutput(logits, row.cached_count, seconds))
            for row, logits in zip(rows, all_logits, strict=True)
        ]

    def _read(self, adapter_weights: AdapterWeights, rows: Sequence[Row]) -> list[Any]:
        """The logits of each row's next token [vocabulary]; the rows' keys and values are kept."""
        model = self.adapted.model
        cells = self._cache.allocate(rows)
        batch = PaddedBatch(rows, cells, model)
        output = model(
            input_ids=batch.token_ids,
            attention_mask=batch.attention_masks(self._windows or {}),
            position_ids=batch.positions,
            past_key_values=self._cache.as_past(batch, model),
            use_cache=True,
            logits_to_keep=1,
        )
        if self._cache.is_unused:  # the model uses no cache, and ignored masks and positions
            self._windows = None
            return self._read_without_cache(rows)
        self._cache.store(adapter_weights, rows, cells)
        return list(output.logits[:, -1].float().cpu())

    def _read_without_cache(self, rows: Sequence[Row]) -> list[Any]:
        """For models with a recurrent state: not every one of them continues from it correctly."""
        import torch

        all_logits = []
        for row in rows:
            token_ids = torch.tensor([row.token_ids], device=self.adapted.model.device)
            output = self.adapted.model(input_ids=token_ids, use_cache=False, logits_to_keep=1)
            all_logits.append(output.logits[0, -1].float().cpu())
        return all_logits
