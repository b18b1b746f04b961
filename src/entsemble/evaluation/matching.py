"""Matching of the gold and predicted mentions of one document.

A mention is identified by start, end and label; duplicates count once. Mentions are compared as sets, without tags, so
nested and overlapping mentions need no special treatment. Results are additive over documents.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from entsemble.evaluation.bipartite import Triple, pair_same_label
from entsemble.evaluation.counts import Counts, LabelCounts, count_sets, ratio
from entsemble.types import Mention

Range = tuple[int, int]


def triples(mentions: Iterable[Mention]) -> set[Triple]:
    """Start, end and label of each mention."""
    return {(mention.start, mention.end, mention.label) for mention in mentions}


def ranges(mentions: Iterable[Mention]) -> set[Range]:
    """Start and end of each mention."""
    return {(mention.start, mention.end) for mention in mentions}


def exact_counts(gold: Iterable[Mention], predicted: Iterable[Mention]) -> LabelCounts:
    """Exact matching: a prediction is correct if a gold mention has the same start, end and label.

    On flat mentions it equals entity-level scoring of tags (E. F. Tjong Kim Sang and F. De Meulder, "Introduction to
    the CoNLL-2003 shared task", 2003; seqeval).
    """
    gold_triples, predicted_triples = triples(gold), triples(predicted)
    matched = Counter(label for _, _, label in gold_triples & predicted_triples)
    return _count_by_label(gold_triples, predicted_triples, matched)


def relaxed_counts(gold: Iterable[Mention], predicted: Iterable[Mention]) -> LabelCounts:
    """Relaxed matching: a prediction is correct if it overlaps a gold mention with the same label, one-to-one.

    A largest pairing is used, and each mention once, so neither one long prediction over three gold mentions nor three
    pieces of one gold mention count three times. The idea of partial credit is from MUC (N. Chinchor and B. Sundheim,
    "MUC-5 evaluation metrics", 1993) and SemEval-2013 task 9.1; here a partial match counts in full.
    """
    gold_triples, predicted_triples = triples(gold), triples(predicted)
    pairs = pair_same_label(gold_triples, predicted_triples)
    return _count_by_label(gold_triples, predicted_triples, Counter(label for (_, _, label), _ in pairs))


def span_counts(gold: Iterable[Mention], predicted: Iterable[Mention]) -> Counts:
    """Exact matching of start and end, whatever the label; a span with two labels counts once."""
    return count_sets(ranges(gold), ranges(predicted))


def _count_by_label(gold: Collection[Triple], predicted: Collection[Triple], matched: Counter[str]) -> LabelCounts:
    """Counts by label, from the gold mentions, the predicted ones, and the number of matches by label."""
    support = Counter(label for _, _, label in gold)
    prediction_counts = Counter(label for _, _, label in predicted)
    return LabelCounts(
        {
            label: Counts(
                tp=matched[label], fp=prediction_counts[label] - matched[label], fn=support[label] - matched[label]
            )
            for label in support.keys() | prediction_counts.keys()
        }
    )


@dataclass(frozen=True, slots=True)
class PartCounts:
    """Counts of one part of the mentions, where a mention's gold part and predicted part may differ.

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
        """Share of the predictions that is gold; 0.0 if nothing was predicted."""
        return ratio(self.predicted_matched, self.predicted)

    @property
    def recall(self) -> float:
        """Share of the gold mentions that was predicted; 0.0 if there is none."""
        return ratio(self.gold_matched, self.gold)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0.0 if both are 0."""
        return ratio(2 * self.precision * self.recall, self.precision + self.recall)

    def to_json(self) -> dict[str, Any]:
        """The ratios and the counts that they are derived from."""
        return {
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "gold": self.gold,
            "gold_matched": self.gold_matched,
            "predicted": self.predicted,
            "predicted_matched": self.predicted_matched,
        }


@dataclass(frozen=True, slots=True)
class NestedCounts:
    """Separate counts of the mentions inside a longer one, and of the outermost ones.

    Attributes:
        inside: mentions within a longer mention of the same side, gold or predicted.
        outermost: all others.
    """

    inside: PartCounts = field(default_factory=PartCounts)
    outermost: PartCounts = field(default_factory=PartCounts)

    def __add__(self, other: NestedCounts) -> NestedCounts:
        return NestedCounts(self.inside + other.inside, self.outermost + other.outermost)

    @property
    def has_nested(self) -> bool:
        """Whether any gold or predicted mention is inside another."""
        return bool(self.inside.gold or self.inside.predicted)

    def to_json(self) -> dict[str, Any]:
        """Both parts."""
        return {"inside": self.inside.to_json(), "outermost": self.outermost.to_json()}


def nested_counts(gold: Iterable[Mention], predicted: Iterable[Mention]) -> NestedCounts:
    """Exact matching, separately for mentions inside others and for outermost ones.

    The part of a gold mention depends on the other gold mentions, that of a predicted one on the other predictions: if
    a system predicts inner mentions only, they count as inner ones in recall and as outermost ones in precision.
    """
    gold_triples, predicted_triples = triples(gold), triples(predicted)
    gold_inside, predicted_inside = _inside_others(gold_triples), _inside_others(predicted_triples)

    def count_part(gold_part: set[Triple], predicted_part: set[Triple]) -> PartCounts:
        return PartCounts(
            gold=len(gold_part),
            gold_matched=len(gold_part & predicted_triples),
            predicted=len(predicted_part),
            predicted_matched=len(predicted_part & gold_triples),
        )

    return NestedCounts(
        inside=count_part(gold_inside, predicted_inside),
        outermost=count_part(gold_triples - gold_inside, predicted_triples - predicted_inside),
    )


def _inside_others(mentions: set[Triple]) -> set[Triple]:
    """Mentions whose span lies within another, longer span; two labels on one span are not nested."""
    inner_ranges: set[Range] = set()
    furthest_end = -1
    for start, end in sorted({(start, end) for start, end, _ in mentions}, key=lambda span: (span[0], -span[1])):
        if end <= furthest_end:
            inner_ranges.add((start, end))
        furthest_end = max(furthest_end, end)
    return {mention for mention in mentions if mention[:2] in inner_ranges}
