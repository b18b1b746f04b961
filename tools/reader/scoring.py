"""Exact-match micro F1, typed and of spans alone, with a bootstrap interval over sentences."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

Span = tuple[int, int, str]
RESAMPLES = 1000


@dataclass(frozen=True)
class Counts:
    """Of one sentence or many: right, predicted and true, typed; and right spans whatever their label."""

    right: int = 0
    predicted: int = 0
    true: int = 0
    right_spans: int = 0
    predicted_spans: int = 0
    true_spans: int = 0

    def __add__(self, other: Counts) -> Counts:
        pairs = zip(self.values(), other.values(), strict=True)
        return Counts(*(one + another for one, another in pairs))

    def values(self) -> tuple[int, int, int, int, int, int]:
        """In the order of the fields."""
        return (
            self.right,
            self.predicted,
            self.true,
            self.right_spans,
            self.predicted_spans,
            self.true_spans,
        )

    @property
    def typed(self) -> float:
        """F1 of span and label."""
        return _f1(self.right, self.predicted, self.true)

    @property
    def spans(self) -> float:
        """F1 of spans alone."""
        return _f1(self.right_spans, self.predicted_spans, self.true_spans)


@dataclass(frozen=True)
class Figure:
    """A score and its 95 % interval."""

    value: float
    low: float
    high: float

    def rounded(self) -> list[float]:
        """[value, low, high]."""
        return [round(number, 4) for number in (self.value, self.low, self.high)]


def compare(predicted: Sequence[Span], true: Sequence[Span]) -> Counts:
    """The counts of one sentence."""
    predicted_set, true_set = set(predicted), set(true)
    predicted_spans, true_spans = {span[:2] for span in predicted_set}, {span[:2] for span in true_set}
    return Counts(
        len(predicted_set & true_set),
        len(predicted_set),
        len(true_set),
        len(predicted_spans & true_spans),
        len(predicted_spans),
        len(true_spans),
    )


def total(counts: Sequence[Counts]) -> Counts:
    """The sum."""
    return sum(counts, Counts())


def interval(counts: Sequence[Counts], kind: str, seed: int = 7) -> Figure:
    """`typed` or `spans` with the 2.5th and 97.5th percentile of bootstrap resamples of the sentences."""
    generator = random.Random(seed)
    rows = [count.values() for count in counts]
    first = 0 if kind == "typed" else 3
    samples = []
    for _ in range(RESAMPLES):
        drawn = generator.choices(rows, k=len(rows))
        right, predicted, true = (sum(row[first + offset] for row in drawn) for offset in range(3))
        samples.append(_f1(right, predicted, true))
    samples.sort()
    value = total(counts).typed if kind == "typed" else total(counts).spans
    return Figure(value, samples[int(0.025 * RESAMPLES)], samples[int(0.975 * RESAMPLES)])


def _f1(right: int, predicted: int, true: int) -> float:
    return 2 * right / (predicted + true) if predicted + true else 0.0
