"""What went wrong with the mentions that are not exactly right, by kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from entsemble.evaluation.bipartite import Triple, largest_pairing
from entsemble.evaluation.matching import same_label, triples
from entsemble.types import Mention


@dataclass(frozen=True, slots=True)
class ErrorCounts:
    """What went wrong, by kind. The four kinds with a gold side add up to `fn`, those with a predicted side to `fp`.

    Attributes:
        missed: gold, with no prediction to blame it on.
        spurious: predicted, with no gold mention to blame it on.
        wrong_label: the range is right, the label is not.
        wrong_boundary: the label is right, and the range overlaps.
        wrong_label_and_boundary: the range overlaps, and the label is another.
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
        return {
            "missed": self.missed,
            "spurious": self.spurious,
            "wrong_label": self.wrong_label,
            "wrong_boundary": self.wrong_boundary,
            "wrong_label_and_boundary": self.wrong_label_and_boundary,
        }


_KINDS: tuple[tuple[str, Callable[[Triple, Triple], bool]], ...] = (
    ("wrong_label", lambda gold, predicted: gold[:2] == predicted[:2]),
    ("wrong_boundary", same_label),
    ("wrong_label_and_boundary", lambda _gold, _predicted: True),
)
"""The mildest explanation first; what it explains is not explained again."""


def count_errors(gold: Iterable[Mention], predicted: Iterable[Mention]) -> ErrorCounts:
    """Sort the mentions that are not exactly right into kinds, one to one.

    What is exactly right takes no part, so an inner mention that was found does not turn the outer one, which was not,
    into a boundary error.
    """
    wanted, found = triples(gold), triples(predicted)
    missed, spurious = wanted - found, found - wanted
    kinds = {}
    for kind, agree in _KINDS:
        explained = largest_pairing(missed, spurious, agree)
        missed -= {g for g, _ in explained}
        spurious -= {p for _, p in explained}
        kinds[kind] = len(explained)
    return ErrorCounts(missed=len(missed), spurious=len(spurious), **kinds)
