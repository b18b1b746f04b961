"""Platt scaling of mention probabilities, with a Gaussian prior (J. Platt, 1999).

The stacking model is fitted to all candidates, few of which are mentions. Those that it selects have inflated
probabilities (winner's curse): where it says 0.95, annotators agree less often, and where it says 0.4, more often. So
the log-odds of selected candidates are scaled and shifted. Slope and intercept come from other corpora
(`pretrained.py`) and are adapted to the cross-validated predictions on the pool's own sentences. Scaling changes
neither which mentions are selected nor their order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from entsemble._lib.math import FloatArray, logit, newton_minimize

PRIOR_STD = 0.1, 0.1
"""Standard deviation of slope and intercept between corpora, around the prior's.

Chosen on training sentences of nine corpora, where 0.05 does as well, and confirmed on development files. A pool's few
sentences tell how often the most confident mentions are correct, but little about the overall rate, which differs in
other texts of the same corpus."""

_MIN_SLOPE = 0.1
"""Keeps scores increasing with probabilities however uninformative the probabilities are."""

MIN_PROBABILITY = 1e-12
"""Probabilities are clipped to [MIN_PROBABILITY, 1 - MIN_PROBABILITY]."""


@dataclass(frozen=True, slots=True)
class PlattScaling:
    """Maps a probability to a calibrated one: sigmoid(slope * logit(probability) + intercept), slope > 0."""

    slope: float = 1.0
    intercept: float = 0.0

    def calibrate(self, probability: float) -> float:
        """The calibrated probability."""
        log_odds = self.slope * logit(probability, MIN_PROBABILITY) + self.intercept
        return 1 / (1 + math.exp(-log_odds))


IDENTITY = PlattScaling()
"""Changes nothing."""


def fit_platt(
    probabilities: Sequence[float],
    is_correct: Sequence[bool],
    prior: PlattScaling,
    *,
    prior_std: tuple[float, float] = PRIOR_STD,
    sample_weight: Sequence[float] | None = None,
) -> PlattScaling:
    """MAP estimate of slope and intercept under a Gaussian prior; the prior itself for no mentions.

    Args:
        probabilities: [n], of each mention.
        is_correct: [n], whether each mention is annotated.
        prior: mean of the prior.
        prior_std: standard deviations of slope and intercept.
        sample_weight: [n]; 1 for each mention if not given.
    """
    log_odds = np.array([logit(probability, MIN_PROBABILITY) for probability in probabilities])
    design = np.column_stack([log_odds, np.ones_like(log_odds)])
    targets, prior_mean = np.array(is_correct, dtype=float), np.array([prior.slope, prior.intercept])
    precision = 1 / np.square(prior_std)
    weights = np.ones_like(log_odds) if sample_weight is None else np.array(sample_weight)

    def negative_log_posterior(parameters: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        logits, deviation = design @ parameters, parameters - prior_mean
        predicted = np.exp(-np.logaddexp(0, -logits))
        loss = weights @ (np.logaddexp(0, logits) - targets * logits) + precision @ deviation**2 / 2
        gradient = design.T @ (weights * (predicted - targets)) + precision * deviation
        hessian = (design.T * (weights * predicted * (1 - predicted))) @ design + np.diag(precision)
        return float(loss), gradient, hessian

    slope, intercept = newton_minimize(negative_log_posterior, prior_mean)[0].tolist()
    return PlattScaling(max(slope, _MIN_SLOPE), intercept)
