"""Which pending requests a step serves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entsemble.backends.transformers.batcher import AdapterWeights, StepInput
from entsemble.backends.transformers.scheduler import Cells, Scheduler, StepLimits

ACTIVE: AdapterWeights = (("two", 1.0),)
LIMITS = StepLimits(starvation_limit=5)


def nothing_cached(_: StepInput) -> Cells:
    return np.zeros(0, dtype=np.int64)


def step_input(token_count: int, adapter_weights: AdapterWeights = ()) -> StepInput:
    return StepInput(adapter_weights, list(range(token_count)))


def batch_indices(scheduler: Scheduler, inputs: list[StepInput], active: AdapterWeights | None = ()) -> list[int]:
    _, rows = scheduler.next_batch(inputs, active)
    return sorted(row.index for row in rows)


def test_the_largest_group_of_similar_lengths_is_served() -> None:
    inputs = [step_input(100), step_input(3), step_input(90), step_input(4), step_input(5)]
    assert batch_indices(Scheduler(nothing_cached, LIMITS), inputs) == [1, 3, 4]


def test_lengths_count_only_uncached_tokens() -> None:
    scheduler = Scheduler(lambda each: np.arange(1, len(each.token_ids)), LIMITS)
    assert batch_indices(scheduler, [step_input(100), step_input(3)]) == [0, 1]


def test_requests_with_the_active_adapters_are_served_first() -> None:
    inputs = [step_input(3), step_input(3, ACTIVE)]
    assert batch_indices(Scheduler(nothing_cached, LIMITS), inputs, ACTIVE) == [1]
    assert batch_indices(Scheduler(nothing_cached, LIMITS), inputs, (("other", 1.0),)) == [0]
    assert batch_indices(Scheduler(nothing_cached, LIMITS), inputs, None) == [0]


@pytest.mark.parametrize("first", [step_input(200, ACTIVE), step_input(3)], ids=["longer", "other adapters"])
def test_the_longest_waiting_request_is_passed_over_up_to_the_starvation_limit(first: StepInput) -> None:
    scheduler = Scheduler(nothing_cached, LIMITS)
    inputs = [first, *(step_input(2, ACTIVE) for _ in range(3))]
    batches = [batch_indices(scheduler, inputs, ACTIVE) for _ in range(LIMITS.starvation_limit + 2)]
    assert batches == [*([[1, 2, 3]] * LIMITS.starvation_limit), [0], [1, 2, 3]]


def test_a_sequence_beyond_the_limits_is_served_alone() -> None:
    scheduler = Scheduler(nothing_cached, StepLimits(step_tokens=10, cached_tokens=10))
    assert batch_indices(scheduler, [step_input(50), step_input(50)]) == [0]


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=20),
    st.integers(0, 3),
    st.integers(1, 100),
    st.integers(1, 200),
)
def test_a_padded_batch_stays_within_the_limits(
    token_counts: list[int], cached_share: int, step_tokens: int, cached_tokens: int
) -> None:
    def cached_cells(each: StepInput) -> Cells:
        return np.arange(1, 1 + (len(each.token_ids) - 1) * cached_share // 4)

    scheduler = Scheduler(cached_cells, StepLimits(step_tokens, cached_tokens))
    _, rows = scheduler.next_batch([step_input(count) for count in token_counts], ())
    new_width, cached_width = max(row.new_count for row in rows), max(row.cached_count for row in rows)
    assert rows
    if len(rows) > 1:
        assert len(rows) * new_width <= step_tokens
        assert len(rows) * (cached_width + new_width) <= cached_tokens
