"""Which label was taken for which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from entsemble.evaluation.bipartite import largest_pairing
from entsemble.evaluation.matching import triples
from entsemble.types import Mention

NO_MENTION = ""
"""Stands for no mention: what was missed was taken for it, and what is spurious was taken out of it."""

ConfusionCounts = Counter[tuple[str, str]]
"""(gold label, predicted label) -> how often."""


def count_confusions(gold: Iterable[Mention], predicted: Iterable[Mention]) -> ConfusionCounts:
    """Labels of equal ranges against one another, one to one; the rest against nothing.

    A range with two labels of which one was found confuses nothing: what is right is taken out first.
    """
    wanted, found = triples(gold), triples(predicted)
    right = wanted & found
    taken = ConfusionCounts((label, label) for *_, label in right)
    missed, spurious = wanted - right, found - right
    for one, other in largest_pairing(missed, spurious, lambda g, p: g[:2] == p[:2]):
        taken[one[2], other[2]] += 1
        missed, spurious = missed - {one}, spurious - {other}
    taken.update((label, NO_MENTION) for *_, label in missed)
    taken.update((NO_MENTION, label) for *_, label in spurious)
    return taken
