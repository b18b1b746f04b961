"""What counts as found, on the mentions of one document.

A mention is its start, end and label; the same one given twice counts once. Sets of them know no order and no tags, so
nested and overlapping mentions are scored like any others. Add up the results over documents.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from entsemble.evaluation.bipartite import Triple, largest_pairing
from entsemble.evaluation.counts import Counts, LabelCounts, count_sets, ratio
from entsemble.types import Mention

Range = tuple[int, int]


def triples(mentions: Iterable[Mention]) -> set[Triple]:
    """The mentions as sets see them."""
    return {(m.start, m.end, m.label) for m in mentions}


def ranges(mentions: Iterable[Mention]) -> set[Range]:
    """The mentions without their labels."""
    return {(m.start, m.end) for m in mentions}


def exact_counts(gold: Iterable[Mention], predicted: Iterable[Mention]) -> LabelCounts:
    """Found is what has the same start, end and label.

    On flat mentions it equals entity-level scoring of tags (E. F. Tjong Kim Sang and F. De Meulder, "Introduction to
    the CoNLL-2003 shared task", 2003; seqeval).
    """
    wanted, found = triples(gold), triples(predicted)
    return _by_label(wanted, found, Counter(label for *_, label in wanted & found))


def relaxed_counts(gold: Iterable[Mention], predicted: Iterable[Mention]) -> LabelCounts:
    """Found is what shares a character with a mention of the same label, one to one.

    As many as can be are paired, and each is used once, so neither one long prediction over three gold mentions nor
    three pieces of one gold mention count three times. The idea of partial credit is from MUC (N. Chinchor and B.
    Sundheim, "MUC-5 evaluation metrics", 1993) and SemEval-2013 task 9.1; here a partial match counts in full.
    """
    wanted, found = triples(gold), triples(predicted)
    matched = largest_pairing(wanted, found, same_label)
    return _by_label(wanted, found, Counter(label for (*_, label), _ in matched))


def span_counts(gold: Iterable[Mention], predicted: Iterable[Mention]) -> Counts:
    """Found is what has the same start and end, whatever its label; a range with two labels counts once."""
    return count_sets(ranges(gold), ranges(predicted))


def same_label(gold: Triple, predicted: Triple) -> bool:
    """Whether two mentions have one label."""
    return gold[2] == predicted[2]


def _by_label(wanted: Collection[Triple], found: Collection[Triple], right: Counter[str]) -> LabelCounts:
    """Counts by label, from how many were wanted, found, and both."""
    support = Counter(label for *_, label in wanted)
    predicted = Counter(label for *_, label in found)
    labels = support.keys() | predicted.keys()
    return LabelCounts({x: Counts(right[x], predicted[x] - right[x], support[x] - right[x]) for x in labels})


@dataclass(frozen=True, slots=True)
class PartCounts:
    """Counts of one part of the mentions, where gold and prediction may see different mentions in that part.

    Attributes:
        gold: gold mentions in the part.
        gold_matched: those of them that were predicted.
        predicted: predicted mentions in the part.
        predicted_matched: those of them that are gold.
    """

    gold: int = 0
    gold_matched: int = 0
    predicted: int = 0
    predicted_matched: int = 0

    def __add__(self, other: PartCounts) -> PartCounts:
        return PartCounts(
            self.gold + other.gold,
            self.gold_matched + other.gold_matched,
            self.predicted + other.predicted,
            self.predicted_matched + other.predicted_matched,
        )

    @property
    def precision(self) -> float:
        """Share of the predicted that is gold; 0.0 where nothing was predicted."""
        return ratio(self.predicted_matched, self.predicted)

    @property
    def recall(self) -> float:
        """Share of the gold that was found; 0.0 where there is none."""
        return ratio(self.gold_matched, self.gold)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0.0 where both are."""
        return ratio(2 * self.precision * self.recall, self.precision + self.recall)

    def to_json(self) -> dict[str, Any]:
        """The ratios and the counts that they come from."""
        counts = {
            "gold": self.gold,
            "gold_matched": self.gold_matched,
            "predicted": self.predicted,
            "predicted_matched": self.predicted_matched,
        }
        return {"precision": self.precision, "recall": self.recall, "f1": self.f1, **counts}


@dataclass(frozen=True, slots=True)
class NestedCounts:
    """Counts of the mentions that lie inside a longer one, and of those that do not.

    Attributes:
        inside: mentions within a longer mention of their own side, gold or predicted.
        outermost: all others, with something inside them or not.
    """

    inside: PartCounts = field(default_factory=PartCounts)
    outermost: PartCounts = field(default_factory=PartCounts)

    def __add__(self, other: NestedCounts) -> NestedCounts:
        return NestedCounts(self.inside + other.inside, self.outermost + other.outermost)

    @property
    def has_nested(self) -> bool:
        """Whether there is a mention inside another at all."""
        return bool(self.inside.gold or self.inside.predicted)

    def to_json(self) -> dict[str, Any]:
        """Both parts."""
        return {"inside": self.inside.to_json(), "outermost": self.outermost.to_json()}


def nested_counts(gold: Iterable[Mention], predicted: Iterable[Mention]) -> NestedCounts:
    """Exact matching, apart for mentions inside others and outermost ones.

    A gold mention's part is given by the other gold mentions, a predicted one's by the other predictions: a system that
    finds only inner mentions has their recall, and its answers count as outermost in precision.
    """
    wanted, found = triples(gold), triples(predicted)
    wanted_inside, found_inside = _inside(wanted), _inside(found)

    def part(of_gold: set[Triple], of_predicted: set[Triple]) -> PartCounts:
        return PartCounts(len(of_gold), len(of_gold & found), len(of_predicted), len(of_predicted & wanted))

    return NestedCounts(part(wanted_inside, found_inside), part(wanted - wanted_inside, found - found_inside))


def _inside(mentions: set[Triple]) -> set[Triple]:
    """Those whose range lies within another, longer range; two labels on one range are not nested."""
    inner: set[Range] = set()
    furthest = -1
    for start, end in sorted({(m[0], m[1]) for m in mentions}, key=lambda x: (x[0], -x[1])):
        if end <= furthest:
            inner.add((start, end))
        furthest = max(furthest, end)
    return {m for m in mentions if (m[0], m[1]) in inner}
