"""Voting rules: pure functions from ballots to a verdict.

In EL4NER (arXiv 2505.23038, step 3) every model types every span, and the majority decides. A soft vote averages the
members' probabilities instead, so that a confident member counts for more than an undecided one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from entsemble.errors import UnknownNameError
from entsemble.types import NONE_LABEL

_SHRINKAGE = 8
"""Pseudo-count of candidates that shrinks the batch-calibration bias towards zero."""

_MIN_PROBABILITY = 1e-4
"""Lower bound on a label's probability, so that its logarithm stays finite."""


@dataclass(frozen=True, slots=True)
class Ballot:
    """One voter's probabilities for one candidate.

    Attributes:
        voter: name of the member, or of a proposer that votes.
        log_probabilities: label name or `none` -> log-probability, normalised.
        exact: False if the backend returns its choice only, without probabilities.
        is_proposer: whether the voter also proposed the candidate.
        weight: of a member in a weighted vote.
        relative_weight: of a voter that is not a member: its weight relative to the members' total.
    """

    voter: str
    log_probabilities: Mapping[str, float]
    exact: bool
    is_proposer: bool
    weight: float = 1.0
    relative_weight: float | None = None

    @property
    def top_label(self) -> str:
        """The most probable label; `none` wins ties, so that an undecided voter names no entity."""
        return max(self.log_probabilities, key=lambda label: (self.log_probabilities[label], label == NONE_LABEL))

    def suggests(self, label: str) -> bool:
        """Whether this is a voice's, which proposed the candidate and of all labels finds `label` the most probable.

        A voice may propose what it finds less probable than `none`; a member never does.
        """
        labels = [name for name in self.log_probabilities if name != NONE_LABEL]
        is_voice = self.relative_weight is not None
        return is_voice and self.is_proposer and label == max(labels, key=self.log_probabilities.__getitem__)

    def probability(self, label: str) -> float:
        """The probability of `label`."""
        return math.exp(self.log_probabilities[label])


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of a vote on one candidate.

    Attributes:
        label: the winning label, or `none`.
        score: confidence that the candidate is an entity of type `best_label`, in [0, 1].
        best_label: the most probable label other than `none`; equals `label` if the candidate is an entity.
        ballots: all that were cast.
    """

    label: str
    score: float
    best_label: str
    ballots: tuple[Ballot, ...]


VotingRule = Callable[[Sequence[Ballot]], Verdict]


def majority_vote(ballots: Sequence[Ballot]) -> Verdict:
    """The label that most voters chose, as in the paper; ties go to the higher mean probability.

    The score is the winner's mean probability.
    """
    means = _mean_probabilities(ballots, [1.0] * len(ballots))
    vote_counts = {label: sum(ballot.top_label == label for ballot in ballots) for label in means}
    winner = max(means, key=lambda label: (vote_counts[label], means[label]))
    best_label = winner if winner != NONE_LABEL else max(_without_none(means), key=means.__getitem__)
    return Verdict(winner, means[best_label], best_label, tuple(ballots))


def soft_vote(ballots: Sequence[Ballot]) -> Verdict:
    """The label with the highest score: mean probability, discounted by the share of voters that proposed the span.

    `none` cannot win; it lowers the scores of the others, and the threshold decides.
    """
    return _score_vote(ballots, [1.0] * len(ballots))


def soft_vote_scores(ballots: Sequence[Ballot]) -> dict[str, float]:
    """The score of each label in a soft vote, in [0, 1], without `none`."""
    return _scores(ballots, _effective_weights(ballots, [1.0] * len(ballots)))


def weighted_vote(ballots: Sequence[Ballot]) -> Verdict:
    """A soft vote in which each member counts by its weight."""
    return _score_vote(ballots, [ballot.weight for ballot in ballots])


def union_vote(ballots: Sequence[Ballot]) -> Verdict:
    """The most confident label of any member that proposed the candidate (SaM, arXiv 2506.22813).

    SaM unites the results of its models, so each model decides about its own proposals. By proposing a candidate it
    claims that it is an entity, so `none` is ignored: experts answer `none` for labels that they were not trained on.
    The score is the winner's probability, given that the candidate is an entity.
    """
    member_ballots = [ballot for ballot in ballots if ballot.relative_weight is None]
    proposer_ballots = [ballot for ballot in member_ballots if ballot.is_proposer]
    if not proposer_ballots and any(ballot.is_proposer for ballot in ballots):
        # Proposed by the pool alone, whose probabilities are relative frequencies.
        pool_ballots = [ballot for ballot in ballots if ballot.relative_weight is not None]
        return replace(_score_vote(pool_ballots, [1.0] * len(pool_ballots)), ballots=tuple(ballots))
    distributions = [
        distribution_given_entity(ballot.log_probabilities) for ballot in proposer_ballots or member_ballots or ballots
    ]
    most_confident = max(distributions, key=lambda distribution: max(distribution.values()))
    winner = max(most_confident, key=most_confident.__getitem__)
    return Verdict(winner, most_confident[winner], winner, tuple(ballots))


def distribution_given_entity(log_probabilities: Mapping[str, float]) -> dict[str, float]:
    """Label probabilities conditional on an entity: without `none`, renormalised.

    All are 0 if every label but `none` has probability 0, as with backends that return their choice only.
    """
    label_logs = _without_none(log_probabilities)
    maximum = max(label_logs.values())
    if maximum == -math.inf:
        return dict.fromkeys(label_logs, 0.0)
    unnormalised = {label: math.exp(value - maximum) for label, value in label_logs.items()}
    normaliser = sum(unnormalised.values())
    return {label: value / normaliser for label, value in unnormalised.items()}


def apply_bias(log_probabilities: Mapping[str, float], bias: Mapping[str, float]) -> dict[str, float]:
    """Log-probabilities with a bias added to the labels; the probability of `none` is unchanged.

    Args:
        log_probabilities: label or `none` -> log-probability, normalised.
        bias: label -> summand; missing labels have none.
    """
    entity_probability = 1 - math.exp(log_probabilities[NONE_LABEL])
    distribution = distribution_given_entity(
        {label: value + bias.get(label, 0.0) for label, value in log_probabilities.items()}
    )
    biased = dict(log_probabilities)
    for label, conditional in distribution.items():
        probability = conditional * entity_probability
        biased[label] = math.log(probability) if probability > 0 else -math.inf
    return biased


def batch_calibration_bias(log_probabilities: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The bias that removes a member's preference for some labels regardless of the candidate.

    The negative mean log-probability of each label (batch calibration, Zhou et al., 2023, arXiv 2309.17249): an expert
    overpredicts the labels that it was trained on. Few candidates shrink the bias towards zero.

    Args:
        log_probabilities: one distribution per candidate; labels and `none` -> log-probability.

    Returns:
        Label -> summand for `apply_bias`; empty if there are no candidates.
    """
    if not log_probabilities:
        return {}
    distributions = [distribution_given_entity(by_label) for by_label in log_probabilities]
    count = len(distributions)
    shrinkage_factor = count / (count + _SHRINKAGE)
    bias = {}
    for label in distributions[0]:
        mean_log = sum(math.log(max(by_label[label], _MIN_PROBABILITY)) for by_label in distributions) / count
        bias[label] = round(-shrinkage_factor * mean_log, 4)
    return bias


def _score_vote(ballots: Sequence[Ballot], weights: Sequence[float]) -> Verdict:
    """The label with the highest score wins."""
    scores = _scores(ballots, _effective_weights(ballots, weights))
    winner = max(scores, key=scores.__getitem__)
    return Verdict(winner, scores[winner], winner, tuple(ballots))


def _effective_weights(ballots: Sequence[Ballot], weights: Sequence[float]) -> list[float]:
    """The weight of each ballot, with relative weights multiplied by the members' total."""
    pairs = [*zip(ballots, weights, strict=True)]
    members_total = sum(weight for ballot, weight in pairs if ballot.relative_weight is None) or 1.0
    return [
        weight if ballot.relative_weight is None else ballot.relative_weight * members_total for ballot, weight in pairs
    ]


def _scores(ballots: Sequence[Ballot], weights: Sequence[float]) -> dict[str, float]:
    """Mean probabilities of the labels, halved if no voter proposed the candidate, unchanged if all did."""
    factor = 0.5 + 0.5 * _proposer_share(ballots, weights)
    return {label: mean * factor for label, mean in _without_none(_mean_probabilities(ballots, weights)).items()}


def _mean_probabilities(ballots: Sequence[Ballot], weights: Sequence[float]) -> dict[str, float]:
    """Weighted mean probability of each label and of `none`."""
    total_weight = sum(weights)
    return {
        label: sum(weight * ballot.probability(label) for weight, ballot in zip(weights, ballots, strict=True))
        / total_weight
        for label in ballots[0].log_probabilities
    }


def _proposer_share(ballots: Sequence[Ballot], weights: Sequence[float]) -> float:
    """The share of voters, by weight, that proposed the candidate: listing a span is a second vote for it."""
    return sum(weight for weight, ballot in zip(weights, ballots, strict=True) if ballot.is_proposer) / sum(weights)


def _without_none(values: Mapping[str, float]) -> dict[str, float]:
    return {label: value for label, value in values.items() if label != NONE_LABEL}


VOTING_RULES: Mapping[str, VotingRule] = {
    "majority": majority_vote,
    "soft": soft_vote,
    "union": union_vote,
    "weighted": weighted_vote,
}


def voting_rule(name: str) -> VotingRule:
    """The voting rule called `name`.

    Raises:
        UnknownNameError: there is no such rule; the error lists all rules.
    """
    if name not in VOTING_RULES:
        raise UnknownNameError("vote", name, VOTING_RULES)
    return VOTING_RULES[name]
