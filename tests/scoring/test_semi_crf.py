"""Every way in which spans can stand together, against writing them all down."""

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
    st.tuples(st.integers(0, 8), st.integers(1, 5)).map(lambda x: Span(x[0], x[0] + x[1])), unique=True, max_size=7
)
WORTH = st.lists(st.floats(-6, 6), min_size=7, max_size=7)


def every_way(spans: list[Span], *, nested: bool) -> Iterator[set[Span]]:
    for chosen in product((False, True), repeat=len(spans)):
        own = {s for s, c in zip(spans, chosen, strict=True) if c}
        mentions = [Mention(s.start, s.end, "PER", "x" * len(s), 0.5) for s in own]
        if len(resolve_overlaps(mentions, nested=nested)[0]) == len(own):
            yield own


@given(SPANS, WORTH, st.floats(-3, 3), st.booleans())
def test_it_is_what_all_of_them_tell(spans: list[Span], worth: list[float], nesting: float, nested: bool) -> None:
    found = SpanCrf(spans, nested=nested).marginals(worth[: len(spans)], nesting)
    told = dict(zip(spans, worth, strict=False))
    whole, chosen, enclosed = 0.0, dict.fromkeys(spans, 0.0), dict.fromkeys(spans, 0.0)
    for own in every_way(spans, nested=nested):
        within = {s for s in own if any(o != s and o.contains(s) for o in own)}
        weight = math.exp(sum(told[s] for s in own) + nesting * len(within))
        whole += weight
        for s in own:
            chosen[s] += weight
        for s in within:
            enclosed[s] += weight
    assert found.log_partition == pytest.approx(math.log(whole), abs=1e-9)
    assert found.selected == pytest.approx([chosen[s] / whole for s in spans], abs=1e-9)
    assert found.enclosed == pytest.approx([enclosed[s] / whole for s in spans], abs=1e-9)


def test_what_is_nearly_sure_or_impossible_does_not_overflow() -> None:
    spans = [Span(i, i + 2) for i in range(0, 4000, 2)]
    found = SpanCrf([*spans, Span(0, 4000)], nested=True).marginals([900.0] * 2000 + [-900.0], 0.0)
    assert found.selected == pytest.approx([1.0] * 2000 + [0.0])
    assert math.isfinite(found.log_partition)
    assert SpanCrf([], nested=False).marginals([], 0.0).log_partition == 0
