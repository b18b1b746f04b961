"""The minimum of a convex loss, by Newton's method."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

Told = Callable[[Array], tuple[float, Array, Array]]
"""Of a place: the loss, its gradient, and about its curvature."""

_STEPS = 100
_SLOPE = 1e-4
"""Of what a step promises, that it must keep (L. Armijo, 1966)."""

_LEAST_STEP = 1e-6
"""A step that moves no number further is the last, and so is one that promises more however short it is."""


def minimum(told: Told, start: Array) -> tuple[Array, float, Array]:
    """Where it is, the loss there, and about its curvature there.

    Steps that are too long are shortened, so that a curvature that is not quite right leads to the same place.

    Args:
        told: the loss, its gradient [n] and its curvature [n, n], positive definite, at a place.
        start: [n] where to begin.
    """
    w = start
    loss, gradient, curvature = told(w)
    for _ in range(_STEPS):
        step, size = np.linalg.solve(curvature, gradient), 1.0
        tried = told(w - step)
        while tried[0] > loss - size * _SLOPE * (gradient @ step):
            size /= 2
            if size < _LEAST_STEP:
                break
            tried = told(w - size * step)
        if size < _LEAST_STEP:
            break
        w, (loss, gradient, curvature) = w - size * step, tried
        if np.abs(size * step).max() < _LEAST_STEP:
            break
    return w, loss, curvature
