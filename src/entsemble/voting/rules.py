"""How ballots become a verdict. Pure rules; the only place that knows them.

EL4NER (arXiv 2505.23038, step 3) lets every model type every span and takes the majority. A soft vote averages the
members' probabilities instead, so that a sure member counts for more than one that tosses a coin.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from entsemble.errors import UnknownNameError
from entsemble.types import NONE_LABEL

_SHRINKAGE = 8
"""Candidates that count half against what is seen in more."""

_MIN_SHARE = 1e-4
"""A share below this says no more than this."""


@dataclass(frozen=True, slots=True)
class Ballot:
    """One member's belief about one candidate.

    Attributes:
        voter: who.
        log_probabilities: label name or `none` -> log-probability, normalised.
        exact: False where the member's backend names its choice only.
        is_proposer: whether this member proposed the candidate itself.
        weight: what the member counts in a weighted vote.
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
        """The label with the highest probability; `none` before equals, so that who cannot tell names no entity."""
        return max(self.log_probabilities, key=lambda x: (self.log_probabilities[x], x == NONE_LABEL))

    def probability(self, label: str) -> float:
        """The probability given to `label`."""
        return math.exp(self.log_probabilities[label])


@dataclass(frozen=True, slots=True)
class Verdict:
    """The ensemble's word on one candidate.

    Attributes:
        label: the winning label, or `none`.
        score: confidence that the candidate is an entity of the best label, in [0, 1].
        best_label: the most likely label that is not `none`; equals `label` where an entity won.
        ballots: what it rests on.
    """

    label: str
    score: float
    best_label: str
    ballots: tuple[Ballot, ...]


VotingRule = Callable[[Sequence[Ballot]], Verdict]


def majority_vote(ballots: Sequence[Ballot]) -> Verdict:
    """The label most members chose (the paper's rule); a tie goes to the higher mean probability.

    The score is the mean probability of the winner.
    """
    mean = _mean(ballots, [1.0] * len(ballots))
    counts = {label: sum(b.top_label == label for b in ballots) for label in mean}
    label = max(mean, key=lambda x: (counts[x], mean[x]))
    best = label if label != NONE_LABEL else _best_entity(mean)
    return Verdict(label, mean[best], best, tuple(ballots))


def soft_vote(ballots: Sequence[Ballot]) -> Verdict:
    """The entity label with the highest mean probability, scored by `_mean` and `_support`.

    `none` takes part through the score alone: the threshold decides, not a second vote.
    """
    return _averaged(ballots, [1.0] * len(ballots))


def soft_vote_scores(ballots: Sequence[Ballot]) -> dict[str, float]:
    """The score that a soft vote gives each label, in [0, 1]; `none` is left out."""
    return _scores(ballots, _shares(ballots, [1.0] * len(ballots)))


def weighted_vote(ballots: Sequence[Ballot]) -> Verdict:
    """A soft vote in which each member counts by its weight."""
    return _averaged(ballots, [b.weight for b in ballots])


def union_vote(ballots: Sequence[Ballot]) -> Verdict:
    """What any member that proposed the candidate says it is, the surest of them (SaM, arXiv 2506.22813).

    The results of two models are put together: each answers for what it found itself. Who proposed a candidate has said
    that it is an entity, so `none` takes no part: experts say it of labels that they never saw. The score is the share
    of the winner among the labels.
    """
    members = [b for b in ballots if b.relative_weight is None]
    own = [b for b in members if b.is_proposer]
    if not own and any(b.is_proposer for b in ballots):  # found by the pool alone, whose belief is what it counted
        return replace(_averaged([b for b in ballots if b.relative_weight is not None], [1.0]), ballots=tuple(ballots))
    shares = [distribution_given_entity(b.log_probabilities) for b in own or members]
    best = max(shares, key=lambda share: max(share.values()))
    label = max(best, key=best.__getitem__)
    return Verdict(label, best[label], label, tuple(ballots))


def distribution_given_entity(log_probabilities: Mapping[str, float]) -> dict[str, float]:
    """How a belief is shared out among the labels, were it sure of an entity."""
    logs = {label: value for label, value in log_probabilities.items() if label != NONE_LABEL}
    top = max(logs.values())
    if top == -math.inf:  # it names its choice only, and that is none
        return dict.fromkeys(logs, 0.0)
    weights = {label: math.exp(value - top) for label, value in logs.items()}
    whole = sum(weights.values())
    return {label: weight / whole for label, weight in weights.items()}


def apply_bias(log_probabilities: Mapping[str, float], bias: Mapping[str, float]) -> dict[str, float]:
    """A belief with a bias added to its labels; how likely it finds `none` stays as it is."""
    none = math.exp(log_probabilities[NONE_LABEL])
    shares = distribution_given_entity({x: v + bias.get(x, 0.0) for x, v in log_probabilities.items()})
    logs = {x: math.log(share * (1 - none)) if share * (1 - none) > 0 else -math.inf for x, share in shares.items()}
    return {x: logs.get(x, v) for x, v in log_probabilities.items()}


def batch_calibration_bias(beliefs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The bias that undoes what a member says of anything, whatever it is asked about.

    The mean logarithm of each label's share, taken back (batch calibration, Zhou et al., 2023, arXiv 2309.17249): an
    expert says the labels that it was trained on too often. Few beliefs correct little.

    Args:
        beliefs: log-probabilities, each about another candidate.
    """
    if not beliefs:
        return {}
    shares = [distribution_given_entity(belief) for belief in beliefs]
    trust = len(shares) / (len(shares) + _SHRINKAGE)
    mean = {x: sum(math.log(max(s[x], _MIN_SHARE)) for s in shares) / len(shares) for x in shares[0]}
    return {x: round(-trust * value, 4) for x, value in mean.items()}


def _averaged(ballots: Sequence[Ballot], weights: Sequence[float]) -> Verdict:
    scores = _scores(ballots, _shares(ballots, weights))
    best = max(scores, key=scores.__getitem__)
    return Verdict(best, scores[best], best, tuple(ballots))


def _shares(ballots: Sequence[Ballot], weights: Sequence[float]) -> list[float]:
    """What each ballot counts, those beside the members measured by all members together."""
    members = sum(w for w, b in zip(weights, ballots, strict=True) if b.relative_weight is None) or 1.0
    return [
        w if b.relative_weight is None else b.relative_weight * members for w, b in zip(weights, ballots, strict=True)
    ]


def _scores(ballots: Sequence[Ballot], share: Sequence[float]) -> dict[str, float]:
    supported = 0.5 + 0.5 * _support(ballots, share)
    return {label: p * supported for label, p in _mean(ballots, share).items() if label != NONE_LABEL}


def _mean(ballots: Sequence[Ballot], share: Sequence[float]) -> dict[str, float]:
    """Mean probability of each label, each member counting by its share."""
    return {
        label: sum(w * b.probability(label) for w, b in zip(share, ballots, strict=True)) / sum(share)
        for label in ballots[0].log_probabilities
    }


def _support(ballots: Sequence[Ballot], share: Sequence[float]) -> float:
    """The part of the members that proposed the candidate: who lists a span and types it says the same twice."""
    return sum(w for w, b in zip(share, ballots, strict=True) if b.is_proposer) / sum(share)


def _best_entity(mean: Mapping[str, float]) -> str:
    return max((label for label in mean if label != NONE_LABEL), key=mean.__getitem__)


VOTING_RULES: Mapping[str, VotingRule] = {
    "majority": majority_vote,
    "soft": soft_vote,
    "union": union_vote,
    "weighted": weighted_vote,
}


def voting_rule(name: str) -> VotingRule:
    """The voting rule called `name`; UnknownNameError lists the known ones."""
    if name not in VOTING_RULES:
        raise UnknownNameError("vote", name, VOTING_RULES)
    return VOTING_RULES[name]
