"""Additive counts. Every ratio is derived from them when it is asked for; nothing stores one.

Worked example: of three gold mentions two were found, and one answer was wrong.

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
    """`part / whole`, and 0.0 where there is nothing to divide by."""
    return part / whole if whole else 0.0


@dataclass(frozen=True, slots=True)
class Counts:
    """Right answers, wrong answers, and what was not found.

    Precision is 0.0 where nothing was predicted, recall is 0.0 where there is no gold mention, and F1 is 0.0 where
    there is neither, as in seqeval with `zero_division=0` and in the CoNLL-2003 script `conlleval`.

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
        """Share of the predicted that is gold."""
        return ratio(self.tp, self.predicted)

    @property
    def recall(self) -> float:
        """Share of the gold that was predicted."""
        return ratio(self.tp, self.support)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return ratio(2 * self.tp, self.predicted + self.support)

    @property
    def support(self) -> int:
        """How many there are in the gold standard."""
        return self.tp + self.fn

    @property
    def predicted(self) -> int:
        """How many were predicted."""
        return self.tp + self.fp

    def to_json(self) -> dict[str, Any]:
        """The ratios and the counts that they come from."""
        ratios = {"precision": self.precision, "recall": self.recall, "f1": self.f1}
        return {**ratios, "tp": self.tp, "fp": self.fp, "fn": self.fn}


def count_sets(gold: Iterable[object], predicted: Iterable[object]) -> Counts:
    """Counts over two collections of hashable things, each thing counted once."""
    wanted, found = set(gold), set(predicted)
    return Counts(len(wanted & found), len(found - wanted), len(wanted - found))


class LabelCounts(Mapping[str, Counts]):
    """Counts by label, sorted by label; adding two adds label by label. Never changed once built."""

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
        return LabelCounts({x: self.get(x, Counts()) + other.get(x, Counts()) for x in labels})

    @property
    def micro(self) -> Counts:
        """The sum over the labels: its ratios are the micro averages."""
        return sum(self._counts.values(), Counts())

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the labels, each weighing the same; 0.0 where there is none."""
        return ratio(sum(counts.f1 for counts in self._counts.values()), len(self._counts))
