from __future__ import annotations

import pytest

from entsemble.evaluation.counts import Counts, LabelCounts, count_sets


def test_ratios_are_derived_from_the_counts() -> None:
    counts = Counts(tp=6, fp=2, fn=6)
    assert counts.precision == 0.75
    assert counts.recall == 0.5
    assert counts.f1 == pytest.approx(0.6)
    assert (counts.support, counts.predicted) == (12, 8)


@pytest.mark.parametrize("counts", [Counts(), Counts(fp=3), Counts(fn=3)])
def test_undefined_ratios_are_zero(counts: Counts) -> None:
    assert (counts.precision, counts.recall, counts.f1) == (0.0, 0.0, 0.0)


def test_addition_pools_counts() -> None:
    pooled = Counts(tp=1) + Counts(tp=1, fp=9, fn=2)
    assert pooled == Counts(2, 9, 2)
    assert pooled.precision == pytest.approx(2 / 11)


def test_label_counts_add_label_by_label_and_sort() -> None:
    summed = LabelCounts({"b": Counts(1, 2, 3), "a": Counts(tp=1)}) + LabelCounts(
        {"c": Counts(fn=1), "b": Counts(tp=4)}
    )
    assert dict(summed) == {"a": Counts(1, 0, 0), "b": Counts(5, 2, 3), "c": Counts(0, 0, 1)}
    assert list(summed) == ["a", "b", "c"]
    assert summed.micro == Counts(6, 2, 4)


def test_duplicates_count_once() -> None:
    assert count_sets([1, 1, 2, 3], [2, 2, 4]) == Counts(tp=1, fp=1, fn=2)
