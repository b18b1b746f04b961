from __future__ import annotations

import numpy as np
import pytest

from entsemble.errors import DataError
from entsemble.evaluation.calibration import measure_reliability, risk_coverage_curve


def test_ece_and_brier_score_of_five_predictions() -> None:
    # [0.9, 1.0]: mean score 0.95, accuracy 0.5; [0.6, 0.7): mean score 0.65, accuracy 1
    table = measure_reliability([0.95, 0.95, 0.65, 0.65, 0.65], [True, False, True, True, True])
    assert table.ece == pytest.approx((2 * 0.45 + 3 * 0.35) / 5)
    assert table.brier == pytest.approx((0.05**2 + 0.95**2 + 3 * 0.35**2) / 5)
    assert table.scored_mentions == 5
    assert [(score_bin.count, score_bin.correct) for score_bin in table.bins if score_bin.count] == [(3, 3), (2, 1)]


def test_errors_cancel_within_a_bin_but_not_between_bins() -> None:
    assert measure_reliability([0.25, 0.75], [True, False]).ece == pytest.approx(0.75)
    assert measure_reliability([0.25, 0.75], [True, False], bins=1).ece == pytest.approx(0.0)


def test_bins_include_their_lower_bound_and_the_last_one_includes_1() -> None:
    table = measure_reliability([0.0, 0.5, 1.0, 0.49], [False, True, True, False], bins=2)
    assert [(score_bin.low, score_bin.high, score_bin.count) for score_bin in table.bins] == [
        (0.0, 0.5, 2),
        (0.5, 1.0, 2),
    ]
    assert table.bins[1].confidence == 0.75
    assert table.bins[0].accuracy == 0.0


def test_calibrated_scores_have_a_small_error() -> None:
    generator = np.random.default_rng(0)
    scores = generator.random(20_000)
    assert measure_reliability(scores, generator.random(20_000) < scores).ece < 0.02
    assert measure_reliability(scores, generator.random(20_000) < scores**3).ece > 0.2


def test_ece_of_calibrated_scores_is_as_large_as_expected() -> None:
    generator = np.random.default_rng(0)
    samples = [generator.random(60) for _ in range(400)]
    tables = [measure_reliability(scores, generator.random(60) < scores) for scores in samples]
    assert np.mean([table.ece for table in tables]) == pytest.approx(
        np.mean([table.ece_if_calibrated for table in tables]), abs=0.005
    )
    assert measure_reliability([], []).ece_if_calibrated == 0.0


def test_p_values_of_four_coin_flips() -> None:
    # of four predictions with a score of 0.5, none or all are correct in 2 of 16 cases, one or three in 8 more
    assert measure_reliability([0.5] * 4, [True] * 4).p_value == pytest.approx(2 / 16, abs=0.03)
    assert measure_reliability([0.5] * 4, [True] * 3 + [False]).p_value == pytest.approx(10 / 16, abs=0.04)
    assert measure_reliability([0.5] * 4, [True, True, False, False]).p_value == 1.0
    assert measure_reliability([1.0, 1.0], [True, True]).p_value == 1.0
    assert measure_reliability([], []).p_value == 1.0


def test_p_values_are_small_for_miscalibrated_scores_only() -> None:
    generator = np.random.default_rng(0)
    samples = [generator.random(200) for _ in range(100)]
    calibrated = [measure_reliability(scores, generator.random(200) < scores).p_value for scores in samples]
    assert np.mean(np.array(calibrated) < 0.05) < 0.1
    assert all(measure_reliability(scores, generator.random(200) < scores**3).p_value < 0.01 for scores in samples[:20])


def clustered_predictions(draw: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Four predictions per document with one calibrated score, all correct or all wrong; document indices."""
    scores = np.repeat(draw.random(count), 4)
    return scores, np.repeat(draw.random(count), 4) < scores, np.repeat(np.arange(count), 4)


def test_errors_that_cluster_within_documents_are_allowed_for() -> None:
    generator = np.random.default_rng(0)
    samples = [clustered_predictions(generator, 60) for _ in range(100)]
    tables = [measure_reliability(*sample) for sample in samples]
    assert np.mean(np.array([table.p_value for table in tables]) < 0.05) < 0.12
    assert np.mean([table.ece for table in tables]) == pytest.approx(
        np.mean([table.ece_if_calibrated for table in tables]), rel=0.1
    )
    unclustered = [measure_reliability(scores, correct) for scores, correct, _ in samples]
    assert np.mean(np.array([table.p_value for table in unclustered]) < 0.05) > 0.3, (
        "without document indices, calibrated scores look miscalibrated"
    )


@pytest.mark.parametrize("power", [1, 1.5, 3])
def test_the_interval_contains_the_true_error(power: float) -> None:
    generator = np.random.default_rng(0)
    scores = generator.random(1_000_000)
    true_error = measure_reliability(
        scores, generator.random(len(scores)) < scores**power, np.zeros(len(scores), dtype=int)
    ).ece
    covered = []
    for _ in range(100):
        sample, documents = generator.random(120), generator.integers(40, size=120)
        lower, upper = measure_reliability(sample, generator.random(120) < sample**power, documents).ece_ci95
        covered.append(lower <= true_error <= upper)
    assert np.mean(covered) > 0.85


def test_one_document_is_no_evidence_of_miscalibration() -> None:
    table = measure_reliability([0.9, 0.8, 0.7], [False, True, False], [0, 0, 0])
    assert table.p_value == 1.0
    assert table.ece_ci95[0] == 0.0
    assert table.ece_ci95[1] > table.ece


def test_the_interval_excludes_0_if_p_is_small() -> None:
    generator = np.random.default_rng(0)
    scores = generator.random(400)
    overconfident, calibrated = (measure_reliability(scores, generator.random(400) < scores**power) for power in (3, 1))
    assert overconfident.p_value < 0.01
    assert 0.01 < overconfident.ece_ci95[0] <= overconfident.ece <= overconfident.ece_ci95[1]
    assert calibrated.p_value > 0.05
    assert calibrated.ece_ci95[0] == 0.0
    assert measure_reliability([], []).ece_ci95 == (0.0, 0.0)


@pytest.mark.parametrize("correct", [85, 84])
def test_a_small_error_of_few_predictions_has_a_wide_interval(correct: int) -> None:
    table = measure_reliability([0.848] * 100, [index < correct for index in range(100)])
    assert table.ece < 0.01
    assert 0.04 < table.ece_ci95[1] < 0.1, "one standard error is 0.036"


def test_an_error_of_0_has_an_interval() -> None:
    table = measure_reliability([0.5] * 100, [index < 50 for index in range(100)])
    assert table.ece == 0.0
    assert table.ece_ci95[0] == 0.0
    assert table.ece_ci95[1] == pytest.approx(0.1, abs=0.02)


def test_an_empty_bin_has_no_confidence_and_no_accuracy() -> None:
    low, high = measure_reliability([0.2], [True], bins=2).to_json()["bins"]
    assert low == {"low": 0.0, "high": 0.5, "count": 1, "confidence": 0.2, "accuracy": 1.0}
    assert high == {"low": 0.5, "high": 1.0, "count": 0, "confidence": None, "accuracy": None}


def test_no_predictions() -> None:
    table = measure_reliability([], [])
    assert (table.ece, table.brier, table.scored_mentions, len(table.bins)) == (0.0, 0.0, 0, 10)
    assert risk_coverage_curve([], []) == ()


def test_equal_scores_share_one_operating_point() -> None:
    points = risk_coverage_curve([0.5, 0.9, 0.5, 0.7], [True, True, False, False])
    assert [(point.threshold, point.accepted, point.wrong) for point in points] == [
        (0.9, 1, 0),
        (0.7, 2, 1),
        (0.5, 4, 2),
    ]
    assert [(point.coverage, point.risk) for point in points] == [(0.25, 0.0), (0.5, 0.5), (1.0, 0.5)]
    assert points == risk_coverage_curve([0.7, 0.5, 0.5, 0.9], [False, False, True, True])


@pytest.mark.parametrize("invalid", [-0.1, 1.01, float("nan")])
def test_a_score_outside_0_to_1_is_refused(invalid: float) -> None:
    with pytest.raises(DataError, match=r"\[0, 1\]"):
        measure_reliability([0.5, invalid], [True, True])


def test_different_lengths_and_no_bins_are_refused() -> None:
    with pytest.raises(ValueError, match="one outcome per score"):
        risk_coverage_curve([0.5], [True, False])
    with pytest.raises(ValueError, match="at least one bin"):
        measure_reliability([0.5], [True], bins=0)
    with pytest.raises(ValueError, match="one document per score"):
        measure_reliability([0.5], [True], [0, 1])
