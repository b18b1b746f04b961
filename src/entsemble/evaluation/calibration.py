"""Whether a score of 0.8 means right eight times in ten.

Sources: C. Guo et al., "On calibration of modern neural networks", ICML 2017 (expected calibration error, reliability
table; after M. P. Naeini et al., AAAI 2015); J. Bröcker and L. A. Smith, "Increasing the reliability of reliability
diagrams", Weather and Forecasting 22, 2007 (what true scores would show); G. W. Brier, "Verification of forecasts
expressed in terms of probability", 1950; Y. Geifman and R. El-Yaniv, "Selective classification for deep neural
networks", 2017 (risk and coverage).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from entsemble.errors import DataError
from entsemble.evaluation.counts import ratio

Floats = npt.NDArray[np.float64]

_DRAWS = 1_000


@dataclass(frozen=True, slots=True)
class Bin:
    """The answers whose score lies in `[low, high)`; the last bin holds 1.0 too.

    Attributes:
        low, high: ends of the bin.
        count: answers in it.
        right: those of them that are right.
        score_sum: sum of their scores.
    """

    low: float
    high: float
    count: int
    right: int
    score_sum: float

    @property
    def accuracy(self) -> float:
        """Share that is right; 0.0 for an empty bin."""
        return ratio(self.right, self.count)

    @property
    def confidence(self) -> float:
        """Mean score; 0.0 for an empty bin."""
        return ratio(self.score_sum, self.count)

    def to_json(self) -> dict[str, Any]:
        """Ends, count, and the two figures that should be equal; `null` for an empty bin."""
        figures = {"confidence": self.confidence, "accuracy": self.accuracy} if self.count else {}
        return {
            "low": self.low,
            "high": self.high,
            "count": self.count,
            "confidence": None,
            "accuracy": None,
            **figures,
        }


@dataclass(frozen=True, slots=True)
class Reliability:
    """A reliability table.

    Attributes:
        bins: of equal width, from 0 to 1.
        squared_error: sum over the answers of (score - right)**2.
    """

    bins: tuple[Bin, ...]
    squared_error: float

    @property
    def scored(self) -> int:
        """How many answers have a score."""
        return sum(x.count for x in self.bins)

    @property
    def ece(self) -> float:
        """Mean distance between confidence and accuracy of the bins, each weighing what it holds; 0.0 for none."""
        return ratio(sum(abs(x.score_sum - x.right) for x in self.bins), self.scored)

    @property
    def ece_by_chance(self) -> float:
        """About what `ece` would be on average, were all scores true: as much of it is the fault of few answers.

        A little more than that where the scores of a bin differ, since each is taken for their mean.
        """
        return ratio(sum(chance_deviation(x.count, x.confidence) for x in self.bins), self.scored)

    @property
    def p_value(self) -> float:
        """How often `ece` would be as large as it is, were all scores true, by drawing what would be right then.

        A little too high where the scores of a bin differ, as `ece_by_chance` is, and too low where answers are right
        or wrong together, as those of one text may be. 1.0 for no answer.
        """
        rng = np.random.default_rng(0)
        filled = [x for x in self.bins if x.count]
        off = np.zeros(_DRAWS)
        for x in filled:
            off += np.abs(rng.binomial(x.count, min(x.confidence, 1.0), _DRAWS) - x.score_sum)
        observed = sum(abs(x.score_sum - x.right) for x in filled)
        return float((np.count_nonzero(off >= observed - 1e-9) + 1) / (_DRAWS + 1))

    @property
    def brier(self) -> float:
        """Mean squared error of the scores; 0.0 for none."""
        return ratio(self.squared_error, self.scored)

    def to_json(self) -> dict[str, Any]:
        """The report's `reliability`."""
        bins = [x.to_json() for x in self.bins]
        told = {"ece_by_chance": self.ece_by_chance, "p_value": self.p_value, "brier": self.brier}
        return {"scored": self.scored, **told, "bins": bins}


@dataclass(frozen=True, slots=True)
class Threshold:
    """What a threshold lets through.

    Attributes:
        score: the lowest score let through.
        accepted: answers with that score or more.
        wrong: those of them that are wrong.
        total: all answers.
    """

    score: float
    accepted: int
    wrong: int
    total: int

    @property
    def coverage(self) -> float:
        """Share of the answers let through."""
        return ratio(self.accepted, self.total)

    @property
    def risk(self) -> float:
        """Share of them that is wrong."""
        return ratio(self.wrong, self.accepted)


def chance_deviation(count: int, probability: float) -> float:
    """How far, on average, the number of right answers is from what is expected, each being right with `probability`.

    The mean absolute deviation of a binomial, by de Moivre's formula (P. Diaconis and S. Zabell, 1991).

    Args:
        count: answers.
        probability: in [0, 1].
    """
    if not 0 < probability < 1:
        return 0.0
    above = min(math.floor(count * probability) + 1, count)  # it may be rounded up
    ways = math.lgamma(count + 1) - math.lgamma(above + 1) - math.lgamma(count - above + 1)
    chance = ways + above * math.log(probability) + (count - above + 1) * math.log1p(-probability)
    return 2 * above * math.exp(chance)


def reliability(
    scores: Sequence[float] | Floats, correct: Sequence[bool] | npt.NDArray[np.bool_], bins: int = 10
) -> Reliability:
    """Sort answers into bins of equal width by score.

    Args:
        scores: [n] confidences in [0, 1].
        correct: [n] whether each answer is right.
        bins: how many bins.

    Raises:
        DataError: a score is no probability.
        ValueError: not one truth a score, or no bin.
    """
    if bins < 1:
        raise ValueError(f"a reliability table needs at least one bin, got {bins}")
    values, truth = _arrays(scores, correct)
    index = np.minimum((values * bins).astype(np.int64), bins - 1)
    count = np.bincount(index, minlength=bins)
    right = np.bincount(index, weights=truth, minlength=bins)
    sums = np.bincount(index, weights=values, minlength=bins)
    table = (Bin(i / bins, (i + 1) / bins, int(count[i]), int(right[i]), float(sums[i])) for i in range(bins))
    return Reliability(tuple(table), float(((values - truth) ** 2).sum()))


def risk_coverage(
    scores: Sequence[float] | Floats, correct: Sequence[bool] | npt.NDArray[np.bool_]
) -> tuple[Threshold, ...]:
    """How many answers each threshold lets through, and how many of them are wrong, strictest threshold first.

    One point for each different score: answers with the same score come and go together, so their order is no matter.

    Args:
        scores: [n] confidences in [0, 1].
        correct: [n] whether each answer is right.

    Raises:
        DataError: a score is no probability.
        ValueError: not one truth a score.
    """
    values, truth = _arrays(scores, correct)
    order = np.argsort(-values, kind="stable")
    values, wrong = values[order], np.cumsum(1 - truth[order])
    last = np.flatnonzero(np.append(values[1:] != values[:-1], np.ones(min(1, len(values)), dtype=bool)))
    return tuple(Threshold(float(values[i]), int(i) + 1, int(wrong[i]), len(values)) for i in last)


def _arrays(scores: Sequence[float] | Floats, correct: Sequence[bool] | npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Both as float64 [n], checked."""
    values, truth = np.asarray(scores, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    if values.ndim != 1 or values.shape != truth.shape:
        raise ValueError(f"one truth a score is needed, got shapes {values.shape} and {truth.shape}")
    bad = values[~((values >= 0) & (values <= 1))]
    if bad.size:
        raise DataError(f"a score must lie in [0, 1], got {bad[0]}; leave scores out where there are none")
    return values, truth
