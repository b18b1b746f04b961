"""Which pending requests the next forward pass serves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from entsemble.backends.transformers.batcher import AdapterWeights, StepInput

Cells = npt.NDArray[np.int64]
"""Numbers of the cells that hold the keys and values of a sequence's tokens."""


@dataclass(frozen=True, slots=True)
class StepLimits:
    """How much one forward pass and the cache may hold.

    Attributes:
        step_tokens: tokens, padding included, that one step reads, unless a single sequence has more.
        cached_tokens: tokens whose keys and values are in a batch, or kept, unless a single sequence has more; the
            default is 1.5 GB for SmolLM2 135M in float32.
        starvation_limit: steps in which the longest-waiting request may be passed over.
    """

    step_tokens: int = 4096
    cached_tokens: int = 1 << 15
    starvation_limit: int = 16


@dataclass(frozen=True, slots=True)
class Row:
    """A sequence of the next forward pass.

    Attributes:
        index: its place among the pending requests.
        token_ids: all its tokens.
        cached_cells: cells of its first tokens, which are not read again.
    """

    index: int
    token_ids: tuple[int, ...]
    cached_cells: Cells

    @property
    def cached_count(self) -> int:
        """Tokens that are not read again."""
        return len(self.cached_cells)

    @property
    def new_count(self) -> int:
        """Tokens to read."""
        return len(self.token_ids) - self.cached_count


class Scheduler:
    """Chooses the requests of each step.

    Each step reads all the model's weights, so it pays to serve many requests: it serves the largest group of those
    that have a similar number of uncached tokens and the adapters that are applied already. Prompts thus wait until
    there are as many of them as of replies being written, but no longer than the starvation limit.

    Args:
        cached_cells: the cells of an input's tokens that are cached.
        limits: how much a step may hold, and how long a request may be passed over.
    """

    def __init__(self, cached_cells: Callable[[StepInput], Cells], limits: StepLimits) -> None:
        self._cached_cells, self._limits = cached_cells, limits
        self._steps_passed_over = 0

    def next_batch(
        self, inputs: Sequence[StepInput], active: AdapterWeights | None
    ) -> tuple[AdapterWeights, list[Row]]:
        """The adapters and rows of the next step.

        Args:
            inputs: of all pending requests, the longest-waiting first; at least one.
            active: the sum of adapters that is applied now.
        """
        is_overdue = self._steps_passed_over >= self._limits.starvation_limit
        adapter_weights = inputs[0].adapter_weights
        if active is not None and not is_overdue and any(each.adapter_weights == active for each in inputs):
            adapter_weights = active
        groups = _group_by_new_tokens(
            [
                Row(index, tuple(step_input.token_ids), self._cached_cells(step_input))
                for index, step_input in enumerate(inputs)
                if step_input.adapter_weights == adapter_weights
            ]
        )
        if is_overdue:
            [overdue_group] = (group for group in groups if any(row.index == 0 for row in group))
            groups = [sorted(overdue_group, key=lambda row: row.index > 0)]
        batch = self._limit_size(max(groups, key=len))
        is_first_served = any(row.index == 0 for row in batch)
        self._steps_passed_over = 0 if is_first_served else self._steps_passed_over + 1
        return adapter_weights, batch

    def _limit_size(self, rows: Sequence[Row]) -> list[Row]:
        """The first rows, as many as a step may hold with their padding; at least one."""
        batch: list[Row] = []
        cached_width = new_width = 0
        for row in rows:
            cached_width, new_width = max(cached_width, row.cached_count), max(new_width, row.new_count)
            count = len(batch) + 1
            is_too_large = (
                count * new_width > self._limits.step_tokens
                or count * (cached_width + new_width) > self._limits.cached_tokens
            )
            if batch and is_too_large:
                break
            batch.append(row)
        return batch


def _group_by_new_tokens(rows: Sequence[Row]) -> list[list[Row]]:
    """Groups in which no row has twice as many new tokens as another, those with most new tokens first."""
    groups: list[list[Row]] = []
    for row in sorted(rows, key=lambda row: -row.new_count):
        if groups and 2 * row.new_count > groups[-1][0].new_count:
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups
