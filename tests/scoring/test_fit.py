"""The MAP fit against scipy, its evidence against numerical integration, and when a model is fitted at all."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

from entsemble.scoring.examples import ScoredSentence, TrainingExample
from entsemble.scoring.fit import (
    PRIOR_PRECISION,
    WEAK_PRIOR_PRECISION,
    MapFit,
    choose_prior_precision,
    fit_map,
    fit_model,
)
from entsemble.scoring.model import StackingModel
from entsemble.scoring.semi_crf import SpanCrf
from entsemble.types import LabelSet, Span
from entsemble.voting.rules import soft_vote
from tests.factories import sentence
from tests.scoring.scoring_factories import (
    TOWNS,
    ballot,
    disjoint_example,
    feature_extractor,
    pretrained_model,
    probabilities_alone,
    scored_sentences,
    vote_only_model,
)


def example_with_log_odds(log_odds: Callable[[Any], Any], seed: int) -> TrainingExample:
    """Candidates with one label and one random feature, correct with these log-odds of the feature."""
    generator = np.random.default_rng(seed)
    feature = generator.normal(size=300)
    targets = generator.random(300) < 1 / (1 + np.exp(-log_odds(feature)))
    return disjoint_example(feature[:, None, None], targets[:, None])


def test_the_fit_to_disjoint_candidates_equals_scipy() -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(200, 3, 4)) * [1, 2, 3, 4]
    utilities = features @ [1, -1, 0.5, 0] + generator.gumbel(size=(200, 3)) - generator.gumbel(size=(200, 1))
    targets = (utilities > 0) & (utilities == utilities.max(axis=1, keepdims=True))
    means, scales, coefficients = (0.0, 1, 0, 0), (1.0, 2, 3, 4), (1.0, 0.5, 0, 0)
    prior = StackingModel(means, scales, coefficients, -0.5, 0.0, 0.3, 0, proposes_capitalised=True)
    examples = [disjoint_example(features[:90], targets[:90]), disjoint_example(features[90:], targets[90:])]
    model = fit_map(examples, prior, 7.0).model
    design = np.concatenate([(features - means) / scales, np.ones((200, 3, 1))], axis=2)

    def loss(parameters: Any) -> float:
        logits = design @ parameters
        penalty = 7 * (((parameters[:4] - coefficients) ** 2).sum() + (parameters[4] + 0.5) ** 2)
        return float(np.log1p(np.exp(logits).sum(axis=1)).sum() - logits[targets].sum() + penalty / 2)

    expected = minimize(loss, np.zeros(5), tol=1e-10).x
    assert np.allclose(model.coefficients, expected[:4], atol=1e-4)
    assert model.intercept == pytest.approx(expected[4], abs=1e-4)
    assert model == replace(prior, coefficients=model.coefficients, intercept=model.intercept)
    odds = np.exp(design[0] @ expected)
    assert np.allclose(probabilities_alone(model, features[0]), odds / (1 + odds.sum()), atol=1e-4)


@pytest.mark.parametrize("nested", [False, True])
def test_the_fit_to_overlapping_candidates_equals_scipy(nested: bool) -> None:
    generator = np.random.default_rng(1)
    span_crf = SpanCrf([Span(0, 8), Span(0, 3), Span(4, 8), Span(2, 6), Span(9, 12)], nested=nested)
    examples = []
    for _ in range(60):
        targets = np.zeros((5, 2))
        correct = (
            generator.choice([0, 1, 2, 4], size=3, replace=False) if nested else generator.choice([0, 3, 4], size=1)
        )
        targets[correct, generator.integers(2, size=len(correct))] = 1
        enclosed_count = int(targets[0].any() * targets[1:3].sum()) if nested else 0
        features = generator.normal(size=(5, 2, 3)) + targets[..., None] * [1.0, 0, -0.5]
        examples.append(TrainingExample(list(features), list(targets), span_crf, enclosed_count))
    prior = vote_only_model(3, nesting_log_potential=-0.5)
    model = fit_map(examples, prior, 2.0).model

    def loss(parameters: Any) -> float:
        total = ((parameters - prior.to_vector()) ** 2).sum()
        for example in examples:
            utilities = [features @ parameters[:3] + parameters[3] for features in example.features]
            log_potentials = [float(np.logaddexp.reduce(utility)) for utility in utilities]
            total += span_crf.marginals(log_potentials, float(parameters[4])).log_partition
            total -= sum(float(u @ target) for u, target in zip(utilities, example.targets, strict=True))
            total -= parameters[4] * example.enclosed_count
        return float(total)

    assert model.to_vector() == pytest.approx(minimize(loss, np.zeros(5), tol=1e-9).x, abs=2e-3)
    assert (model.nesting_log_potential == prior.nesting_log_potential) is (not nested)


def test_without_candidates_the_fit_is_the_prior() -> None:
    prior = vote_only_model(3)
    assert fit_map([], prior, 1.0) == fit_map([disjoint_example([], [])], prior, 1.0) == MapFit(prior, 0.0)


def test_a_candidate_with_two_labels_is_shared_between_them() -> None:
    example = disjoint_example([np.array([[1.0], [1.0]])] * 50, [np.ones(2)] * 50)
    first, second = probabilities_alone(fit_map([example], vote_only_model(1), 1.0).model, [[1.0], [1.0]])
    assert first == second
    assert 0.4 < first < 0.5


def test_calibrated_votes_and_noise_are_left_as_they_are() -> None:
    generator = np.random.default_rng(0)
    log_odds = generator.normal(size=2000) * 2
    features = np.stack([log_odds, generator.normal(size=2000)], axis=1)[:, None]
    targets = (generator.random(2000) < 1 / (1 + np.exp(-log_odds)))[:, None]
    model = fit_map([disjoint_example(features, targets)], vote_only_model(2), 10.0).model
    assert model.coefficients == pytest.approx([1, 0], abs=0.1)
    assert model.intercept == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("precision", [2.0, 50.0])
def test_the_laplace_evidence_is_close_to_the_integral(precision: float) -> None:
    example = example_with_log_odds(lambda feature: 0.5 * feature - 0.5, 3)
    feature = np.concatenate(list(example.features))[:, 0]
    targets = np.concatenate(list(example.targets)) > 0
    grid = np.linspace(-1.5, 2.5, 401)
    slope, intercept = (axis[..., None] for axis in np.meshgrid(grid, grid - 1))
    logits = slope * feature + intercept
    log_likelihood = (logits * targets - np.logaddexp(0, logits)).sum(axis=-1)
    squared_distance = ((slope - 1) ** 2 + intercept**2)[..., 0]
    prior_density = np.exp(-precision * squared_distance / 2) * precision / (2 * math.pi)
    integral = (np.exp(log_likelihood) * prior_density).sum() * (grid[1] - grid[0]) ** 2
    evidence = fit_map([example], vote_only_model(1), precision).log_evidence
    assert evidence == pytest.approx(math.log(integral), abs=0.05)


def test_the_weak_prior_is_chosen_for_examples_that_contradict_the_prior() -> None:
    prior = vote_only_model(1)
    same, similar, different = (
        example_with_log_odds(log_odds, 1)
        for log_odds in (lambda feature: feature, lambda feature: feature - 0.3, lambda feature: -feature - 1)
    )
    assert choose_prior_precision([same], prior) == PRIOR_PRECISION
    assert choose_prior_precision([similar], prior) == PRIOR_PRECISION
    assert choose_prior_precision([different], prior) == WEAK_PRIOR_PRECISION
    assert choose_prior_precision([], prior) == PRIOR_PRECISION


def test_a_model_is_fitted_with_the_chosen_precision(places: LabelSet, trigrams: Any) -> None:
    extractor = feature_extractor(places, trigrams, sentence("Paris slept", ("Paris", "PER")))
    sentences, prior = scored_sentences(40, extractor), vote_only_model(len(extractor.feature_names))
    examples = [scored.to_example(places) for scored in sentences]
    assert choose_prior_precision(examples, prior) == WEAK_PRIOR_PRECISION
    chosen, weak, usual = (
        fit_model(sentences, places, prior, precision) for precision in (None, WEAK_PRIOR_PRECISION, PRIOR_PRECISION)
    )
    assert chosen == weak != usual


def test_no_model_is_fitted_to_too_few_sentences_or_targets(places: LabelSet, trigrams: Any) -> None:
    extractor = feature_extractor(places, trigrams)
    prior = pretrained_model(extractor)
    assert fit_model([], places, prior) is None
    assert fit_model(scored_sentences(9, extractor), places, prior) is None
    assert fit_model(scored_sentences(20, extractor), places, prior) is not None
    crowd = sentence(" ".join(TOWNS), *((town, "LOC") for town in TOWNS))
    verdict = soft_vote([ballot("wrong", "PER", 0.9), ballot("right", "LOC", 0.5)])
    crowded = ScoredSentence.from_verdicts(extractor, crowd, {mention.span: verdict for mention in crowd.mentions})
    assert fit_model([crowded] * 5, places, prior) is not None
    assert fit_model([crowded] * 4, places, prior) is None, "fewer sentences than folds"
    empty = ScoredSentence.from_verdicts(extractor, sentence("Rain"), {})
    assert fit_model([empty] * 50, places, prior) is None


def test_no_model_is_fitted_if_no_candidate_is_correct(places: LabelSet, trigrams: Any) -> None:
    extractor = feature_extractor(places, trigrams)
    verdict = soft_vote([ballot("right", "LOC", 0.5)])
    sentences = [
        ScoredSentence.from_verdicts(extractor, sentence(f"rain {number}"), {Span(0, 4): verdict})
        for number in range(40)
    ]
    assert fit_model(sentences, places, pretrained_model(extractor)) is None
