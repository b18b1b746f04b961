from __future__ import annotations

import math

import numpy as np
import pytest

from entsemble._lib.math import FloatArray, log_add, logit, newton_minimize


def test_logit_clips_probabilities() -> None:
    assert logit(0.5) == 0
    assert logit(0.0) == logit(1e-3) == pytest.approx(-logit(1.0))
    assert logit(0.0, minimum=1e-6) == logit(1e-6, minimum=1e-6) < logit(0.0)


@pytest.mark.parametrize(("first", "second"), [(0.0, 0.0), (-3.0, 2.0), (1.5, -700.0)])
def test_log_add_is_the_logarithm_of_the_sum(first: float, second: float) -> None:
    assert log_add(first, second) == pytest.approx(math.log(math.exp(first) + math.exp(second)))


def test_log_add_does_not_overflow() -> None:
    assert log_add(1000.0, 1000.0) == pytest.approx(1000 + math.log(2))
    assert log_add(-1000.0, 1000.0) == 1000


def test_newton_finds_the_minimum_with_an_approximate_hessian() -> None:
    target = np.array([3.0, -2.0])

    def objective(point: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        difference = point - target
        return float((difference**4).sum() + (difference**2).sum()), 4 * difference**3 + 2 * difference, 0.5 * np.eye(2)

    minimiser, loss, hessian = newton_minimize(objective, np.zeros(2))
    assert minimiser == pytest.approx(target, abs=1e-3)
    assert loss == pytest.approx(0, abs=1e-6)
    assert hessian.tolist() == [[0.5, 0], [0, 0.5]]
