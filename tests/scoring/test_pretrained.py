"""The pre-trained model, and the release tool that fits it."""

from __future__ import annotations

import numpy as np
import pytest
from tools.release.scorer import ScoredCorpus, average_members, fit_calibration, fit_examples

from entsemble.scoring.examples import ScoredSentence
from entsemble.scoring.features import (
    MEMBER_FEATURES,
    NEIGHBOUR_FEATURES,
    OVERLAP_FEATURES,
    POOL_FEATURES,
    SURFACE_FEATURES,
    VOTE_FEATURE,
    WORD_FEATURES,
)
from entsemble.scoring.pretrained import WITH_MEMBERS, PretrainedModel, load_pretrained
from entsemble.types import Document, LabelSet, Mention, Span
from entsemble.voting.rules import Verdict
from tests.scoring.scoring_factories import disjoint_example, disjoint_spans, probabilities_alone, vote_only_model

OTHER_FEATURES = (*POOL_FEATURES, *NEIGHBOUR_FEATURES, *WORD_FEATURES, *SURFACE_FEATURES, *OVERLAP_FEATURES)
ONE_MEMBER = (VOTE_FEATURE, *MEMBER_FEATURES, *OTHER_FEATURES)
VOICES = tuple(load_pretrained(with_members=False).features)
TWO_MEMBERS = (VOTE_FEATURE, *MEMBER_FEATURES * 2, *OTHER_FEATURES)


def test_json_keeps_the_model_without_loss() -> None:
    assert PretrainedModel.from_json(load_pretrained(with_members=True).to_json()) == load_pretrained(with_members=True)
    assert WITH_MEMBERS.read_text(encoding="utf-8") == load_pretrained(with_members=True).to_json() + "\n"


def test_the_shipped_model_has_plausible_parameters() -> None:
    model = load_pretrained(with_members=True)
    assert set(model.features) == set(ONE_MEMBER)
    assert model.features["vote_logit"].coefficient > 0
    assert model.features["none_logit"].coefficient < 0
    assert 0 < model.threshold < 0.5
    assert 0.3 < model.calibration.slope < 1, "selected candidates have inflated probabilities"


def test_members_count_for_nothing_beside_voices_until_a_pool_teaches_it() -> None:
    voices, both = load_pretrained(with_members=False), load_pretrained(with_members=True, voices_first=True)
    assert {name for name in both.features if name not in voices.features} == set(MEMBER_FEATURES)
    assert all(both.features[name].coefficient == 0 for name in MEMBER_FEATURES)
    assert (both.threshold, both.features["vote_logit"]) == (voices.threshold, voices.features["vote_logit"])
    features = np.random.default_rng(0).normal(size=(5, len(VOICES) + 2 * len(MEMBER_FEATURES)))
    alone = voices.for_features(VOICES, proposes_capitalised=False)
    with_members = both.for_features((*VOICES, *MEMBER_FEATURES * 2), proposes_capitalised=False)
    expected = probabilities_alone(alone, features[:, : len(VOICES)])
    assert probabilities_alone(with_members, features) == pytest.approx(expected)


def test_no_benchmark_corpus_was_used_for_pre_training() -> None:
    sentences = load_pretrained(with_members=True).training_sentences
    assert sum(sentences.values()) > 300
    assert not {"CoNLL-2003", "WNUT17", "CrossNER", "GENIA", "BC5CDR"} & set(sentences)


def test_members_share_the_coefficient_of_their_mean() -> None:
    one, two = (
        load_pretrained(with_members=True).for_features(names, proposes_capitalised=True)
        for names in (ONE_MEMBER, TWO_MEMBERS)
    )
    assert two.proposes_capitalised
    assert two.training_sentences == 0
    assert (two.calibration, two.threshold) == (
        load_pretrained(with_members=True).calibration,
        load_pretrained(with_members=True).threshold,
    )
    features = np.random.default_rng(0).normal(size=(3, len(TWO_MEMBERS)))
    averaged = average_members(features, TWO_MEMBERS)
    assert averaged.shape == (3, len(ONE_MEMBER))
    assert probabilities_alone(two, features) == pytest.approx(probabilities_alone(one, averaged))


def test_a_fit_from_scratch_finds_the_probabilities() -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(3000, 2, 3)) * [2, 1, 1] + [-1, 5, 0]
    utilities = features @ [1, 0, -1.5] - 0.5
    noisy = utilities + generator.gumbel(size=(3000, 2)) - generator.gumbel(size=(3000, 1))
    targets = (noisy > 0) & (noisy == noisy.max(axis=1, keepdims=True))
    model = fit_examples([disjoint_example(features, targets)], ("vote_logit", "word_count", "is_lowercase"))
    predicted = np.array(model.predict(list(features), disjoint_spans(len(features))))
    odds = np.exp(utilities)
    assert np.abs(predicted - odds / (1 + odds.sum(axis=1, keepdims=True))).mean() < 0.02
    assert model.coefficients[0] / model.feature_scales[0] == pytest.approx(1, abs=0.1)


def test_each_corpus_has_the_same_weight_in_the_calibration(places: LabelSet) -> None:
    label, generator = places.names[0], np.random.default_rng(0)

    def corpus_with_slope(slope: float, size: int) -> ScoredCorpus:
        sentences = []
        for log_odds in generator.normal(1, 2, size):
            is_correct = generator.random() < 1 / (1 + np.exp(-slope * log_odds))
            mentions = (Mention(0, 4, label, "Rome"),) if is_correct else ()
            verdicts = {Span(0, 4): Verdict(label, 0.5, label, ())}
            sentences.append(ScoredSentence(Document("d", "Rome", mentions), verdicts, [np.array([[log_odds]])]))
        return ScoredCorpus("towns", 10, sentences, ("vote_logit",), places)

    models = [vote_only_model(1)] * 2
    scaling = fit_calibration([corpus_with_slope(0.5, 4000), corpus_with_slope(1.0, 400)], models, 0.0)
    assert scaling.slope == pytest.approx(0.67, abs=0.07)
    assert scaling.intercept == pytest.approx(0.0, abs=0.1)
    scaling = fit_calibration([corpus_with_slope(0.5, 400), corpus_with_slope(0.5, 4000)], models, 0.4)
    assert scaling.slope == pytest.approx(0.5, abs=0.1)
