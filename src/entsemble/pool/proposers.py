"""Proposers beside the gazetteer: naive Bayes over words, and capitalised spans."""

from __future__ import annotations

from collections.abc import Sequence

from entsemble.pool import capitalised, word_counts
from entsemble.pool.word_counts import WordStatistics
from entsemble.voting.candidates import Candidate, Proposer, add_proposals


class NaiveBayesProposer(Proposer):
    """Proposes the spans that naive Bayes finds likelier to be a mention than not.

    Args:
        words: the pool's words.
    """

    name = word_counts.NAME

    def __init__(self, words: WordStatistics) -> None:
        self.words = words

    def propose(self, text: str, candidates: Sequence[Candidate]) -> list[Candidate]:
        """See `Proposer.propose`."""
        return add_proposals(text, candidates, self.words.likely_spans(text), self.name)


class CapitalisedProposer(Proposer):
    """Proposes runs of capitalised words."""

    name = capitalised.NAME

    def propose(self, text: str, candidates: Sequence[Candidate]) -> list[Candidate]:
        """See `Proposer.propose`."""
        return add_proposals(text, candidates, capitalised.capitalised_spans(text), self.name)
