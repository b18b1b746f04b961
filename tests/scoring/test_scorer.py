from __future__ import annotations

import math
from typing import Any

import pytest

from entsemble._lib.math import logit
from entsemble.scoring.fit import fit_model
from entsemble.scoring.platt import IDENTITY, MIN_PROBABILITY
from entsemble.scoring.scorer import Scorer
from entsemble.scoring.threshold import THRESHOLD_FRACTION_OF_MAX_F1
from entsemble.types import LabelSet, Span
from entsemble.voting.rules import soft_vote
from tests.factories import sentence
from tests.scoring.scoring_factories import (
    ballot,
    disjoint_spans,
    feature_extractor,
    pretrained_model,
    scored_sentences,
    vote_only_model,
)

OSLO = Span(0, 4)


def test_a_fitted_scorer_believes_the_member_that_was_right(places: LabelSet, trigrams: Any) -> None:
    extractor = feature_extractor(places, trigrams, sentence("Paris slept", ("Paris", "PER")))
    sentences = scored_sentences(40, extractor)
    model = fit_model(sentences, places, vote_only_model(len(extractor.feature_names)))
    assert model is not None
    verdicts = sentences[0].verdicts
    assert [verdict.label for verdict in verdicts.values()] == ["PER", "PER"]
    scored = Scorer(extractor, model).score(sentences[0].document.text, verdicts)
    assert [*scored] == [*verdicts]
    town, verb = scored.values()
    assert town.label == "LOC"
    assert verb.score < model.threshold < town.score
    assert [verdict.ballots for verdict in scored.values()] == [verdict.ballots for verdict in verdicts.values()]
    assert 0 < model.threshold <= THRESHOLD_FRACTION_OF_MAX_F1


def test_calibration_does_not_change_which_candidates_reach_the_threshold(places: LabelSet, trigrams: Any) -> None:
    extractor = feature_extractor(places, trigrams, sentence("Paris slept", ("Paris", "PER")))
    sentences = scored_sentences(40, extractor)
    model = fit_model(sentences, places, vote_only_model(len(extractor.feature_names)))
    assert model is not None
    assert model.calibration != IDENTITY
    log_odds = (logit(model.threshold, MIN_PROBABILITY) - model.calibration.intercept) / model.calibration.slope
    min_probability = 1 / (1 + math.exp(-log_odds))
    for example in sentences:
        verdicts = Scorer(extractor, model).score(example.document.text, example.verdicts)
        scores = [verdict.score for verdict in verdicts.values()]
        uncalibrated = [float(labels.max()) for labels in model.predict(example.features, disjoint_spans(2))]
        assert scores != uncalibrated
        assert [score >= model.threshold for score in scores] == [True, False]
        assert [probability >= min_probability for probability in uncalibrated] == [True, False]


def test_a_member_that_did_not_vote_does_not_change_the_score(places: LabelSet, trigrams: Any) -> None:
    one_member, two_members = (
        feature_extractor(places, trigrams, members=names, with_gazetteer=False)
        for names in (("right",), ("wrong", "right"))
    )
    verdicts = {OSLO: soft_vote([ballot("right", "LOC", 0.7)])}
    alone, with_absent = (
        Scorer(extractor, pretrained_model(extractor)).score("Oslo", verdicts)[OSLO]
        for extractor in (one_member, two_members)
    )
    assert alone.label == with_absent.label
    assert alone.score == pytest.approx(with_absent.score)


def test_without_votes_of_members_the_score_is_finite(places: LabelSet, trigrams: Any) -> None:
    extractor = feature_extractor(places, trigrams)
    scorer = Scorer(extractor, pretrained_model(extractor))
    assert math.isfinite(scorer.score("Oslo", {OSLO: soft_vote([ballot("another", "LOC", 0.7)])})[OSLO].score)
    assert scorer.score("Oslo", {}) == {}


def test_a_pool_with_names_of_one_label_is_no_evidence_against_the_others(places: LabelSet, trigrams: Any) -> None:
    pool = [sentence("Ann Berg won", ("Ann Berg", "PER"))]
    extractor = feature_extractor(places, trigrams, *pool, with_gazetteer=False)
    span = Span(0, 8)
    vote = soft_vote([ballot("wrong", "LOC", 0.95), ballot("right", "LOC", 0.95)])
    scorer = Scorer(extractor, pretrained_model(extractor))
    assert scorer.score("Old Oslo rose", {span: vote})[span].label == "LOC"
