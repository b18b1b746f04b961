from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from entsemble._lib.math import logit
from entsemble.scoring.platt import IDENTITY, MIN_PROBABILITY, PRIOR_STD, PlattScaling, fit_platt


def drawn(slope: float, intercept: float, count: int) -> tuple[list[float], list[bool]]:
    """Probabilities that are worth `slope` and `intercept` of their log-odds."""
    draw = np.random.default_rng(0)
    log_odds = draw.normal(size=count) * 1.5 + 1
    true = 1 / (1 + np.exp(-slope * log_odds - intercept))
    return (1 / (1 + np.exp(-log_odds))).tolist(), (draw.random(count) < true).tolist()


def test_nothing_learnt_changes_nothing() -> None:
    assert fit_platt([], [], IDENTITY) == IDENTITY
    assert fit_platt([], [], PlattScaling(0.7, 0.2)) == PlattScaling(0.7, 0.2)
    assert [IDENTITY.calibrate(p) for p in (0.0, 0.2, 0.95, 1.0)] == pytest.approx([0, 0.2, 0.95, 1])


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.6, 0.2), (1.5, -0.8)])
def test_scores_are_right_as_often_as_they_say(slope: float, intercept: float) -> None:
    told = fit_platt(*drawn(slope, intercept, 100_000), IDENTITY)
    assert (told.slope, told.intercept) == pytest.approx((slope, intercept), abs=0.06)


def test_few_mentions_correct_what_is_believed_and_no_more() -> None:
    probabilities, right = drawn(0.5, 0.0, 60)
    before = PlattScaling(0.8, 0.1)
    found = fit_platt(probabilities, right, before)
    x = np.array([[logit(p, MIN_PROBABILITY), 1] for p in probabilities])
    away = np.array([before.slope, before.intercept])

    def loss(w: np.ndarray) -> float:
        z = x @ w
        return float(np.log1p(np.exp(z)).sum() - z[np.array(right)].sum() + (((w - away) / PRIOR_STD) ** 2).sum() / 2)

    theirs = minimize(loss, away, tol=1e-10).x
    assert (found.slope, found.intercept) == pytest.approx(theirs.tolist(), abs=1e-4)
    assert found.slope < before.slope


def test_a_surer_mention_never_scores_less() -> None:
    probabilities, _ = drawn(1.0, 0.0, 2000)
    told = fit_platt(probabilities, [p < 0.7 for p in probabilities], IDENTITY)
    scores = [told.calibrate(p) for p in (0.0, 1e-9, 0.3, 0.9, 0.99, 0.9999, 1.0)]
    assert scores == sorted(scores)
    assert len(set(scores)) == len(scores)
    assert all(0 < s < 1 for s in scores)


def test_a_probability_without_bounds() -> None:
    assert fit_platt([0.0, 1.0] * 50, [True, False] * 50, IDENTITY).calibrate(0.5) == pytest.approx(0.5, abs=0.05)


def test_a_mention_may_count_as_many() -> None:
    probabilities, right = drawn(0.6, 0.2, 30)
    once = fit_platt(probabilities, right, IDENTITY, sample_weight=[1.0] * 20 + [3.0] * 10)
    assert once != fit_platt(probabilities, right, IDENTITY)
    many = fit_platt(probabilities + probabilities[20:] * 2, right + right[20:] * 2, IDENTITY)
    assert (once.slope, once.intercept) == pytest.approx((many.slope, many.intercept))
