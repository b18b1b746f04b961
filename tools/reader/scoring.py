"""Exact matching of a reader's spans, with their labels and without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from entsemble.evaluation.bootstrap import f1_interval
from entsemble.evaluation.counts import Counts, count_sets

Span = tuple[int, int, str]
SEED = 7


@dataclass(frozen=True, slots=True)
class SpanCounts:
    """Counts of one sentence or many: of spans with their labels, and of spans whatever their label."""

    typed: Counts
    spans: Counts

    def __add__(self, other: SpanCounts) -> SpanCounts:
        return SpanCounts(self.typed + other.typed, self.spans + other.spans)


def compare(predicted: Sequence[Span], gold: Sequence[Span]) -> SpanCounts:
    """The counts of one sentence."""
    return SpanCounts(
        typed=count_sets(gold, predicted),
        spans=count_sets((span[:2] for span in gold), (span[:2] for span in predicted)),
    )


def total(sentences: Sequence[SpanCounts]) -> SpanCounts:
    """The sum."""
    return sum(sentences, SpanCounts(Counts(), Counts()))


def f1_with_interval(sentences: Sequence[Counts]) -> list[float]:
    """[F1, lower, upper], rounded: the 95 % interval is a bootstrap over sentences."""
    bounds = f1_interval(sentences, seed=SEED)
    return [round(value, 4) for value in (sum(sentences, Counts()).f1, *bounds)]
