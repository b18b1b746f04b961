"""Merge methods that look at single entries: each a pure function from the experts' true changes to the merged one.

All take the changes of one weight matrix, one an expert, each [outputs, inputs], and weights, and return the merged
change. What is trimmed or dropped is counted within the matrix, as in PEFT and mergekit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from entsemble.experts.merging.low_rank import Matrix


def trim_by_magnitude(change: Matrix, density: float) -> Matrix:
    """Keep the share `density` of the entries that are largest in size; the others become 0 (TIES, section 3)."""
    keep = round(density * change.size)
    if keep >= change.size:
        return change
    if keep == 0:
        return np.zeros_like(change)
    size = np.abs(change).ravel()
    bar = np.partition(size, change.size - keep)[change.size - keep]
    return np.asarray(np.where(np.abs(change) >= bar, change, change.dtype.type(0)))


def drop_and_rescale(change: Matrix, density: float, random: np.random.Generator) -> Matrix:
    """Keep each entry with probability `density`, and divide it by that (DARE, arXiv 2311.03099, section 3)."""
    kept = random.random(change.shape, dtype=np.float32) < density
    return np.asarray(np.where(kept, change / change.dtype.type(density), change.dtype.type(0)))


def merge_by_elected_sign(changes: Sequence[Matrix], weights: Sequence[float]) -> Matrix:
    """Of every entry, the mean of those changes that have the sign of the weighted sum (TIES, section 3).

    The mean is weighted, and then multiplied by the sum of all weights, so that weights mean the same as in a weighted
    sum: experts that agree on an entry give the same there by both methods.
    """
    total = np.zeros_like(changes[0])
    for change, weight in zip(changes, weights, strict=True):
        total += change.dtype.type(weight) * change
    sign = np.sign(total)
    summed, counted = np.zeros_like(total), np.zeros_like(total)
    for change, weight in zip(changes, weights, strict=True):
        agrees = np.sign(change) == sign
        summed += np.where(agrees, change.dtype.type(weight) * change, 0)
        counted += np.where(agrees & (sign != 0), change.dtype.type(weight), 0)
    mean = np.divide(summed, counted, out=np.zeros_like(total), where=counted > 0)
    return np.asarray(mean * total.dtype.type(sum(weights)))


def ties(changes: Sequence[Matrix], weights: Sequence[float], density: float, _: np.random.Generator) -> Matrix:
    """Trim, elect signs, merge those that agree (Yadav and others, 2023, arXiv 2306.01708)."""
    return merge_by_elected_sign([trim_by_magnitude(c, density) for c in changes], weights)


def dare(changes: Sequence[Matrix], weights: Sequence[float], density: float, random: np.random.Generator) -> Matrix:
    """Drop at random and rescale, then the weighted sum (Yu and others, 2023, arXiv 2311.03099)."""
    total = np.zeros_like(changes[0])
    for change, weight in zip(changes, weights, strict=True):
        total += change.dtype.type(weight) * drop_and_rescale(change, density, random)
    return total


def dare_ties(
    changes: Sequence[Matrix], weights: Sequence[float], density: float, random: np.random.Generator
) -> Matrix:
    """Drop at random and rescale, then elect signs and merge those that agree."""
    return merge_by_elected_sign([drop_and_rescale(c, density, random) for c in changes], weights)


METHODS = {"ties": ties, "dare": dare, "dare-ties": dare_ties}
"""The methods that need every entry; `weighted-sum` does not, and is exact without it."""

SIGN_ELECTING_METHODS = ("ties", "dare-ties")
"""Those that elect signs."""
