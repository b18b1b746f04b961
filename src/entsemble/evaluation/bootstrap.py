"""How sure a micro F1 is, and whether two systems differ, by resampling whole documents.

Mentions of one document are not independent, so documents are what is drawn. Sources: B. Efron and R. Tibshirani, "An
Introduction to the Bootstrap", 1993, chapter 13 (percentile interval); E. Noreen, "Computer-Intensive Methods for
Testing Hypotheses", 1989, and A. Yeh, "More accurate tests for the statistical significance of result differences",
COLING 2000 (approximate randomisation); B. Phipson and G. Smyth, "Permutation p-values should never be zero", 2010.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from entsemble.evaluation.counts import Counts

Floats = npt.NDArray[np.float64]

_BLOCK = 1 << 21  # draws held in memory at once: 16 MiB an array
_TIE = 1e-12  # differences of F1 closer than this are the same but for rounding


def f1_interval(
    documents: Sequence[Counts], *, resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap interval of micro F1.

    Args:
        documents: counts of each document, those with no mention included.
        resamples: how often as many documents are drawn with replacement.
        seed: the same seed gives the same interval.
        level: how much of the distribution lies between the ends.

    Returns:
        Lower and upper end; (0.0, 0.0) for no document.
    """
    if not documents:
        return 0.0, 0.0
    rng = np.random.default_rng(seed)
    f1 = _f1(np.concatenate([draws @ _table(documents) for draws in _draws(rng, len(documents), resamples)]))
    return _ends(f1, level)


@dataclass(frozen=True, slots=True)
class F1Difference:
    """Two systems on the same documents.

    Attributes:
        difference: micro F1 of the first minus that of the second.
        ci95: percentile bootstrap interval of the difference.
        p_value: two-sided, of a difference as large if it did not matter which system gave which document's answer.
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
        second: counts of the same documents, in the same order, with the second.
        resamples: of the bootstrap, and of the randomisation.
        seed: the same seed gives the same answer.

    Raises:
        ValueError: the two do not speak of the same documents.
    """
    if [x.support for x in first] != [x.support for x in second]:
        raise ValueError("both systems need the counts of the same documents in the same order")
    if not first:
        return F1Difference(0.0, (0.0, 0.0), 1.0)
    one, two = _table(first), _table(second)
    rng = np.random.default_rng(seed)
    redrawn = [_f1(draws @ one) - _f1(draws @ two) for draws in _draws(rng, len(first), resamples)]
    observed = float(_f1(one.sum(axis=0)) - _f1(two.sum(axis=0)))
    as_large = sum(
        int(np.count_nonzero(np.abs(swapped) >= abs(observed) - _TIE)) for swapped in _swapped(rng, one, two, resamples)
    )
    return F1Difference(observed, _ends(np.concatenate(redrawn), 0.95), (1 + as_large) / (1 + resamples))


def _table(documents: Sequence[Counts]) -> Floats:
    """[n, 3] tp, fp, fn; float64 multiplies fast, and is exact for counts below 2**53."""
    return np.array([(x.tp, x.fp, x.fn) for x in documents], dtype=np.float64)


def _f1(sums: Floats) -> Floats:
    """[..., 3] -> [...]; 0.0 where undefined."""
    right, wrong, missed = sums[..., 0], sums[..., 1], sums[..., 2]
    whole = 2 * right + wrong + missed
    return np.asarray(np.divide(2 * right, whole, out=np.zeros_like(whole), where=whole > 0))


def _ends(values: Floats, level: float) -> tuple[float, float]:
    """The values between which `level` of `values` lies."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _blocks(documents: int, resamples: int) -> Iterator[int]:
    """How many resamples to do at once, until all are done."""
    size = max(1, _BLOCK // documents)
    for done in range(0, resamples, size):
        yield min(size, resamples - done)


def _draws(rng: np.random.Generator, documents: int, resamples: int) -> Iterator[Floats]:
    """[block, n] how often each document was drawn, `resamples` rows in all."""
    for block in _blocks(documents, resamples):
        cells = rng.integers(documents, size=(block, documents)) + np.arange(block)[:, None] * documents
        times = np.bincount(cells.ravel(), minlength=block * documents)
        yield times.reshape(block, documents).astype(np.float64)


def coin_flips(rng: np.random.Generator, documents: int, resamples: int) -> Iterator[Floats]:
    """[block, n] for each document 0 or 1, by the toss of a coin, `resamples` rows in all."""
    for block in _blocks(documents, resamples):
        yield rng.integers(2, size=(block, documents)).astype(np.float64)


def _swapped(rng: np.random.Generator, one: Floats, two: Floats, resamples: int) -> Iterator[Floats]:
    """[block] differences of F1 with each document's two answers swapped by the toss of a coin."""
    for heads in coin_flips(rng, len(one), resamples):
        moved = heads @ (two - one)
        yield _f1(one.sum(axis=0) + moved) - _f1(two.sum(axis=0) - moved)
