"""Additive counts; ratios such as F1 are derived from them, never stored.

Example: two of three gold mentions were predicted, and one prediction was wrong.

>>> counts = Counts(tp=2, fp=1, fn=1)
>>> round(counts.f1, 3)
0.667
>>> counts + Counts(tp=1)
Counts(tp=3, fp=1, fn=1)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any


def ratio(part: float, whole: float) -> float:
    """`part / whole`; 0.0 if `whole` is 0."""
    return part / whole if whole else 0.0


@dataclass(frozen=True, slots=True)
class Counts:
    """True positives, false positives and false negatives.

    Precision is 0.0 if nothing was predicted, recall is 0.0 if there is no gold mention, and F1 is 0.0 if there is
    neither, as in seqeval with `zero_division=0` and in the CoNLL-2003 script `conlleval`.

    Attributes:
        tp: predicted and gold.
        fp: predicted, not gold.
        fn: gold, not predicted.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    @property
    def precision(self) -> float:
        """Share of the predictions that is gold."""
        return ratio(self.tp, self.predicted)

    @property
    def recall(self) -> float:
        """Share of the gold mentions that was predicted."""
        return ratio(self.tp, self.support)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return ratio(2 * self.tp, self.predicted + self.support)

    @property
    def support(self) -> int:
        """Number of gold mentions."""
        return self.tp + self.fn

    @property
    def predicted(self) -> int:
        """Number of predictions."""
        return self.tp + self.fp

    def to_json(self) -> dict[str, Any]:
        """The ratios and the counts that they are derived from."""
        ratios = {"precision": self.precision, "recall": self.recall, "f1": self.f1}
        return {**ratios, "tp": self.tp, "fp": self.fp, "fn": self.fn}


def count_sets(gold: Iterable[object], predicted: Iterable[object]) -> Counts:
    """Counts over two collections of hashable items; duplicates count once."""
    gold_set, predicted_set = set(gold), set(predicted)
    return Counts(len(gold_set & predicted_set), len(predicted_set - gold_set), len(gold_set - predicted_set))


class LabelCounts(Mapping[str, Counts]):
    """Counts by label, sorted by label; immutable. Addition is label by label."""

    __slots__ = ("_counts",)

    def __init__(self, counts: Mapping[str, Counts] | None = None) -> None:
        self._counts = dict(sorted((counts or {}).items()))

    def __getitem__(self, label: str) -> Counts:
        return self._counts[label]

    def __iter__(self) -> Iterator[str]:
        return iter(self._counts)

    def __len__(self) -> int:
        return len(self._counts)

    def __repr__(self) -> str:
        return f"LabelCounts({self._counts!r})"

    def __add__(self, other: LabelCounts) -> LabelCounts:
        labels = self._counts.keys() | other.keys()
        return LabelCounts({label: self.get(label, Counts()) + other.get(label, Counts()) for label in labels})

    @property
    def micro(self) -> Counts:
        """The sum over the labels; its ratios are the micro averages."""
        return sum(self._counts.values(), Counts())
