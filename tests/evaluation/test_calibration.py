from __future__ import annotations

import numpy as np
import pytest

from entsemble.errors import DataError
from entsemble.evaluation.calibration import measure_reliability, risk_coverage_curve


def test_ece_of_a_known_case() -> None:
    # [0.9, 1.0]: two answers, mean score 0.95, one right, off by 0.45; [0.6, 0.7): three, 0.65, all right, off by 0.35
    table = measure_reliability([0.95, 0.95, 0.65, 0.65, 0.65], [True, False, True, True, True])
    assert table.ece == pytest.approx((2 * 0.45 + 3 * 0.35) / 5)
    assert table.brier == pytest.approx((0.05**2 + 0.95**2 + 3 * 0.35**2) / 5)
    assert table.scored_mentions == 5
    assert [(x.count, x.correct) for x in table.bins if x.count] == [(3, 3), (2, 1)]


def test_ece_does_not_cancel_between_bins_but_does_within_one() -> None:
    assert measure_reliability([0.25, 0.75], [True, False]).ece == pytest.approx(0.75)
    assert measure_reliability([0.25, 0.75], [True, False], bins=1).ece == pytest.approx(0.0)


def test_bins_are_closed_below_and_the_last_one_above() -> None:
    table = measure_reliability([0.0, 0.5, 1.0, 0.49], [False, True, True, False], bins=2)
    assert [(x.low, x.high, x.count) for x in table.bins] == [(0.0, 0.5, 2), (0.5, 1.0, 2)]
    assert table.bins[1].confidence == 0.75
    assert table.bins[0].accuracy == 0.0


def test_honest_scores_have_a_small_error() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random(20_000)
    assert measure_reliability(scores, rng.random(20_000) < scores).ece < 0.02
    assert measure_reliability(scores, rng.random(20_000) < scores**3).ece > 0.2


def test_true_scores_have_as_much_error_as_chance_makes() -> None:
    rng = np.random.default_rng(0)
    drawn = [rng.random(60) for _ in range(400)]
    tables = [measure_reliability(scores, rng.random(60) < scores) for scores in drawn]
    assert np.mean([t.ece for t in tables]) == pytest.approx(np.mean([t.ece_if_calibrated for t in tables]), abs=0.005)
    assert measure_reliability([], []).ece_if_calibrated == 0.0


def test_how_often_true_scores_are_as_far_off() -> None:
    # of four answers scored 0.5, none or all are right in 2 of 16 cases, one or three in 8 more
    assert measure_reliability([0.5] * 4, [True] * 4).p_value == pytest.approx(2 / 16, abs=0.03)
    assert measure_reliability([0.5] * 4, [True] * 3 + [False]).p_value == pytest.approx(10 / 16, abs=0.04)
    assert measure_reliability([0.5] * 4, [True, True, False, False]).p_value == 1.0
    assert measure_reliability([1.0, 1.0], [True, True]).p_value == 1.0
    assert measure_reliability([], []).p_value == 1.0


def test_true_scores_rarely_look_false_and_false_ones_do() -> None:
    rng = np.random.default_rng(0)
    drawn = [rng.random(200) for _ in range(100)]
    true = [measure_reliability(scores, rng.random(200) < scores).p_value for scores in drawn]
    assert np.mean(np.array(true) < 0.05) < 0.1
    assert all(measure_reliability(scores, rng.random(200) < scores**3).p_value < 0.01 for scores in drawn[:20])


def texts_alike(draw: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Four answers a text, all with one true score, and right or wrong together."""
    scores = np.repeat(draw.random(count), 4)
    return scores, np.repeat(draw.random(count), 4) < scores, np.repeat(np.arange(count), 4)


def test_answers_of_a_text_are_right_or_wrong_together() -> None:
    rng = np.random.default_rng(0)
    drawn = [texts_alike(rng, 60) for _ in range(100)]
    tables = [measure_reliability(*one) for one in drawn]
    assert np.mean(np.array([t.p_value for t in tables]) < 0.05) < 0.12
    assert np.mean([t.ece for t in tables]) == pytest.approx(np.mean([t.ece_if_calibrated for t in tables]), rel=0.1)
    apart = [measure_reliability(scores, right) for scores, right, _ in drawn]
    assert np.mean(np.array([t.p_value for t in apart]) < 0.05) > 0.3, "texts aside, true scores would look false"


@pytest.mark.parametrize("power", [1, 1.5, 3])
def test_the_interval_holds_the_error(power: float) -> None:
    rng = np.random.default_rng(0)
    scores = rng.random(1_000_000)
    truth = measure_reliability(scores, rng.random(len(scores)) < scores**power, np.zeros(len(scores), dtype=int)).ece
    inside = []
    for _ in range(100):
        told, count = rng.random(120), rng.integers(40, size=120)
        low, high = measure_reliability(told, rng.random(120) < told**power, count).ece_ci95
        inside.append(low <= truth <= high)
    assert np.mean(inside) > 0.85


def test_one_text_tells_nothing() -> None:
    table = measure_reliability([0.9, 0.8, 0.7], [False, True, False], [0, 0, 0])
    assert table.p_value == 1.0
    assert table.ece_ci95[0] == 0.0
    assert table.ece_ci95[1] > table.ece


def test_the_interval_is_of_what_p_says() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random(400)
    false, true = (measure_reliability(scores, rng.random(400) < scores**power) for power in (3, 1))
    assert false.p_value < 0.01 < false.ece_ci95[0] <= false.ece <= false.ece_ci95[1]
    assert true.p_value > 0.05
    assert true.ece_ci95[0] == 0.0
    assert measure_reliability([], []).ece_ci95 == (0.0, 0.0)


@pytest.mark.parametrize("right", [85, 84])
def test_an_error_that_is_small_by_luck_has_a_wide_interval(right: int) -> None:
    table = measure_reliability([0.848] * 100, [i < right for i in range(100)])
    assert table.ece < 0.01
    assert 0.04 < table.ece_ci95[1] < 0.1, "one standard error is 0.036"


def test_no_error_at_all_has_an_interval() -> None:
    table = measure_reliability([0.5] * 100, [i < 50 for i in range(100)])
    assert table.ece == 0.0
    assert table.ece_ci95[0] == 0.0
    assert table.ece_ci95[1] == pytest.approx(0.1, abs=0.02)


def test_an_empty_bin_has_no_figures() -> None:
    low, high = measure_reliability([0.2], [True], bins=2).to_json()["bins"]
    assert low == {"low": 0.0, "high": 0.5, "count": 1, "confidence": 0.2, "accuracy": 1.0}
    assert high == {"low": 0.5, "high": 1.0, "count": 0, "confidence": None, "accuracy": None}


def test_no_answers() -> None:
    table = measure_reliability([], [])
    assert (table.ece, table.brier, table.scored_mentions, len(table.bins)) == (0.0, 0.0, 0, 10)
    assert risk_coverage_curve([], []) == ()


def test_risk_coverage_takes_equal_scores_together() -> None:
    points = risk_coverage_curve([0.5, 0.9, 0.5, 0.7], [True, True, False, False])
    assert [(x.score, x.accepted, x.wrong) for x in points] == [(0.9, 1, 0), (0.7, 2, 1), (0.5, 4, 2)]
    assert [(x.coverage, x.risk) for x in points] == [(0.25, 0.0), (0.5, 0.5), (1.0, 0.5)]
    assert points == risk_coverage_curve([0.7, 0.5, 0.5, 0.9], [False, False, True, True])


@pytest.mark.parametrize("bad", [-0.1, 1.01, float("nan")])
def test_a_score_is_a_probability(bad: float) -> None:
    with pytest.raises(DataError, match=r"\[0, 1\]"):
        measure_reliability([0.5, bad], [True, True])


def test_wrong_shapes_and_no_bins() -> None:
    with pytest.raises(ValueError, match="one truth a score"):
        risk_coverage_curve([0.5], [True, False])
    with pytest.raises(ValueError, match="at least one bin"):
        measure_reliability([0.5], [True], bins=0)
    with pytest.raises(ValueError, match="one text a score"):
        measure_reliability([0.5], [True], [0, 1])
