"""Merge methods that work on single entries: pure functions from the experts' changes to the merged change.

All take the changes that the experts make to one weight matrix, and one weight per expert. Shares of entries are
counted within the matrix, as in PEFT and mergekit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from entsemble.experts.merging.low_rank import Matrix


def trim_by_magnitude(change: Matrix, density: float) -> Matrix:
    """Keep the entries with the largest magnitudes, and set the others to 0 (TIES-Merging, section 3, "Trim").

    Args:
        change: [outputs, inputs].
        density: share of the entries that is kept.

    Returns:
        [outputs, inputs].
    """
    retained = round(density * change.size)
    if retained >= change.size:
        return change
    if retained == 0:
        return np.zeros_like(change)
    magnitudes = np.abs(change).ravel()
    threshold = np.partition(magnitudes, change.size - retained)[change.size - retained]
    return np.asarray(np.where(np.abs(change) >= threshold, change, change.dtype.type(0)))


def drop_and_rescale(change: Matrix, density: float, generator: np.random.Generator) -> Matrix:
    """Keep each entry with probability `density` and divide it by that (DARE, section 3).

    Args:
        change: [outputs, inputs].
        density: expected share of the entries that is kept.
        generator: source of randomness.

    Returns:
        [outputs, inputs], with the same expectation as `change`.
    """
    mask = generator.random(change.shape, dtype=np.float32) < density
    return np.asarray(np.where(mask, change / change.dtype.type(density), change.dtype.type(0)))


def merge_by_elected_sign(changes: Sequence[Matrix], weights: Sequence[float]) -> Matrix:
    """Of each entry, the mean of the changes with the elected sign (TIES-Merging, section 3, "Elect" and "Merge").

    The elected sign is that of the weighted sum. The weighted mean is multiplied by the sum of all weights, so that
    weights mean the same as in a weighted sum: where all experts agree on the sign, both methods give the same entry.

    Args:
        changes: [outputs, inputs] each.
        weights: one per change, none negative.

    Returns:
        [outputs, inputs].
    """
    total = np.zeros_like(changes[0])
    for change, weight in zip(changes, weights, strict=True):
        total += change.dtype.type(weight) * change
    sign = np.sign(total)
    agreeing_sum, agreeing_weight = np.zeros_like(total), np.zeros_like(total)
    for change, weight in zip(changes, weights, strict=True):
        agrees = np.sign(change) == sign
        agreeing_sum += np.where(agrees, change.dtype.type(weight) * change, 0)
        agreeing_weight += np.where(agrees & (sign != 0), change.dtype.type(weight), 0)
    mean = np.divide(agreeing_sum, agreeing_weight, out=np.zeros_like(total), where=agreeing_weight > 0)
    return np.asarray(mean * total.dtype.type(sum(weights)))


def ties(changes: Sequence[Matrix], weights: Sequence[float], density: float, _: np.random.Generator) -> Matrix:
    """TIES-Merging: trim, elect signs, merge the agreeing entries (Yadav et al., 2023, arXiv 2306.01708).

    Args:
        changes: [outputs, inputs] each.
        weights: one per change.
        density: share of the entries that trimming keeps.

    Returns:
        [outputs, inputs].
    """
    return merge_by_elected_sign([trim_by_magnitude(change, density) for change in changes], weights)


def dare(changes: Sequence[Matrix], weights: Sequence[float], density: float, generator: np.random.Generator) -> Matrix:
    """DARE: drop entries at random and rescale, then the weighted sum (Yu et al., 2023, arXiv 2311.03099).

    Args:
        changes: [outputs, inputs] each.
        weights: one per change.
        density: expected share of the entries that is kept.
        generator: source of randomness.

    Returns:
        [outputs, inputs].
    """
    total = np.zeros_like(changes[0])
    for change, weight in zip(changes, weights, strict=True):
        total += change.dtype.type(weight) * drop_and_rescale(change, density, generator)
    return total


def dare_ties(
    changes: Sequence[Matrix], weights: Sequence[float], density: float, generator: np.random.Generator
) -> Matrix:
    """DARE instead of trimming, then sign election and merging as in TIES (arXiv 2311.03099, arXiv 2306.01708).

    Args:
        changes: [outputs, inputs] each.
        weights: one per change.
        density: expected share of the entries that is kept.
        generator: source of randomness.

    Returns:
        [outputs, inputs].
    """
    return merge_by_elected_sign([drop_and_rescale(change, density, generator) for change in changes], weights)


METHODS = {"ties": ties, "dare": dare, "dare-ties": dare_ties}
"""The methods that work on single entries; `weighted-sum` does not, and is exact."""

SIGN_ELECTING_METHODS = ("ties", "dare-ties")
