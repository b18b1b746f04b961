"""A span scorer, such as the label reader, as a voice of the ensemble: it proposes its best spans and votes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from entsemble._lib.text import one_line
from entsemble.prompting.align import find_occurrences
from entsemble.protocols import SpanScorer
from entsemble.types import NONE_LABEL, LabelSet, Mention, ScoredSpan, Span
from entsemble.voting.candidates import Candidate, Proposer, merge_proposals
from entsemble.voting.overlaps import resolve_overlaps
from entsemble.voting.rules import Ballot

_MIN_PROBABILITY = 1e-4
"""Bounds log-probabilities; spans below it are treated alike."""

_REMEMBERED_TEXTS = 256
"""A sentence is asked about twice, to propose and to vote."""


class SpanVoice(Proposer):
    """Proposes the spans that a scorer finds probable, and votes on candidates.

    Args:
        scorer: the model.
        labels: requested labels.
        kind: of the scorer, by which its features are named.
        minimum: probability from which on a span is proposed.
        name: in votes and ledgers; by default the scorer's.
        relative_weight: of its vote, relative to all members together.
        abstains: whether to abstain from a candidate that the model does not score, since that is no evidence: it is a
            list of names, or does not know all labels. By default the voice votes on every candidate.
        proposes_overlaps: whether spans that overlap a more probable one are proposed too, for a scorer to choose from.
    """

    def __init__(
        self,
        scorer: SpanScorer,
        labels: LabelSet,
        *,
        kind: str,
        minimum: float,
        name: str | None = None,
        relative_weight: float = 1.0,
        abstains: Callable[[Candidate], bool] | None = None,
        proposes_overlaps: bool = False,
    ) -> None:
        self._scorer, self._labels, self._minimum, self._relative_weight = scorer, labels, minimum, relative_weight
        self._name, self._abstains = name or scorer.name, abstains
        self.kind, self._proposes_overlaps = kind, proposes_overlaps
        self._scores = lru_cache(_REMEMBERED_TEXTS)(self._score_text)

    @property
    def name(self) -> str:
        """See `Proposer.name`."""
        return self._name

    @property
    def fingerprint(self) -> str:
        """Changes whenever its proposals or its votes could."""
        parts = self._name, self._scorer.fingerprint, self._minimum, self._relative_weight, self._proposes_overlaps
        return ":".join(map(str, parts))

    def scored_spans(self, text: str) -> Mapping[Span, ScoredSpan]:
        """The probabilities of the spans of a text; a span that is missing has none worth mentioning."""
        return self._scores(one_line(text))

    def propose(self, text: str, candidates: Sequence[Candidate]) -> list[Candidate]:
        """See `Proposer.propose`; of spans that overlap, the more probable."""
        line = one_line(text)
        mentions = [
            Mention(s.span.start, s.span.end, s.top_label, s.span.slice(line), s.score)
            for s in self._scores(line).values()
            if s.score >= self._minimum
        ]
        if not self._proposes_overlaps:
            mentions = list(resolve_overlaps(mentions, nested=self._labels.nested)[0])
        surfaces = [mention.span.slice(line) for mention in mentions]
        occurring = [surface for surface in surfaces if find_occurrences(line, surface)]  # not within a longer word
        return merge_proposals(line, candidates, occurring, self.name)

    def ballots(self, text: str, candidates: Sequence[Candidate]) -> list[Ballot | None]:
        """See `Proposer.ballots`; of several occurrences of a surface, the most probable one counts."""
        line = one_line(text)
        scores = self._scores(line)
        return [self._ballot(candidate, line, scores) for candidate in candidates]

    def _ballot(self, candidate: Candidate, line: str, scores: Mapping[Span, ScoredSpan]) -> Ballot | None:
        occurrences = [scores[span] for span in find_occurrences(line, candidate.surface) if span in scores]
        if not occurrences and self._abstains is not None and self._abstains(candidate):
            return None
        probabilities = dict.fromkeys(self._labels.names, 0.0)
        if occurrences:
            probabilities |= max(occurrences, key=lambda scored: scored.score).probabilities
        return Ballot(
            self.name,
            normalized_log_probabilities(probabilities),
            exact=True,
            is_proposer=self.name in candidate.proposers,
            relative_weight=self._relative_weight,
        )

    def _score_text(self, line: str) -> dict[Span, ScoredSpan]:
        [scored_spans] = self._scorer.score_spans([line], self._labels, _MIN_PROBABILITY)
        return {scored.span: scored for scored in scored_spans}


def normalized_log_probabilities(probabilities: Mapping[str, float]) -> dict[str, float]:
    """Independent probabilities of labels as one distribution over the labels and `none`.

    The best label keeps its probability p; `none` and the other labels share 1 - p in proportion to the product of the
    labels' complements and to their own odds.

    Args:
        probabilities: label -> probability in [0, 1].

    Returns:
        Label or `none` -> log-probability, normalised.
    """
    odds = {
        label: (p := min(max(value, _MIN_PROBABILITY), 1 - _MIN_PROBABILITY)) / (1 - p)
        for label, value in probabilities.items()
    }
    best = max(odds, key=odds.__getitem__)
    top = odds[best] / (1 + odds[best])
    rest = 1 + sum(value for label, value in odds.items() if label != best)
    shares = {label: (top if label == best else (1 - top) * value / rest) for label, value in odds.items()}
    shares[NONE_LABEL] = (1 - top) / rest
    return {label: math.log(max(share, 1e-12)) for label, share in shares.items()}
