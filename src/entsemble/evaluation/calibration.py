"""Calibration: whether a score of 0.8 means correct in eight cases out of ten.

Sources: C. Guo et al., "On calibration of modern neural networks", ICML 2017 (expected calibration error, reliability
table; after M. P. Naeini et al., AAAI 2015); J. Bröcker and L. A. Smith, "Increasing the reliability of reliability
diagrams", Weather and Forecasting 22, 2007 (the error of calibrated scores); C. F. J. Wu, "Jackknife, bootstrap and
other resampling methods in regression analysis", Annals of Statistics 14, 1986, and A. C. Cameron et al.,
"Bootstrap-based improvements for inference with clustered errors", Review of Economics and Statistics 90, 2008 (the
wild cluster bootstrap); G. W. Brier, "Verification of forecasts expressed in terms of probability", 1950; Y. Geifman
and R. El-Yaniv, "Selective classification for deep neural networks", 2017 (risk and coverage).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from entsemble.errors import DataError
from entsemble.evaluation.bootstrap import coin_flips
from entsemble.evaluation.counts import ratio

Floats = npt.NDArray[np.float64]

_RESAMPLES = 1_000
_TAIL_PROBABILITY = 0.025
_ROUNDING = 1e-9  # errors closer than this are equal but for rounding

_ERROR_FACTORS = np.concatenate([np.linspace(0, 3, 151), np.linspace(3.1, 10, 70), np.geomspace(10.5, 10_000, 141)])
"""Candidates for the true error, as multiples of the observed one; large ones matter if little was observed."""


@dataclass(frozen=True, slots=True)
class Bin:
    """The predictions whose score lies in `[low, high)`; the last bin includes 1.0.

    Attributes:
        low, high: bounds of the bin.
        count: predictions in it.
        correct: correct predictions among them.
        score_sum: sum of their scores.
    """

    low: float
    high: float
    count: int
    correct: int
    score_sum: float

    @property
    def accuracy(self) -> float:
        """Share of correct predictions; 0.0 for an empty bin."""
        return ratio(self.correct, self.count)

    @property
    def confidence(self) -> float:
        """Mean score; 0.0 for an empty bin."""
        return ratio(self.score_sum, self.count)

    def to_json(self) -> dict[str, Any]:
        """Bounds, count, mean score and accuracy; `null` for the last two if the bin is empty."""
        return {
            "low": self.low,
            "high": self.high,
            "count": self.count,
            "confidence": self.confidence if self.count else None,
            "accuracy": self.accuracy if self.count else None,
        }


@dataclass(frozen=True, slots=True)
class Reliability:
    """A reliability table, with the sampling error of its calibration error.

    Errors cluster within documents, so the sampling error comes from a wild cluster bootstrap over documents: under the
    hypothesis of calibrated scores, a document's overconfidence might equally well have had the opposite sign.

    Attributes:
        bins: of equal width, from 0 to 1.
        squared_error: sum over the predictions of (score - correct)**2.
        ece_ci95: 95 % interval of the expected calibration error, by inversion of the bootstrap test over errors that
            are spread over the bins like the observed one.
        ece_if_calibrated: expected value of `ece` if all scores were calibrated: not 0, for few documents.
        p_value: probability of an `ece` at least this large if all scores were calibrated; 1.0 for no predictions.
    """

    bins: tuple[Bin, ...]
    squared_error: float
    ece_ci95: tuple[float, float]
    ece_if_calibrated: float
    p_value: float

    @property
    def scored_mentions(self) -> int:
        """Number of predictions with a score."""
        return sum(score_bin.count for score_bin in self.bins)

    @property
    def ece(self) -> float:
        """Expected calibration error: mean of |confidence - accuracy|, weighted by bin size; 0.0 for no predictions."""
        absolute_error = sum(abs(score_bin.score_sum - score_bin.correct) for score_bin in self.bins)
        return ratio(absolute_error, self.scored_mentions)

    @property
    def brier(self) -> float:
        """Mean squared error of the scores; 0.0 for no predictions."""
        return ratio(self.squared_error, self.scored_mentions)

    def to_json(self) -> dict[str, Any]:
        """The report's `reliability`."""
        return {
            "scored_mentions": self.scored_mentions,
            "ece_ci95": [*self.ece_ci95],
            "ece_if_calibrated": self.ece_if_calibrated,
            "p_value": self.p_value,
            "brier": self.brier,
            "bins": [score_bin.to_json() for score_bin in self.bins],
        }


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """The predictions that a score threshold accepts.

    Attributes:
        threshold: the lowest accepted score.
        accepted: predictions with that score or more.
        wrong: wrong predictions among them.
        total: all predictions.
    """

    threshold: float
    accepted: int
    wrong: int
    total: int

    @property
    def coverage(self) -> float:
        """Share of the predictions that is accepted."""
        return ratio(self.accepted, self.total)

    @property
    def risk(self) -> float:
        """Share of the accepted predictions that is wrong."""
        return ratio(self.wrong, self.accepted)


def measure_reliability(
    scores: Sequence[float] | Floats,
    correct: Sequence[bool] | npt.NDArray[np.bool_],
    documents: Sequence[int] | npt.NDArray[np.int64] | None = None,
    bins: int = 10,
) -> Reliability:
    """Sort predictions into bins of equal width by score, and compare mean score and accuracy.

    Args:
        scores: [n] confidences in [0, 1].
        correct: [n] whether each prediction is correct.
        documents: [n] index of the document of each prediction, from 0; default: each prediction has its own.
        bins: number of bins.

    Raises:
        DataError: a score is not in [0, 1].
        ValueError: the lengths differ, or there is no bin.
    """
    if bins < 1:
        raise ValueError(f"a reliability table needs at least one bin, got {bins}")
    confidences, outcomes = _checked_arrays(scores, correct)
    clusters = np.arange(len(confidences)) if documents is None else np.asarray(documents, dtype=np.int64)
    if clusters.shape != confidences.shape:
        raise ValueError(f"one document per score is needed, got shapes {confidences.shape} and {clusters.shape}")
    bin_indices = np.minimum((confidences * bins).astype(np.int64), bins - 1)
    bin_counts = np.bincount(bin_indices, minlength=bins)
    bin_correct = np.bincount(bin_indices, weights=outcomes, minlength=bins)
    bin_score_sums = np.bincount(bin_indices, weights=confidences, minlength=bins)
    table = tuple(
        Bin(
            index / bins,
            (index + 1) / bins,
            int(bin_counts[index]),
            int(bin_correct[index]),
            float(bin_score_sums[index]),
        )
        for index in range(bins)
    )
    overconfidence = np.zeros((clusters.max(initial=-1) + 1, bins))
    np.add.at(overconfidence, (clusters, bin_indices), confidences - outcomes)
    squared_error = float(((confidences - outcomes) ** 2).sum())
    return Reliability(table, squared_error, *_sampling_error(overconfidence, len(confidences)))


def _sampling_error(overconfidence: Floats, predictions: int) -> tuple[tuple[float, float], float, float]:
    """`ece_ci95`, `ece_if_calibrated` and `p_value`, by the wild cluster bootstrap.

    Args:
        overconfidence: [documents, bins] sum of scores minus number of correct predictions.
        predictions: number of predictions.
    """
    if not predictions:
        return (0.0, 0.0), 0.0, 1.0
    generator = np.random.default_rng(0)
    flips = coin_flips(generator, len(overconfidence), _RESAMPLES)
    noise = np.concatenate([(2 * block - 1) @ overconfidence for block in flips])
    total = overconfidence.sum(axis=0)
    observed = float(np.abs(total).sum()) / predictions
    simulated = np.array([np.abs(factor * total + noise).sum(axis=1) for factor in _ERROR_FACTORS]) / predictions
    as_large, as_small = simulated >= observed - _ROUNDING, simulated <= observed + _ROUNDING
    lower_factor = _ERROR_FACTORS[as_large.mean(axis=1) >= _TAIL_PROBABILITY].min(initial=1.0)
    upper_factor = _ERROR_FACTORS[as_small.mean(axis=1) >= _TAIL_PROBABILITY].max(initial=1.0)
    p_value = (np.count_nonzero(as_large[0]) + 1) / (_RESAMPLES + 1)
    expected = float(simulated[0].mean())
    if observed <= _ROUNDING:  # an error of 0 has no multiples: take the upper quantile under calibration
        return (0.0, float(np.quantile(simulated[0], 1 - _TAIL_PROBABILITY))), expected, p_value
    return (float(lower_factor) * observed, min(1.0, float(upper_factor) * observed)), expected, p_value


def risk_coverage_curve(
    scores: Sequence[float] | Floats, correct: Sequence[bool] | npt.NDArray[np.bool_]
) -> tuple[OperatingPoint, ...]:
    """How many predictions each threshold accepts, and how many of them are wrong, strictest threshold first.

    There is one point for each distinct score, so the order of predictions with equal scores does not matter.

    Args:
        scores: [n] confidences in [0, 1].
        correct: [n] whether each prediction is correct.

    Raises:
        DataError: a score is not in [0, 1].
        ValueError: the lengths differ.
    """
    confidences, outcomes = _checked_arrays(scores, correct)
    order = np.argsort(-confidences, kind="stable")
    confidences, wrong = confidences[order], np.cumsum(1 - outcomes[order])
    is_last = np.append(confidences[1:] != confidences[:-1], np.ones(min(1, len(confidences)), dtype=bool))
    return tuple(
        OperatingPoint(float(confidences[index]), int(index) + 1, int(wrong[index]), len(confidences))
        for index in np.flatnonzero(is_last)
    )


def _checked_arrays(
    scores: Sequence[float] | Floats, correct: Sequence[bool] | npt.NDArray[np.bool_]
) -> tuple[Floats, Floats]:
    """Both as float64 [n].

    Raises:
        DataError: a score is not in [0, 1].
        ValueError: the lengths differ.
    """
    confidences, outcomes = np.asarray(scores, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    if confidences.ndim != 1 or confidences.shape != outcomes.shape:
        raise ValueError(f"one outcome per score is needed, got shapes {confidences.shape} and {outcomes.shape}")
    invalid = confidences[~((confidences >= 0) & (confidences <= 1))]
    if invalid.size:
        raise DataError(f"a score must lie in [0, 1], got {invalid[0]}; omit scores that you do not have")
    return confidences, outcomes
