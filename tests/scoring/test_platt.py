from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from entsemble._lib.math import logit
from entsemble.scoring.platt import IDENTITY, MIN_PROBABILITY, PRIOR_STD, PlattScaling, fit_platt


def random_mentions(slope: float, intercept: float, count: int) -> tuple[list[float], list[bool]]:
    """Probabilities, and whether mentions are correct that are calibrated by `slope` and `intercept`."""
    generator = np.random.default_rng(0)
    log_odds = generator.normal(size=count) * 1.5 + 1
    calibrated = 1 / (1 + np.exp(-slope * log_odds - intercept))
    return (1 / (1 + np.exp(-log_odds))).tolist(), (generator.random(count) < calibrated).tolist()


def test_without_mentions_the_fit_is_the_prior() -> None:
    assert fit_platt([], [], IDENTITY) == IDENTITY
    assert fit_platt([], [], PlattScaling(0.7, 0.2)) == PlattScaling(0.7, 0.2)


def test_the_identity_changes_no_probability() -> None:
    probabilities = [0.0, 0.2, 0.95, 1.0]
    assert [IDENTITY.calibrate(probability) for probability in probabilities] == pytest.approx(probabilities)


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.6, 0.2), (1.5, -0.8)])
def test_many_mentions_determine_slope_and_intercept(slope: float, intercept: float) -> None:
    scaling = fit_platt(*random_mentions(slope, intercept, 100_000), IDENTITY)
    assert (scaling.slope, scaling.intercept) == pytest.approx((slope, intercept), abs=0.06)


def test_the_fit_to_few_mentions_equals_scipy() -> None:
    probabilities, is_correct = random_mentions(0.5, 0.0, 60)
    prior = PlattScaling(0.8, 0.1)
    scaling = fit_platt(probabilities, is_correct, prior)
    design = np.array([[logit(probability, MIN_PROBABILITY), 1] for probability in probabilities])
    prior_mean = np.array([prior.slope, prior.intercept])

    def loss(parameters: np.ndarray) -> float:
        logits = design @ parameters
        log_likelihood = logits[np.array(is_correct)].sum() - np.log1p(np.exp(logits)).sum()
        return float((((parameters - prior_mean) / PRIOR_STD) ** 2).sum() / 2 - log_likelihood)

    expected = minimize(loss, prior_mean, tol=1e-10).x
    assert (scaling.slope, scaling.intercept) == pytest.approx(expected.tolist(), abs=1e-4)
    assert scaling.slope < prior.slope


def test_calibrated_scores_increase_with_the_probability() -> None:
    probabilities, _ = random_mentions(1.0, 0.0, 2000)
    scaling = fit_platt(probabilities, [probability < 0.7 for probability in probabilities], IDENTITY)
    scores = [scaling.calibrate(probability) for probability in (0.0, 1e-9, 0.3, 0.9, 0.99, 0.9999, 1.0)]
    assert scores == sorted(scores)
    assert len(set(scores)) == len(scores)
    assert all(0 < score < 1 for score in scores)


def test_probabilities_of_zero_and_one_are_clipped() -> None:
    scaling = fit_platt([0.0, 1.0] * 50, [True, False] * 50, IDENTITY)
    assert scaling.calibrate(0.5) == pytest.approx(0.5, abs=0.05)


def test_a_sample_weight_of_three_counts_as_three_mentions() -> None:
    probabilities, is_correct = random_mentions(0.6, 0.2, 30)
    weighted = fit_platt(probabilities, is_correct, IDENTITY, sample_weight=[1.0] * 20 + [3.0] * 10)
    assert weighted != fit_platt(probabilities, is_correct, IDENTITY)
    repeated = fit_platt(probabilities + probabilities[20:] * 2, is_correct + is_correct[20:] * 2, IDENTITY)
    assert (weighted.slope, weighted.intercept) == pytest.approx((repeated.slope, repeated.intercept))
