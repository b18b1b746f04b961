"""Candidates for entities, and the interface of what proposes them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from entsemble._lib.text import one_line
from entsemble.prompting.align import find_occurrences
from entsemble.types import Span
from entsemble.voting.rules import Ballot


@dataclass(frozen=True, slots=True)
class Candidate:
    """A surface proposed as an entity.

    Attributes:
        surface: as written at its first occurrence in the text.
        proposers: names of the members and proposers that proposed it, in the ensemble's order.
    """

    surface: str
    proposers: tuple[str, ...]


class Proposer(Protocol):
    """A source of candidates besides the members, such as the pool's names.

    To add one, subclass this and append an instance to the pipeline's list. A proposer that votes as well overrides
    `ballots`.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """Identifies the proposer in votes, reports and the ledger; no member may have the same name."""

    @abstractmethod
    def propose(self, text: str, candidates: Sequence[Candidate]) -> list[Candidate]:
        """The candidates and the proposer's additions, in text order; see `add_proposals`.

        Args:
            text: the sentence.
            candidates: proposed by the members and by earlier proposers.
        """

    def ballots(self, text: str, candidates: Sequence[Candidate]) -> list[Ballot | None]:  # noqa: ARG002 - a default
        """One ballot per candidate, `None` to abstain. By default the proposer does not vote."""
        return [None] * len(candidates)


def add_proposals(text: str, candidates: Sequence[Candidate], surfaces: Iterable[str], name: str) -> list[Candidate]:
    """The candidates and those surfaces that share no occurrence with any of them, in text order.

    Args:
        text: the sentence.
        candidates: proposed so far.
        surfaces: proposed in addition; a surface that does not occur in the text is ignored.
        name: of the proposer.
    """
    line = one_line(text)
    first_spans = {candidate.surface: find_occurrences(line, candidate.surface)[0] for candidate in candidates}
    occupied_spans = {span for candidate in candidates for span in find_occurrences(line, candidate.surface)}
    extended = [*candidates]
    for surface in surfaces:
        spans = find_occurrences(line, surface)
        if spans and occupied_spans.isdisjoint(spans):
            first_spans[surface] = spans[0]
            occupied_spans.update(spans)
            extended.append(Candidate(surface, (name,)))
    return sorted(extended, key=lambda candidate: text_order(first_spans[candidate.surface]))


def merge_proposals(text: str, candidates: Sequence[Candidate], surfaces: Iterable[str], name: str) -> list[Candidate]:
    """The candidates, the proposer's name added to those that it proposes too, and its other surfaces, in text order.

    Args:
        text: the sentence.
        candidates: proposed so far.
        surfaces: that occur in the text.
        name: of the proposer.
    """
    line = one_line(text)
    proposers = {candidate.surface: candidate.proposers for candidate in candidates}
    for surface in dict.fromkeys(surfaces):
        proposers[surface] = (*proposers.get(surface, ()), name)
    first_spans = {surface: find_occurrences(line, surface)[0] for surface in proposers}
    return [Candidate(s, proposers[s]) for s in sorted(proposers, key=lambda s: text_order(first_spans[s]))]


def text_order(span: Span) -> tuple[int, int]:
    """Sort key: earlier start first, then the longer span."""
    return span.start, -span.end
