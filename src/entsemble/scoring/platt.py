"""Scores that are right as often as they say: Platt scaling (J. Platt, 1999), as far as a pool tells it.

What judges a place learns from all of them, of which few are names. Among those few that it takes for one it is too
sure: where it says 0.95, people who annotate agree less often than that, and where it says 0.4, more often. So the
log-odds of what is found are stretched and moved, as far as they are surer than they are right: on other corpora
(`prior.py`), and from there on in the pool's own sentences, each by what the others taught. That changes no mention,
and the order of none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from entsemble._lib.math import Array, logit, newton_minimize

SPREAD = 0.1, 0.1
"""Standard deviation of slope and intercept from one corpus to another, about what is believed before.

Chosen on training sentences of nine corpora, where 0.05 is worth the same, and seen to hold on development files. A
pool's few sentences tell how right the surest are, and little of how many are right: in other texts of the corpus that
is another number."""

_LEAST_SLOPE = 0.1
"""However little the scores of a pool's own sentences tell, more is better."""

LEAST = 1e-12
"""Probability of what is impossible, and of what is not sure."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """What a probability is worth.

    Attributes:
        slope: of the log-odds; positive.
        intercept: what is added to them.
    """

    slope: float = 1.0
    intercept: float = 0.0

    def of(self, probability: float) -> float:
        """The score of a mention of this probability; the same where nothing was learnt."""
        log_odds = self.slope * logit(probability, LEAST) + self.intercept
        return 1 / (1 + math.exp(-log_odds))


AS_IT_IS = Scaling()
"""A probability is the score."""


def scaled(
    probabilities: Sequence[float],
    right: Sequence[bool],
    before: Scaling,
    *,
    spread: tuple[float, float] = SPREAD,
    counts: Sequence[float] | None = None,
) -> Scaling:
    """The most probable scaling of some mentions; of none, what is believed before.

    Args:
        probabilities: [n] of each mention.
        right: [n] whether it is one.
        before: what is believed.
        spread: standard deviation of slope and intercept about that.
        counts: [n] as how many each mention counts; as one if not given.
    """
    log_odds = np.array([logit(p, LEAST) for p in probabilities])
    x = np.column_stack([log_odds, np.ones_like(log_odds)])
    wanted, mean = np.array(right, dtype=float), np.array([before.slope, before.intercept])
    precision, each = 1 / np.square(spread), np.ones_like(log_odds) if counts is None else np.array(counts)

    def told(w: Array) -> tuple[float, Array, Array]:
        z, away = x @ w, w - mean
        p = np.exp(-np.logaddexp(0, -z))
        loss = float(each @ (np.logaddexp(0, z) - wanted * z) + precision @ away**2 / 2)
        return (
            loss,
            x.T @ (each * (p - wanted)) + precision * away,
            (x.T * (each * p * (1 - p))) @ x + np.diag(precision),
        )

    slope, intercept = newton_minimize(told, mean)[0].tolist()
    return Scaling(max(slope, _LEAST_SLOPE), intercept)
