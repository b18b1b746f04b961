"""Gazetteer: the pool's names, their labels and how often they occur.

EL4NER asks models alone. That statistics of the pool show where demonstrations and models go wrong is DEER's idea
(arXiv 2505.23722); here they propose and vote like a member. The gazetteer asks no model itself; a name that it alone
proposes is one more span that the members classify.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from entsemble._lib.spans import select_non_overlapping
from entsemble._lib.text import one_line, word_spans
from entsemble.pool.leakage import REMEMBERED_TEXTS, LeakageGuard
from entsemble.prompting.align import find_occurrences
from entsemble.types import NONE_LABEL, Document, LabelSet, Span
from entsemble.voting.candidates import Candidate, Proposer, merge_proposals
from entsemble.voting.rules import Ballot

_MAX_WEIGHT = 3.0
"""Weight of the most frequent names, relative to all members together."""

_MIN_PROBABILITY = 1e-4
"""Probability of a label that the name never had."""


@dataclass(frozen=True, slots=True)
class NameCounts:
    """How often a name occurs in the pool.

    Attributes:
        label_counts: label -> mentions.
        occurrences: mentions and occurrences without annotation.
    """

    label_counts: Counter[str]
    occurrences: int

    @property
    def mention_share(self) -> float:
        """The share of the occurrences that are mentions."""
        return sum(self.label_counts.values()) / self.occurrences


class Gazetteer(Proposer):
    """The names of a pool.

    Args:
        leakage_guard: the annotated sentences, and which of them a text must not use.
        labels: that are asked for.
        full_weight_count: occurrences of a name at which it weighs as much as all members together.
    """

    name = "pool"

    def __init__(self, leakage_guard: LeakageGuard, labels: LabelSet, full_weight_count: float) -> None:
        self._labels, self._full_weight_count = labels, full_weight_count
        self._label_counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for document in leakage_guard.documents:
            for mention in document.mentions:
                self._label_counts[one_line(mention.text)][mention.label] += 1
        self._max_words: dict[str, int] = {}
        """First word of a name -> words of the longest name that starts with it."""
        for name in self._label_counts:
            if words := word_spans(name):
                first_word = words[0].slice(name)
                self._max_words[first_word] = max(len(words), self._max_words.get(first_word, 0))
        self._occurrences = Counter(
            surface for document in leakage_guard.documents for surface in self._occurring_names(document)
        )
        self._leakage_guard = leakage_guard
        self._counts = lru_cache(REMEMBERED_TEXTS)(self._count_names)

    def propose(self, text: str, candidates: Sequence[Candidate]) -> list[Candidate]:
        """See `Proposer.propose`; names are proposed that are mentions more often than not.

        Where mentions do not nest: the longest names, and none that occurs within a longer candidate only.
        """
        line = one_line(text)
        surfaces = [span.slice(line) for span in self._proposed_spans(text, candidates)]
        return merge_proposals(text, candidates, surfaces, self.name)

    def ballots(self, text: str, candidates: Sequence[Candidate]) -> list[Ballot | None]:
        """See `Proposer.ballots`; it abstains from candidates that are not names of the pool."""
        name_counts = self.lookup(text)
        return [self._ballot(candidate, name_counts.get(candidate.surface)) for candidate in candidates]

    def lookup(self, text: str) -> Mapping[str, NameCounts]:
        """Counts of the pool's names in a text, without the documents that would leak the text's annotation."""
        return self._counts(text)

    def _count_names(self, text: str) -> Mapping[str, NameCounts]:
        name_counts = {}
        leaking_documents = self._leakage_guard.leaking_documents(text)
        for surface in {surface for surface, _ in self._name_spans(text)}:
            label_counts, occurrence_count = Counter(self._label_counts[surface]), self._occurrences[surface]
            for document in leaking_documents:
                label_counts -= Counter(
                    mention.label for mention in document.mentions if one_line(mention.text) == surface
                )
                occurrence_count -= sum(name == surface for name in self._occurring_names(document))
            if label_counts:
                mention_count = sum(label_counts.values())
                name_counts[surface] = NameCounts(label_counts, max(occurrence_count, mention_count))
        return name_counts

    def _proposed_spans(self, text: str, candidates: Sequence[Candidate]) -> list[Span]:
        """Occurrences of the names that are proposed, long ones first."""
        line = one_line(text)
        names = {
            surface
            for surface, counts in self.lookup(text).items()
            if counts.mention_share > 0.5 and find_occurrences(line, surface)
        }
        spans = [span for surface, span in self._name_spans(text) if surface in names]
        spans.sort(key=lambda span: span.start - span.end)
        if self._labels.nested:
            return spans
        candidate_spans = [span for candidate in candidates for span in find_occurrences(line, candidate.surface)]
        return select_non_overlapping(
            span for span in spans if not any(other.contains(span) and other != span for other in candidate_spans)
        )

    def _ballot(self, candidate: Candidate, counts: NameCounts | None) -> Ballot | None:
        if counts is None:
            return None
        shares = {label: counts.label_counts[label] / counts.occurrences for label in self._labels.names}
        shares[NONE_LABEL] = max(0.0, 1 - sum(shares.values()))
        return Ballot(
            self.name,
            {label: math.log(max(share, _MIN_PROBABILITY)) for label, share in shares.items()},
            exact=True,
            is_proposer=self.name in candidate.proposers,
            relative_weight=min(counts.occurrences / self._full_weight_count, _MAX_WEIGHT),
        )

    def _name_spans(self, text: str) -> Iterator[tuple[str, Span]]:
        """Every occurrence of every name, spelled as in the pool."""
        line = one_line(text)
        words = word_spans(line)
        for index, first_word in enumerate(words):
            for last_word in words[index : index + self._max_words.get(first_word.slice(line), 0)]:
                if (surface := line[first_word.start : last_word.end]) in self._label_counts:
                    yield surface, Span(first_word.start, last_word.end)

    def _occurring_names(self, document: Document) -> Iterator[str]:
        """The names in a document that could be annotated: where mentions do not nest, none inside a longer one."""
        for surface, span in self._name_spans(document.text):
            is_within = any(mention.span.contains(span) and mention.span != span for mention in document.mentions)
            if self._labels.nested or not is_within:
                yield surface
