"""Whether a score of 0.8 means right eight times in ten.

Sources: C. Guo et al., "On calibration of modern neural networks", ICML 2017 (expected calibration error, reliability
table; after M. P. Naeini et al., AAAI 2015); J. Bröcker and L. A. Smith, "Increasing the reliability of reliability
diagrams", Weather and Forecasting 22, 2007 (what true scores would show); C. F. J. Wu, "Jackknife, bootstrap and other
resampling methods in regression analysis", Annals of Statistics 14, 1986, and A. C. Cameron et al., "Bootstrap-based
improvements for inference with clustered errors", Review of Economics and Statistics 90, 2008 (the wild bootstrap, text
by text); G. W. Brier, "Verification of forecasts expressed in terms of probability", 1950; Y. Geifman and R. El-Yaniv,
"Selective classification for deep neural networks", 2017 (risk and coverage).
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

_DRAWS = 1_000
_TAIL = 0.025
_MULTIPLES = np.concatenate([np.linspace(0, 3, 151), np.linspace(3.1, 10, 70), np.geomspace(10.5, 10_000, 141)])
"""Of what was observed, that may be the truth: many where next to nothing was, among few answers."""

_TIE = 1e-9  # errors closer than this are the same but for rounding


@dataclass(frozen=True, slots=True)
class Bin:
    """The answers whose score lies in `[low, high)`; the last bin holds 1.0 too.

    Attributes:
        low, high: ends of the bin.
        count: answers in it.
        correct: those of them that are right.
        score_sum: sum of their scores.
    """

    low: float
    high: float
    count: int
    correct: int
    score_sum: float

    @property
    def accuracy(self) -> float:
        """Share that is right; 0.0 for an empty bin."""
        return ratio(self.correct, self.count)

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
    """A reliability table, and how far chance goes.

    Answers of one text are right or wrong together more often than others, so texts are what chance is about: where a
    text's answers promised too much, they might as well have promised as much too little (the wild bootstrap).

    Attributes:
        bins: of equal width, from 0 to 1.
        squared_error: sum over the answers of (score - right)**2.
        ece_ci95: between which errors, spread over the bins as the one that was found, it is not improbable to find it:
            so few answers have some error even if their scores are true, and the interval allows for that.
        ece_if_calibrated: about what `ece` would be on average, were all scores true: as much of it is the fault of few
            texts.
        p_value: how often `ece` would be as large as it is, were all scores true; 1.0 for no answer.
    """

    bins: tuple[Bin, ...]
    squared_error: float
    ece_ci95: tuple[float, float]
    ece_if_calibrated: float
    p_value: float

    @property
    def scored_mentions(self) -> int:
        """How many answers have a score."""
        return sum(x.count for x in self.bins)

    @property
    def ece(self) -> float:
        """Mean distance between confidence and accuracy of the bins, each weighing what it holds; 0.0 for none."""
        return ratio(sum(abs(x.score_sum - x.correct) for x in self.bins), self.scored_mentions)

    @property
    def brier(self) -> float:
        """Mean squared error of the scores; 0.0 for none."""
        return ratio(self.squared_error, self.scored_mentions)

    def to_json(self) -> dict[str, Any]:
        """The report's `reliability`."""
        chance = {"ece_ci95": [*self.ece_ci95], "ece_if_calibrated": self.ece_if_calibrated, "p_value": self.p_value}
        return {
            "scored_mentions": self.scored_mentions,
            **chance,
            "brier": self.brier,
            "bins": [x.to_json() for x in self.bins],
        }


@dataclass(frozen=True, slots=True)
class OperatingPoint:
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


def measure_reliability(
    scores: Sequence[float] | Floats,
    correct: Sequence[bool] | npt.NDArray[np.bool_],
    texts: Sequence[int] | npt.NDArray[np.int64] | None = None,
    bins: int = 10,
) -> Reliability:
    """Sort answers into bins of equal width by score.

    Args:
        scores: [n] confidences in [0, 1].
        correct: [n] whether each answer is right.
        texts: [n] number of the text that each answer is of, from 0 on; without it, each is of one of its own.
        bins: how many bins.

    Raises:
        DataError: a score is no probability.
        ValueError: not one truth or text a score, or no bin.
    """
    if bins < 1:
        raise ValueError(f"a reliability table needs at least one bin, got {bins}")
    values, truth = _arrays(scores, correct)
    of = np.arange(len(values)) if texts is None else np.asarray(texts, dtype=np.int64)
    if of.shape != values.shape:
        raise ValueError(f"one text a score is needed, got shapes {values.shape} and {of.shape}")
    index = np.minimum((values * bins).astype(np.int64), bins - 1)
    count = np.bincount(index, minlength=bins)
    right = np.bincount(index, weights=truth, minlength=bins)
    sums = np.bincount(index, weights=values, minlength=bins)
    table = tuple(Bin(i / bins, (i + 1) / bins, int(count[i]), int(right[i]), float(sums[i])) for i in range(bins))
    away = np.zeros((of.max(initial=-1) + 1, bins))
    np.add.at(away, (of, index), values - truth)
    return Reliability(table, float(((values - truth) ** 2).sum()), *_chance(away, len(values)))


def _chance(away: Floats, scored: int) -> tuple[tuple[float, float], float, float]:
    """`ece_ci95`, `ece_if_calibrated` and `p_value`.

    Args:
        away: [texts, bins] by how much each text's scores promise too much.
        scored: how many answers there are.
    """
    if not scored:
        return (0.0, 0.0), 0.0, 1.0
    rng = np.random.default_rng(0)
    noise = np.concatenate([(2 * heads - 1) @ away for heads in coin_flips(rng, len(away), _DRAWS)])
    total = away.sum(axis=0)
    found = float(np.abs(total).sum()) / scored
    drawn = np.array([np.abs(multiple * total + noise).sum(axis=1) for multiple in _MULTIPLES]) / scored
    as_large, as_small = drawn >= found - _TIE, drawn <= found + _TIE
    possible = _MULTIPLES[as_large.mean(axis=1) >= _TAIL], _MULTIPLES[as_small.mean(axis=1) >= _TAIL]
    low, high = possible[0].min(initial=1.0), possible[1].max(initial=1.0)
    p_value = (np.count_nonzero(as_large[0]) + 1) / (_DRAWS + 1)
    chance = float(drawn[0].mean())
    if found <= _TIE:  # nothing has no multiples: as far as true scores go
        return (0.0, float(np.quantile(drawn[0], 1 - _TAIL))), chance, p_value
    return (float(low) * found, min(1.0, float(high) * found)), chance, p_value


def risk_coverage_curve(
    scores: Sequence[float] | Floats, correct: Sequence[bool] | npt.NDArray[np.bool_]
) -> tuple[OperatingPoint, ...]:
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
    return tuple(OperatingPoint(float(values[i]), int(i) + 1, int(wrong[i]), len(values)) for i in last)


def _arrays(scores: Sequence[float] | Floats, correct: Sequence[bool] | npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Both as float64 [n], checked."""
    values, truth = np.asarray(scores, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    if values.ndim != 1 or values.shape != truth.shape:
        raise ValueError(f"one truth a score is needed, got shapes {values.shape} and {truth.shape}")
    bad = values[~((values >= 0) & (values <= 1))]
    if bad.size:
        raise DataError(f"a score must lie in [0, 1], got {bad[0]}; leave scores out where there are none")
    return values, truth
