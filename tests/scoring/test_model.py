from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from entsemble.scoring.model import StackingModel
from entsemble.scoring.platt import PlattScaling
from entsemble.scoring.semi_crf import SpanCrf
from entsemble.types import Span
from tests.scoring.scoring_factories import disjoint_spans, probabilities_alone, vote_only_model


def test_missing_features_are_standardised_to_the_mean() -> None:
    model = vote_only_model(2, feature_means=(1.0, 2.0), feature_scales=(2.0, 4.0))
    assert model.standardise(np.array([[3.0, np.nan], [1.0, 6.0]])).tolist() == [[1, 0, 1], [0, 1, 1]]


def test_labels_of_a_candidate_exclude_each_other() -> None:
    model = vote_only_model(2)
    assert probabilities_alone(model, [[800.0, 0], [800, 0], [0, 0]]) == pytest.approx([0.5, 0.5, 0])
    assert probabilities_alone(model, [[-800.0, 0]] * 3) == pytest.approx([0, 0, 0])


def test_overlapping_candidates_exclude_each_other() -> None:
    model, features = vote_only_model(1), [np.array([[2.0]]), np.array([[1.0]])]
    partition = 1 + np.exp(2) + np.exp(1)
    overlapping = SpanCrf([Span(0, 8), Span(4, 8)], nested=False)
    assert np.concatenate(model.predict(features, overlapping)) == pytest.approx(np.exp([2, 1]) / partition)
    assert np.concatenate(model.predict(features, disjoint_spans(2))) == pytest.approx(1 / (1 + np.exp([-2, -1])))


def test_the_parameter_vector_holds_coefficients_intercept_and_nesting() -> None:
    model = vote_only_model(3)
    changed = model.with_vector(np.array([0.5, 1.5, 2.5, 3.5, 4.5]))
    assert changed == replace(model, coefficients=(0.5, 1.5, 2.5), intercept=3.5, nesting_log_potential=4.5)
    assert changed.to_vector().tolist() == [0.5, 1.5, 2.5, 3.5, 4.5]


def test_json_keeps_the_model_without_loss() -> None:
    model = vote_only_model(2, intercept=0.1, calibration=PlattScaling(0.7, 1 / 3), proposes_capitalised=True)
    assert StackingModel.from_json(model.to_json()) == model


@pytest.mark.parametrize("text", ["[]", "{}", "not json"])
def test_other_json_is_not_a_model(text: str) -> None:
    with pytest.raises(ValueError, match=r"Expecting value|not a stacking model"):
        StackingModel.from_json(text)


def test_json_without_a_parameter_is_not_a_model() -> None:
    values = json.loads(vote_only_model(1).to_json())
    del values["threshold"]
    with pytest.raises(ValueError, match="not a stacking model"):
        StackingModel.from_json(json.dumps(values))
