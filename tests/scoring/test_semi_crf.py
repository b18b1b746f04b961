"""Span marginals against enumeration of all compatible sets."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entsemble.scoring.semi_crf import SpanCrf
from entsemble.types import Mention, Span
from entsemble.voting.overlaps import resolve_overlaps

SPANS = st.lists(
    st.tuples(st.integers(0, 8), st.integers(1, 5)).map(lambda pair: Span(pair[0], pair[0] + pair[1])),
    unique=True,
    max_size=7,
)
LOG_POTENTIALS = st.lists(st.floats(-6, 6), min_size=7, max_size=7)


def compatible_sets(spans: list[Span], *, nested: bool) -> Iterator[set[Span]]:
    """All sets of spans that `resolve_overlaps` leaves complete."""
    for choices in product((False, True), repeat=len(spans)):
        subset = {span for span, is_selected in zip(spans, choices, strict=True) if is_selected}
        mentions = [Mention(span.start, span.end, "PER", "x" * len(span), 0.5) for span in subset]
        if len(resolve_overlaps(mentions, nested=nested)[0]) == len(subset):
            yield subset


@given(SPANS, LOG_POTENTIALS, st.floats(-3, 3), st.booleans())
def test_marginals_equal_the_sums_over_all_compatible_sets(
    spans: list[Span], log_potentials: list[float], nesting_log_potential: float, nested: bool
) -> None:
    marginals = SpanCrf(spans, nested=nested).marginals(log_potentials[: len(spans)], nesting_log_potential)
    by_span = dict(zip(spans, log_potentials, strict=False))
    partition, selected, enclosed = 0.0, dict.fromkeys(spans, 0.0), dict.fromkeys(spans, 0.0)
    for subset in compatible_sets(spans, nested=nested):
        inner = {span for span in subset if any(other != span and other.contains(span) for other in subset)}
        weight = math.exp(sum(by_span[span] for span in subset) + nesting_log_potential * len(inner))
        partition += weight
        for span in subset:
            selected[span] += weight
        for span in inner:
            enclosed[span] += weight
    assert marginals.log_partition == pytest.approx(math.log(partition), abs=1e-9)
    assert marginals.selected == pytest.approx([selected[span] / partition for span in spans], abs=1e-9)
    assert marginals.enclosed == pytest.approx([enclosed[span] / partition for span in spans], abs=1e-9)


def test_extreme_log_potentials_of_long_texts_do_not_overflow() -> None:
    spans = [Span(start, start + 2) for start in range(0, 4000, 2)]
    span_crf = SpanCrf([*spans, Span(0, 4000)], nested=True)
    marginals = span_crf.marginals([900.0] * 2000 + [-900.0], 0.0)
    assert marginals.selected == pytest.approx([1.0] * 2000 + [0.0])
    assert math.isfinite(marginals.log_partition)


def test_without_spans_only_the_empty_set_is_compatible() -> None:
    assert SpanCrf([], nested=False).marginals([], 0.0).log_partition == 0
