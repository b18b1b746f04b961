"""Cells of tables with F1, its interval, and its difference to another system on the same sentences."""

from __future__ import annotations

from collections.abc import Sequence

from entsemble.evaluation.bootstrap import compare_f1, f1_interval
from entsemble.evaluation.counts import Counts

DIFFERENCE_COLUMNS = ("difference to the first", "95 % interval", "p", "verdict")


def parse_counts(counts: Sequence[Sequence[int]]) -> list[Counts]:
    """The counts of each sentence from the stored lists."""
    return [Counts(*sentence) for sentence in counts]


def difference_to_first(counts: list[Counts], first: list[Counts]) -> list[str]:
    """F1 and its interval; the difference to the first, its interval and p, which are empty for the first itself."""
    low, high = f1_interval(counts)
    cells = [f"{sum(counts, Counts()).f1:.3f}", f"{low:.3f} to {high:.3f}"]
    if counts is first:
        return [*cells, "", "", ""]
    comparison = compare_f1(counts, first)
    return [
        *cells,
        f"{comparison.difference:+.3f}",
        "{:+.3f} to {:+.3f}".format(*comparison.ci95),
        f"{comparison.p_value:.3f}",
    ]


def with_verdict(cells: list[str]) -> list[str]:
    """The cells of `difference_to_first` with a verdict: distinguishable if 0 is outside the interval and p < 0.05."""
    *_, difference, interval, p_value = cells
    if not difference:
        return [*cells, ""]
    low, high = map(float, interval.split(" to "))
    if low <= 0 <= high or float(p_value) >= 0.05:
        return [*cells, "not distinguishable"]
    return [*cells, "better" if low > 0 else "worse"]


def paired_row(counts: list[Counts], other: list[Counts]) -> list[str]:
    """The number of sentences, F1 with its interval, the other's F1, and the difference."""
    f1, interval, *difference = difference_to_first(counts, other)
    return [str(len(counts)), f1, interval, f"{sum(other, Counts()).f1:.3f}", *difference]
