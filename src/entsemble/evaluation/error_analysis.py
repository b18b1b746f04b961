"""Error analysis: kinds of error, and confusions between labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

from entsemble.evaluation.bipartite import Triple, largest_pairing, pair_same_boundaries, pair_same_label
from entsemble.evaluation.matching import triples
from entsemble.types import Mention

NO_MENTION = ""
"""The predicted label of a missed mention, and the gold label of a spurious one."""

ConfusionCounts = Counter[tuple[str, str]]
"""(gold label, predicted label) -> frequency."""


@dataclass(frozen=True, slots=True)
class ErrorCounts:
    """Errors by kind. The four kinds with a gold mention add up to `fn`, those with a predicted mention to `fp`.

    Attributes:
        missed: gold mentions without a related prediction.
        spurious: predicted mentions without a related gold mention.
        wrong_label: same boundaries, different label.
        wrong_boundary: same label, different boundaries that overlap.
        wrong_label_and_boundary: different label and boundaries that overlap.
    """

    missed: int = 0
    spurious: int = 0
    wrong_label: int = 0
    wrong_boundary: int = 0
    wrong_label_and_boundary: int = 0

    def __add__(self, other: ErrorCounts) -> ErrorCounts:
        return ErrorCounts(
            self.missed + other.missed,
            self.spurious + other.spurious,
            self.wrong_label + other.wrong_label,
            self.wrong_boundary + other.wrong_boundary,
            self.wrong_label_and_boundary + other.wrong_label_and_boundary,
        )

    def to_json(self) -> dict[str, int]:
        """Counts by kind."""
        return asdict(self)


_Pairing = Callable[[set[Triple], set[Triple]], list[tuple[Triple, Triple]]]

_ERROR_KINDS: tuple[tuple[str, _Pairing], ...] = (
    ("wrong_label", pair_same_boundaries),
    ("wrong_boundary", pair_same_label),
    ("wrong_label_and_boundary", largest_pairing),
)
"""Kinds of error with a mention on both sides, the mildest first; each mention is explained once."""


def count_errors(gold: Iterable[Mention], predicted: Iterable[Mention]) -> ErrorCounts:
    """Classify the mentions that do not match exactly, pairing gold and predicted ones one-to-one.

    Exact matches are left out first, so a correct inner mention does not turn a missed outer one into a boundary error.
    """
    gold_triples, predicted_triples = triples(gold), triples(predicted)
    missed, spurious = gold_triples - predicted_triples, predicted_triples - gold_triples
    counts = {}
    for kind, pair_mentions in _ERROR_KINDS:
        pairs = pair_mentions(missed, spurious)
        missed -= {gold_triple for gold_triple, _ in pairs}
        spurious -= {predicted_triple for _, predicted_triple in pairs}
        counts[kind] = len(pairs)
    return ErrorCounts(missed=len(missed), spurious=len(spurious), **counts)


def count_confusions(gold: Iterable[Mention], predicted: Iterable[Mention]) -> ConfusionCounts:
    """Count (gold label, predicted label) of mentions with the same boundaries, one-to-one.

    Exact matches are counted first, so a span with two gold labels of which one was predicted adds no confusion.
    Mentions without a counterpart are paired with `NO_MENTION`.
    """
    gold_triples, predicted_triples = triples(gold), triples(predicted)
    correct = gold_triples & predicted_triples
    counts = ConfusionCounts((label, label) for _, _, label in correct)
    missed, spurious = gold_triples - correct, predicted_triples - correct
    for gold_triple, predicted_triple in pair_same_boundaries(missed, spurious):
        counts[gold_triple[2], predicted_triple[2]] += 1
        missed.remove(gold_triple)
        spurious.remove(predicted_triple)
    counts.update((label, NO_MENTION) for _, _, label in missed)
    counts.update((NO_MENTION, label) for _, _, label in spurious)
    return counts
