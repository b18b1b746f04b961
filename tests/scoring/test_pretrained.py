"""What other corpora taught: one for all members, believed until a pool says otherwise."""

from __future__ import annotations

import numpy as np
import pytest
from tools.release.scorer import Taught, learn_prior, members_as_one, scaling_of

from entsemble.scoring.examples import ScoredSentence, TrainingExample
from entsemble.scoring.features import MEMBER_FEATURES, OVERLAP_FEATURES, POOL_FEATURES, SURFACE_FEATURES, WORD_FEATURES
from entsemble.scoring.model import StackingModel
from entsemble.scoring.pretrained import PRETRAINED_FILE, FeatureWeight, PretrainedModel, load_pretrained
from entsemble.scoring.semi_crf import SpanCrf
from entsemble.types import Document, LabelSet, Mention, Span
from entsemble.voting.rules import Verdict

ONE = ("vote_logit", *MEMBER_FEATURES, *POOL_FEATURES, *WORD_FEATURES, *SURFACE_FEATURES, *OVERLAP_FEATURES)
TWO = ("vote_logit", *MEMBER_FEATURES * 2, *POOL_FEATURES, *WORD_FEATURES, *SURFACE_FEATURES, *OVERLAP_FEATURES)


def test_it_is_kept_exactly() -> None:
    assert PretrainedModel.from_json(load_pretrained().to_json()) == load_pretrained()
    assert PRETRAINED_FILE.read_text(encoding="utf-8") == load_pretrained().to_json() + "\n"


def test_what_is_shipped_is_sensible() -> None:
    prior = load_pretrained()
    assert set(prior.features) == set(ONE)
    assert prior.features["vote_logit"].coefficient > 0
    assert prior.features["none_logit"].coefficient < 0
    assert 0 < prior.threshold < 0.5
    assert 0.3 < prior.calibration.slope < 1, "what is found because it was probable is not as sure as that"
    assert sum(prior.training_sentences.values()) > 300
    assert not {"CoNLL-2003", "WNUT17", "CrossNER", "GENIA", "BC5CDR"} & set(prior.training_sentences), (
        "figures are of these"
    )


def test_members_have_equal_parts() -> None:
    one, two = (load_pretrained().for_features(columns, proposes_capitalised=True) for columns in (ONE, TWO))
    assert two.proposes_capitalised
    assert two.training_sentences == 0
    assert (two.calibration, two.threshold) == (load_pretrained().calibration, load_pretrained().threshold)
    draw = np.random.default_rng(0)
    each = draw.normal(size=(3, len(TWO)))
    alike = members_as_one(each, TWO)
    assert alike.shape == (3, len(ONE))
    alone = SpanCrf([Span(0, 4)], nested=False)
    [of_two], [of_one] = two.predict([each], alone), one.predict([alike], alone)
    assert of_two == pytest.approx(of_one)


def test_it_is_learnt_of_all_corpora_from_the_vote_on() -> None:
    draw = np.random.default_rng(0)
    features = draw.normal(size=(3000, 2, 3)) * [2, 1, 1] + [-1, 5, 0]
    utilities = features @ [1, 0, -1.5] - 0.5
    best = utilities + draw.gumbel(size=(3000, 2)) - draw.gumbel(size=(3000, 1))
    right = ((best > 0) & (best == best.max(axis=1, keepdims=True))).astype(float)
    alone = SpanCrf([Span(i, i + 1) for i in range(len(features))], nested=False)
    found = learn_prior([TrainingExample(list(features), list(right), alone, 0)], ("vote_logit", "words", "run"))
    told = found.predict(list(features), alone)
    true = [np.exp(u) / (1 + np.exp(u).sum()) for u in utilities]
    assert np.abs(np.array(told) - true).mean() < 0.02
    column = FeatureWeight(found.feature_means[0], found.feature_scales[0], found.coefficients[0])
    assert column.coefficient / column.scale == pytest.approx(1, abs=0.1)


def test_scores_are_scaled_as_the_mean_corpus_needs(places: LabelSet) -> None:
    """Corpora whose log-odds are worth a half and all of what they say; one of them is ten times the other."""
    label, draw = places.names[0], np.random.default_rng(0)
    as_said = StackingModel(
        (0.0,), (1.0,), (1.0,), intercept=0.0, nesting_log_potential=0.0, threshold=0.0, training_sentences=0
    )

    def corpus(worth: float, size: int) -> Taught:
        told = []
        for log_odds in draw.normal(1, 2, size):
            right = draw.random() < 1 / (1 + np.exp(-worth * log_odds))
            mentions = (Mention(0, 4, label, "Rome"),) if right else ()
            verdict = {Span(0, 4): Verdict(label, 0.5, label, ())}
            told.append(ScoredSentence(Document("d", "Rome", mentions), verdict, [np.array([[log_odds]])]))
        return Taught("towns", 10, told, ("vote_logit",), places)

    found = scaling_of([corpus(0.5, 4000), corpus(1.0, 400)], [as_said, as_said], 0.0)
    assert found.slope == pytest.approx(0.67, abs=0.07)
    assert found.intercept == pytest.approx(0.0, abs=0.1)
    found = scaling_of([corpus(0.5, 400), corpus(0.5, 4000)], [as_said, as_said], 0.4)
    assert found.slope == pytest.approx(0.5, abs=0.1)
