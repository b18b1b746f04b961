"""What the page shows beside the report, counted pair by pair: of the documents, it holds only those of the errors."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import attrgetter

import numpy as np
import numpy.typing as npt

from entsemble.evaluation.counts import Counts
from entsemble.evaluation.documents import DocumentPair
from entsemble.evaluation.error_analysis import ConfusionCounts, count_confusions
from entsemble.evaluation.matching import exact_counts, triples
from entsemble.evaluation.report import scored_mentions
from entsemble.evaluation.tally import ScoreTally
from entsemble.types import Document, Mention

MAX_ERRORS = 50
"""Errors shown in context."""

_MAX_EXPLAINING = 5
"""Gold mentions that the explanation of an error names."""


@dataclass(frozen=True, slots=True)
class ShownError:
    """A wrong prediction or a missed gold mention.

    Attributes:
        document: the document that it is in.
        mention: the predicted or gold mention.
        explanation: the gold mentions there, or "missed".
        priority: higher ones are shown first.
        is_missed: whether it is a missed gold mention.
    """

    document: Document
    mention: Mention
    explanation: str
    priority: float
    is_missed: bool

    @property
    def rank(self) -> tuple[float, str, int]:
        """Lower ones are shown first."""
        return -self.priority, self.document.id, self.mention.start


class PageTally:
    """Counts by label and document, confusions, scores, and the first errors.

    Attributes:
        confusions: of all documents.
        error_count: of all documents.
    """

    def __init__(self) -> None:
        self.confusions = ConfusionCounts()
        self.error_count = 0
        self._document_count = 0
        self._frequencies: dict[str, Counter[Counts]] = {}
        self._scores = ScoreTally()
        self._errors: list[ShownError] = []

    def add(self, position: int, pair: DocumentPair) -> None:
        """Add a gold document and its prediction."""
        self._document_count += 1
        self.confusions.update(count_confusions(pair.gold.mentions, pair.predicted_mentions))
        for label, counts in exact_counts(pair.gold.mentions, pair.predicted_mentions).items():
            self._frequencies.setdefault(label, Counter())[counts] += 1
        self._scores.add(position, scored_mentions(pair))
        for error in find_errors(pair):
            self.error_count += 1
            self._errors.append(error)
        if len(self._errors) > 2 * MAX_ERRORS:
            self._errors = self.errors

    @property
    def errors(self) -> list[ShownError]:
        """The first `MAX_ERRORS` errors: wrong predictions by descending score, then missed mentions."""
        return sorted(self._errors, key=attrgetter("rank"))[:MAX_ERRORS]

    @property
    def scores(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
        """Scores of predictions, and whether they are correct: [predictions] each."""
        scores, correct, _ = self._scores.columns
        return scores, correct

    def document_frequencies(self, label: str) -> Counter[Counts]:
        """Counts of a label in a document -> the number of documents with these counts."""
        frequencies = self._frequencies.get(label, Counter()).copy()
        frequencies[Counts()] += self._document_count - frequencies.total()
        return frequencies


def find_errors(pair: DocumentPair) -> Iterator[ShownError]:
    """Wrong predictions, with the gold mentions that they overlap, and missed mentions that no wrong one overlaps."""
    gold_triples, predicted_triples = triples(pair.gold.mentions), triples(pair.predicted_mentions)
    wrong = [mention for mention in pair.predicted_mentions if not triples([mention]) <= gold_triples]
    gold_index = _OverlapIndex(pair.gold.mentions) if wrong else _OverlapIndex(())
    for mention in wrong:
        overlapping = gold_index.overlapping(mention)
        named = [f"{gold.text}: {gold.label}" for _, gold in zip(range(_MAX_EXPLAINING), overlapping, strict=False)]
        named += ["..."] if any(True for _ in overlapping) else []
        score = 1.0 if mention.score is None else mention.score
        yield ShownError(pair.gold, mention, f"gold: {'; '.join(named) or 'no mention'}", score, is_missed=False)
    wrong_index = _OverlapIndex(wrong)
    for mention in pair.gold.mentions:
        is_found = triples([mention]) <= predicted_triples
        if not is_found and next(wrong_index.overlapping(mention), None) is None:
            yield ShownError(pair.gold, mention, "missed", -1.0, is_missed=True)


class _OverlapIndex:
    """Finds the mentions that overlap another one, without looking at all of them."""

    def __init__(self, mentions: Sequence[Mention]) -> None:
        self._mentions = sorted(mentions, key=attrgetter("start", "end"))
        self._starts = [mention.start for mention in self._mentions]
        self._largest_ends = list(accumulate((mention.end for mention in self._mentions), max))

    def overlapping(self, mention: Mention) -> Iterator[Mention]:
        """The mentions that share characters with it, by their starts."""
        first = bisect_left(self._largest_ends, mention.start + 1)  # all before end where it starts, or earlier
        for other in self._mentions[first : bisect_left(self._starts, mention.end)]:
            if other.span.overlaps(mention.span):
                yield other
