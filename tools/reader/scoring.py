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

    def __add__(self, other_counts: Counts) -> Counts:
        value_pairs = zip(self.values(), other_counts.values(), strict=True)
        return Counts(*(own_value + other_value for own_value, other_value in value_pairs))

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
        return [round(figure_value, 4) for figure_value in (self.value, self.low, self.high)]


def compare(predicted_entities: Sequence[Span], true_entities: Sequence[Span]) -> Counts:
    """The counts of one sentence."""
    predicted_set, true_set = set(predicted_entities), set(true_entities)
    predicted_spans, true_spans = (
        {typed_span[:2] for typed_span in predicted_set},
        {typed_span[:2] for typed_span in true_set},
    )
    return Counts(
        len(predicted_set & true_set),
        len(predicted_set),
        len(true_set),
        len(predicted_spans & true_spans),
        len(predicted_spans),
        len(true_spans),
    )


def total(sentence_counts: Sequence[Counts]) -> Counts:
    """The sum."""
    return sum(sentence_counts, Counts())


def interval(sentence_counts: Sequence[Counts], score_kind: str, random_seed: int = 7) -> Figure:
    """`typed` or `spans` with the 2.5th and 97.5th percentile of bootstrap resamples of the sentences."""
    random_generator = random.Random(random_seed)
    count_rows = [sentence_count.values() for sentence_count in sentence_counts]
    first_column = 0 if score_kind == "typed" else 3
    resampled_scores = []
    for _ in range(RESAMPLES):
        resampled_rows = random_generator.choices(count_rows, k=len(count_rows))
        right_count, predicted_total, true_total = (
            sum(count_row[first_column + column_offset] for count_row in resampled_rows) for column_offset in range(3)
        )
        resampled_scores.append(_f1(right_count, predicted_total, true_total))
    resampled_scores.sort()
    point_estimate = total(sentence_counts).typed if score_kind == "typed" else total(sentence_counts).spans
    return Figure(point_estimate, resampled_scores[int(0.025 * RESAMPLES)], resampled_scores[int(0.975 * RESAMPLES)])


def _f1(right_count: int, predicted_total: int, true_total: int) -> float:
    return 2 * right_count / (predicted_total + true_total) if predicted_total + true_total else 0.0
