"""Confidence intervals and significance tests for micro F1, with documents as the unit.

Mentions of one document are not independent, so whole documents are resampled. Sources: B. Efron and R. Tibshirani, "An
Introduction to the Bootstrap", 1993, chapter 13 (percentile interval); E. Noreen, "Computer-Intensive Methods for
Testing Hypotheses", 1989, and A. Yeh, "More accurate tests for the statistical significance of result differences",
COLING 2000 (approximate randomisation); B. Phipson and G. Smyth, "Permutation p-values should never be zero", 2010.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from entsemble.evaluation.counts import Counts

Floats = npt.NDArray[np.float64]

_MAX_CELLS = 1 << 21  # document draws held in memory at once: 16 MiB per array
_ROUNDING = 1e-12  # F1 differences closer than this are equal but for rounding


def f1_interval(
    documents: Sequence[Counts], *, resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap interval of micro F1.

    Args:
        documents: counts of each document, including documents without mentions.
        resamples: number of bootstrap samples.
        seed: of the resampling.
        level: confidence level.

    Returns:
        Lower and upper bound; (0.0, 0.0) for no documents.
    """
    if not documents:
        return 0.0, 0.0
    generator = np.random.default_rng(seed)
    counts = _count_matrix(documents)
    samples = np.concatenate([draws @ counts for draws in _bootstrap_draws(generator, len(documents), resamples)])
    return _percentile_interval(_f1(samples), level)


def f1_interval_of_frequencies(
    frequencies: Mapping[Counts, int], *, resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """`f1_interval` of documents of which many have the same counts, as those of one label in many documents.

    Its samples are of the same distribution: drawing documents with replacement is drawing how many have each counts
    from a multinomial distribution. The time does not depend on the number of documents.

    Args:
        frequencies: counts of a document -> the number of documents with these counts.
        resamples: see `f1_interval`.
        seed: see `f1_interval`.
        level: see `f1_interval`.
    """
    sizes = np.array(list(frequencies.values()), dtype=np.int64)
    if not sizes.sum():
        return 0.0, 0.0
    generator = np.random.default_rng(seed)
    counts, shares = _count_matrix(list(frequencies)), sizes / sizes.sum()
    samples = np.concatenate(
        [
            generator.multinomial(sizes.sum(), shares, size=row_count) @ counts
            for row_count in _block_sizes(len(sizes), resamples)
        ]
    )
    return _percentile_interval(_f1(samples), level)


@dataclass(frozen=True, slots=True)
class F1Difference:
    """The difference in micro F1 between two systems on the same documents.

    Attributes:
        difference: F1 of the first minus F1 of the second.
        ci95: percentile bootstrap interval of the difference.
        p_value: two-sided, under the hypothesis that the two systems' outputs are exchangeable.
    """

    difference: float
    ci95: tuple[float, float]
    p_value: float


def compare_f1(
    first: Sequence[Counts], second: Sequence[Counts], *, resamples: int = 1000, seed: int = 0
) -> F1Difference:
    """Test whether two systems' micro F1 differ, by paired bootstrap and approximate randomisation.

    Args:
        first: counts of each document with the first system.
        second: counts of the same documents, in the same order, with the second system.
        resamples: number of bootstrap samples, and of random permutations.
        seed: of both.

    Raises:
        ValueError: the two sequences are not of the same documents.
    """
    if [counts.support for counts in first] != [counts.support for counts in second]:
        raise ValueError("both systems need the counts of the same documents in the same order")
    if not first:
        return F1Difference(0.0, (0.0, 0.0), 1.0)
    first_counts, second_counts = _count_matrix(first), _count_matrix(second)
    generator = np.random.default_rng(seed)
    differences = [
        _f1(draws @ first_counts) - _f1(draws @ second_counts)
        for draws in _bootstrap_draws(generator, len(first), resamples)
    ]
    observed = float(_f1(first_counts.sum(axis=0)) - _f1(second_counts.sum(axis=0)))
    as_extreme = sum(
        int(np.count_nonzero(np.abs(permuted) >= abs(observed) - _ROUNDING))
        for permuted in _permuted_differences(generator, first_counts, second_counts, resamples)
    )
    return F1Difference(
        observed, _percentile_interval(np.concatenate(differences), 0.95), (1 + as_extreme) / (1 + resamples)
    )


def coin_flips(generator: np.random.Generator, documents: int, resamples: int) -> Iterator[Floats]:
    """Fair coin flips, 0 or 1, for each document: blocks of [block, documents] with `resamples` rows in all."""
    for block_size in _block_sizes(documents, resamples):
        yield generator.integers(2, size=(block_size, documents)).astype(np.float64)


def _count_matrix(documents: Sequence[Counts]) -> Floats:
    """[documents, 3] tp, fp, fn; float64 multiplies fast and is exact for counts below 2**53."""
    return np.array([(counts.tp, counts.fp, counts.fn) for counts in documents], dtype=np.float64)


def _f1(counts: Floats) -> Floats:
    """[..., 3] -> [...]; 0.0 where F1 is undefined."""
    true_positives, false_positives, false_negatives = counts[..., 0], counts[..., 1], counts[..., 2]
    denominator = 2 * true_positives + false_positives + false_negatives
    f1 = np.divide(2 * true_positives, denominator, out=np.zeros_like(denominator), where=denominator > 0)
    return np.asarray(f1)


def _percentile_interval(values: Floats, level: float) -> tuple[float, float]:
    """The central interval that holds the share `level` of `values`."""
    lower, upper = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(lower), float(upper)


def _block_sizes(documents: int, resamples: int) -> Iterator[int]:
    """Numbers of resamples to process at once, `resamples` in all."""
    block_size = max(1, _MAX_CELLS // documents)
    for finished in range(0, resamples, block_size):
        yield min(block_size, resamples - finished)


def _bootstrap_draws(generator: np.random.Generator, documents: int, resamples: int) -> Iterator[Floats]:
    """How often each document is in each bootstrap sample: blocks of [block, documents], `resamples` rows in all."""
    for block_size in _block_sizes(documents, resamples):
        row_offsets = np.arange(block_size)[:, None] * documents
        cells = generator.integers(documents, size=(block_size, documents)) + row_offsets
        frequencies = np.bincount(cells.ravel(), minlength=block_size * documents)
        yield frequencies.reshape(block_size, documents).astype(np.float64)


def _permuted_differences(
    generator: np.random.Generator, first: Floats, second: Floats, resamples: int
) -> Iterator[Floats]:
    """[block] F1 differences after swapping each document's two outputs with probability 1/2."""
    for flips in coin_flips(generator, len(first), resamples):
        swapped = flips @ (second - first)
        yield _f1(first.sum(axis=0) + swapped) - _f1(second.sum(axis=0) - swapped)
