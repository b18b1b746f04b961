"""Log-odds, log-sums, and the minimum of a convex function."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

Objective = Callable[[FloatArray], tuple[float, FloatArray, FloatArray]]
"""Parameters [n] -> (loss, gradient [n], approximate Hessian [n, n], positive definite)."""

_MAX_ITERATIONS = 100

_ARMIJO_FRACTION = 1e-4
"""Share of the predicted decrease that a step must achieve (Armijo, 1966)."""

_MIN_STEP = 1e-6
"""Iteration ends when no parameter moves further than this, or when no longer step decreases the loss enough."""


def logit(probability: float, minimum: float = 1e-3) -> float:
    """Log-odds of a probability, which is first clipped to [minimum, 1 - minimum]."""
    clipped = min(max(probability, minimum), 1 - minimum)
    return math.log(clipped / (1 - clipped))


def log_add(first: float, second: float) -> float:
    """log(exp(first) + exp(second)), without overflow; both finite."""
    return max(first, second) + math.log1p(math.exp(-abs(first - second)))


def newton_minimize(objective: Objective, start: FloatArray) -> tuple[FloatArray, float, FloatArray]:
    """Minimise a convex function by damped Newton steps with Armijo backtracking.

    An approximate Hessian costs steps, not accuracy: a step that is too long is halved.

    Args:
        objective: loss, gradient and Hessian at a point.
        start: [n], the first point.

    Returns:
        The minimiser [n], the loss there, and the Hessian [n, n] there.
    """
    point = start
    loss, gradient, hessian = objective(point)
    for _ in range(_MAX_ITERATIONS):
        direction, scale = np.linalg.solve(hessian, gradient), 1.0
        trial = objective(point - direction)
        while trial[0] > loss - scale * _ARMIJO_FRACTION * (gradient @ direction):
            scale /= 2
            if scale < _MIN_STEP:
                break
            trial = objective(point - scale * direction)
        if scale < _MIN_STEP:
            break
        point, (loss, gradient, hessian) = point - scale * direction, trial
        if np.abs(scale * direction).max() < _MIN_STEP:
            break
    return point, loss, hessian
