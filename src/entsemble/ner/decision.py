"""From scored candidate spans to mentions and ledger entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from entsemble.ner.ledger import Fate, LedgerEntry
from entsemble.ner.rules import UserRules
from entsemble.ner.stages.retrieve import DemonstrationLimits
from entsemble.types import NONE_LABEL, Mention, Span
from entsemble.voting.candidates import Candidate
from entsemble.voting.overlaps import are_incompatible, resolve_overlaps
from entsemble.voting.rules import Verdict, VotingRule

DEFAULT_THRESHOLD = 0.4
"""Minimum score of a mention if the user sets no threshold and there is no learned scorer."""

_READER_THRESHOLD, _READER_THRESHOLD_FOR_FEW_LABELS = 0.12, 0.2
"""The same where a label reader decides: the best on its held-out domains, and on six corpora with 3 to 6 labels
(`benchmarks/reader/thresholds.py`). The fewer labels are requested, the more names are of none of them, which the
reader underestimates."""

_FEW_LABELS = 6


def threshold_for_reader(label_count: int) -> float:
    """Minimum score of a mention where a label reader decides without members, and without a learned scorer."""
    return _READER_THRESHOLD_FOR_FEW_LABELS if label_count <= _FEW_LABELS else _READER_THRESHOLD


@dataclass(frozen=True, slots=True)
class DecisionRules:
    """How the members' replies are combined.

    Attributes:
        voting_rule: one of `voting.rules.VOTING_RULES`.
        threshold: minimum score of a mention; `None` uses the learned scorer's, or else `default_threshold`.
        verifier: name of the member that verifies; `None` leaves out stage 4.
        verifier_threshold: a mention is denied if the verifier's probability of yes is below this.
        demonstration_limits: demonstrations per sentence.
        skip_larger_above: the larger members skip a span that all smaller members type alike with at least this
            probability; `None` never skips.
        skip_verification_above: a span that all voters type alike, with at least this score, is not verified; `None`
            verifies all.
        quorum: how many members must answer a sentence; `None` requires all.
        effort: share of the range of scores, around 0.5, whose candidates are put to members where voices answer first;
            `None` puts all to them at once.
        default_threshold: minimum score of a mention if there is neither a threshold nor a learned scorer.
        user: rules that take precedence over the votes.
    """

    voting_rule: VotingRule
    threshold: float | None
    verifier: str | None
    verifier_threshold: float
    demonstration_limits: DemonstrationLimits
    skip_larger_above: float | None = None
    skip_verification_above: float | None = None
    quorum: int | None = None
    effort: float | None = None
    default_threshold: float = DEFAULT_THRESHOLD
    user: UserRules = field(default_factory=UserRules)

    @property
    def vote_threshold(self) -> float:
        """Minimum score of a mention without a learned scorer."""
        return self.default_threshold if self.threshold is None else self.threshold

    def leaves_open(self, score: float) -> bool:
        """Whether members are asked about a candidate that the voices give this score."""
        return self.effort is not None and abs(score - 0.5) <= self.effort / 2

    def skips_verification(self, verdict: Verdict) -> bool:
        """Whether the voters agree, and score high enough, to leave out the verifier."""
        minimum = self.skip_verification_above
        is_unanimous = all(ballot.top_label == verdict.label for ballot in verdict.ballots)
        return minimum is not None and verdict.score >= minimum and is_unanimous


@dataclass(frozen=True, slots=True)
class ScoredSpan:
    """An occurrence of a candidate, after stages 3 and 4.

    Attributes:
        span: the occurrence.
        candidate: the surface and its proposers.
        vote_verdict: the verdict of the vote.
        verdict: the verdict that counts: the learned scorer's, if there is one.
        yes_probability: the verifier's, `None` if it was not asked.
    """

    span: Span
    candidate: Candidate
    vote_verdict: Verdict
    verdict: Verdict
    yes_probability: float | None

    @property
    def label(self) -> str | None:
        """The label before verification and overlap resolution, `None` for no entity."""
        return None if self.verdict.label == NONE_LABEL else self.verdict.label


@dataclass(frozen=True, slots=True)
class Decision:
    """Selects the mentions among scored spans.

    Attributes:
        rules: thresholds and the voting rule.
        threshold: minimum score of a mention.
        nested: whether mentions may lie inside one another.
    """

    rules: DecisionRules
    threshold: float
    nested: bool

    def reaches_threshold(self, verdict: Verdict) -> bool:
        """Whether the score is high enough for a mention with this label."""
        return verdict.score >= self.rules.user.threshold(verdict.label, self.threshold)

    def is_denied(self, scored: ScoredSpan) -> bool:
        """Whether the verifier was asked and denied the label."""
        return scored.yes_probability is not None and scored.yes_probability < self.rules.verifier_threshold

    def select_mentions(
        self, text: str, scored_spans: Sequence[ScoredSpan]
    ) -> tuple[tuple[Mention, ...], list[LedgerEntry]]:
        """The mentions, in text order, and a ledger entry for each scored span."""
        allowed = [scored for scored in scored_spans if not self._is_forbidden(text, scored)]
        eligible = [_mention(text, scored.span, scored.verdict) for scored in allowed if self._is_eligible(scored)]
        mentions, losers = resolve_overlaps(eligible, nested=self.nested)
        winners = {mention.span: winner for mention, winner in losers}
        ledger = []
        for scored in scored_spans:
            fate, detail = self._fate(scored, mentions, winners)
            if self._is_forbidden(text, scored):
                fate, detail = Fate.FORBIDDEN, ""
            surface, proposers = scored.span.slice(text), scored.candidate.proposers
            verdict = scored.verdict
            score = round(verdict.score, 4)
            ledger.append(LedgerEntry(surface, fate, proposers, scored.span, verdict.label, detail, score))
        return tuple(mentions), ledger

    def member_mentions(self, text: str, scored_spans: Sequence[ScoredSpan], member_name: str) -> tuple[Mention, ...]:
        """The mentions by one member's own proposals and ballots alone, in text order."""
        mentions = []
        for scored in scored_spans:
            ballots = [ballot for ballot in scored.verdict.ballots if ballot.voter == member_name]
            if not ballots or member_name not in scored.candidate.proposers:
                continue
            verdict = self.rules.voting_rule(ballots)
            if verdict.label != NONE_LABEL and verdict.score >= self.rules.vote_threshold:
                mentions.append(_mention(text, scored.span, verdict))
        return tuple(resolve_overlaps(mentions, nested=self.nested)[0])

    def _is_forbidden(self, text: str, scored: ScoredSpan) -> bool:
        return scored.label is not None and self.rules.user.forbid(scored.span.slice(text), scored.label)

    def _is_eligible(self, scored: ScoredSpan) -> bool:
        return scored.label is not None and self.reaches_threshold(scored.verdict) and not self.is_denied(scored)

    def _fate(
        self, scored: ScoredSpan, mentions: Sequence[Mention], winners: Mapping[Span, Mention]
    ) -> tuple[Fate, str]:
        """The fate of a scored span and its explanation.

        Args:
            scored: the span.
            mentions: the final mentions.
            winners: span that lost to an overlapping mention -> that mention.
        """
        verdict = scored.verdict
        score = f"score {verdict.score:.3f}"
        if self._is_eligible(scored):
            winner = winners.get(scored.span)
            return (Fate.OVERLAPPED, f"{winner.text} ({winner.label})") if winner else (Fate.KEPT, score)
        if scored.label is None:
            return Fate.OUTVOTED, f"nearest label {verdict.best_label}, {verdict.score:.3f}"
        if not self.reaches_threshold(verdict):
            rivals = [
                mention for mention in mentions if are_incompatible(scored.span, mention.span, nested=self.nested)
            ]
            return Fate.BELOW_THRESHOLD, score + "".join(f", overlaps {rival.text} ({rival.label})" for rival in rivals)
        return Fate.DENIED, f"probability of yes {scored.yes_probability:.3f}"


def _mention(text: str, span: Span, verdict: Verdict) -> Mention:
    votes = {ballot.voter: ballot.top_label for ballot in verdict.ballots}
    if verdict.label not in votes.values():  # improbable to each, and yet the best: say whose it is
        votes |= {ballot.voter: verdict.label for ballot in verdict.ballots if ballot.suggests(verdict.label)}
    return Mention(span.start, span.end, verdict.label, span.slice(text), round(verdict.score, 4), votes)
