"""What the pool knows by heart: its names, what each was annotated as, and how often it stands there unannotated.

EL4NER asks models alone. That a pool's statistics tell where demonstrations and models go wrong is DEER's idea (arXiv
2505.23722); here they are a voice of their own, which proposes and votes like a member. It asks no model itself; what
it alone proposes is one more span that the members type.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from entsemble._lib.text import one_line, word_spans
from entsemble.pool.leakage import Copies
from entsemble.prompting.align import find_occurrences
from entsemble.types import NONE_LABEL, Document, LabelSet, Span
from entsemble.voting.candidates import Candidate, Proposer
from entsemble.voting.rules import Ballot

NAME = "pool"
"""How votes, reports and the ledger call it."""

_MOST = 3.0
"""However often it saw a name, it counts no more than this, all members together being 1."""

_LEAST = 1e-4
"""Probability of what was never seen."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the pool says of a surface.

    Attributes:
        labels: label -> times it was annotated so.
        seen: times it stands there, annotated or not.
    """

    labels: Counter[str]
    seen: int

    @property
    def named(self) -> float:
        """The share that was annotated."""
        return sum(self.labels.values()) / self.seen


class Gazetteer(Proposer):
    """The names of a pool.

    Args:
        documents: annotated sentences.
        labels: that are asked for.
        half: how often a surface must have been seen to count as much as all members together.
        language: of the texts, for their sentence boundaries.
    """

    name = NAME

    def __init__(self, documents: Sequence[Document], labels: LabelSet, half: float, language: str = "en") -> None:
        self._labels, self._half = labels, half
        self._named: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for document in documents:
            for mention in document.mentions:
                self._named[one_line(mention.text)][mention.label] += 1
        self._longest: dict[str, int] = {}
        for name in self._named:
            if words := word_spans(name):
                first = words[0].of(name)
                self._longest[first] = max(len(words), self._longest.get(first, 0))
        self._seen = Counter(surface for document in documents for surface in self._standing(document))
        self._copies = Copies(documents, language)

    def propose(self, text: str, candidates: Sequence[Candidate]) -> list[Candidate]:
        """See `Proposer.propose`."""
        return self.with_proposals(text, candidates, self.known(text))

    def ballots(self, text: str, candidates: Sequence[Candidate]) -> list[Ballot | None]:
        """See `Proposer.ballots`."""
        known = self.known(text)
        return [self.ballot(candidate, known) for candidate in candidates]

    def known(self, text: str) -> dict[str, Known]:
        """The pool's names in a text; what they were in this very text, whole or in part, is left out."""
        found = {}
        same = self._copies.of(text)
        for surface in {surface for surface, _ in self._names_in(text)}:
            labels, seen = Counter(self._named[surface]), self._seen[surface]
            for document in same:
                labels -= Counter(m.label for m in document.mentions if one_line(m.text) == surface)
                seen -= sum(standing == surface for standing in self._standing(document))
            if labels:
                found[surface] = Known(labels, max(seen, sum(labels.values())))
        return found

    def with_proposals(self, text: str, candidates: Sequence[Candidate], known: dict[str, Known]) -> list[Candidate]:
        """The candidates and, in text order, the names that are names more often than not.

        Where mentions do not nest, the longest, and none that stands within a longer candidate alone.
        """
        line = one_line(text)
        names = {surface for surface, told in known.items() if told.named > 0.5 and find_occurrences(line, surface)}
        places = sorted(
            ((s, span) for s, span in self._names_in(text) if s in names), key=lambda p: p[1].start - p[1].end
        )
        longer = [span for c in candidates for span in find_occurrences(line, c.surface)]
        kept: list[tuple[str, Span]] = []
        for surface, span in places:
            rivals = [other for other in longer if other.contains(span) and other != span]
            if self._labels.nested or not (rivals or any(span.overlaps(other) for _, other in kept)):
                kept.append((surface, span))
        proposed = {surface for surface, _ in kept}
        members = {c.surface: (*c.proposers, NAME) if c.surface in proposed else c.proposers for c in candidates}
        members |= {surface: (NAME,) for surface in proposed if surface not in members}
        first = {surface: find_occurrences(line, surface)[0] for surface in members}
        order = sorted(members, key=lambda s: (first[s].start, -first[s].end))
        return [Candidate(surface, members[surface]) for surface in order]

    def ballot(self, candidate: Candidate, known: dict[str, Known]) -> Ballot | None:
        """What it says of a candidate; nothing of one that it never saw."""
        told = known.get(candidate.surface)
        if told is None:
            return None
        shares = {label: told.labels[label] / told.seen for label in self._labels.names}
        shares[NONE_LABEL] = max(0.0, 1 - sum(shares.values()))
        beliefs = {label: math.log(max(share, _LEAST)) for label, share in shares.items()}
        return Ballot(
            NAME,
            beliefs,
            exact=True,
            is_proposer=NAME in candidate.proposers,
            relative_weight=min(told.seen / self._half, _MOST),
        )

    def _names_in(self, text: str) -> Iterator[tuple[str, Span]]:
        """Every place of every name, as it is written in the pool."""
        line = one_line(text)
        words = word_spans(line)
        for i, word in enumerate(words):
            for last in words[i : i + self._longest.get(word.of(line), 0)]:
                if (surface := line[word.start : last.end]) in self._named:
                    yield surface, Span(word.start, last.end)

    def _standing(self, document: Document) -> Iterator[str]:
        """The names in a document that could have been annotated: where mentions do not nest, not within a longer."""
        for surface, span in self._names_in(document.text):
            around = (m.span for m in document.mentions if m.span.contains(span) and m.span != span)
            if self._labels.nested or not any(around):
                yield surface
