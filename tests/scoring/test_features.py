from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest

from entsemble.protocols import SpanScorer
from entsemble.scoring.features import (
    MEMBER_FEATURES,
    NEIGHBOUR_FEATURES,
    OVERLAP_FEATURES,
    POOL_FEATURES,
    SURFACE_FEATURES,
    VOICE_FEATURES,
    WORD_FEATURES,
    FeatureExtractor,
)
from entsemble.types import LabelSet, ScoredSpan, Span
from entsemble.voices.span_voice import SpanVoice
from entsemble.voting.rules import soft_vote
from tests.factories import sentence
from tests.scoring.scoring_factories import ballot, feature_extractor

MEMBER_COLUMNS = slice(1, 1 + 2 * len(MEMBER_FEATURES))


def columns(extractor: FeatureExtractor, names: tuple[str, ...]) -> list[int]:
    return [extractor.feature_names.index(name) for name in names]


def values_by_name(
    extractor: FeatureExtractor, matrix: npt.NDArray[np.float64], label: str, names: tuple[str, ...]
) -> dict[str, float]:
    row = matrix[extractor.labels.names.index(label)]
    return dict(zip(names, row[columns(extractor, names)].tolist(), strict=True))


def test_there_is_a_column_for_each_feature_and_a_row_for_each_label(places: LabelSet, trigrams: Any) -> None:
    extractor = feature_extractor(places, trigrams)
    [matrix] = extractor.extract("Oslo", {Span(0, 4): soft_vote([ballot("right", "LOC", 0.5)])})
    assert matrix.shape == (len(places.names), len(extractor.feature_names))
    assert extractor.extract("Oslo", {}) == []


def test_member_features_are_logits_of_their_ballots(places: LabelSet, trigrams: Any) -> None:
    extractor = feature_extractor(places, trigrams)
    ballots = [ballot("wrong", "LOC", 0.8), ballot("right", "LOC", 0.4, is_proposer=False)]
    [matrix] = extractor.extract("in Oslo", {Span(3, 7): soft_vote(ballots)})

    def log_odds(probability: float) -> float:
        return math.log(probability / (1 - probability))

    assert matrix[places.names.index("LOC"), MEMBER_COLUMNS].tolist() == pytest.approx(
        [log_odds(0.8), log_odds(0.1), 1, 1, log_odds(0.4), log_odds(0.3), 0, 1]
    )


def test_a_member_that_did_not_vote_has_the_mean_of_the_others(places: LabelSet, trigrams: Any) -> None:
    extractor = feature_extractor(places, trigrams)
    [matrix] = extractor.extract("Oslo", {Span(0, 4): soft_vote([ballot("right", "LOC", 0.7)])})
    absent, present = np.split(matrix[:, MEMBER_COLUMNS], 2, axis=1)
    assert absent.tolist() == present.tolist()
    [matrix] = extractor.extract("Oslo", {Span(0, 4): soft_vote([ballot("another", "LOC", 0.7)])})
    assert np.isnan(matrix[:, MEMBER_COLUMNS]).all()


def test_pool_features_are_smoothed_rates_and_counts_of_the_name(places: LabelSet, trigrams: Any) -> None:
    pool = [sentence("Oslo fell", ("Oslo", "LOC")), sentence("Oslo Berg won", ("Oslo Berg", "PER")), sentence("Oslo")]
    extractor = feature_extractor(places, trigrams, *pool)
    [matrix] = extractor.extract("in Oslo", {Span(3, 7): soft_vote([ballot("right", "LOC", 0.8)])})
    values = values_by_name(extractor, matrix, "LOC", (*POOL_FEATURES, *NEIGHBOUR_FEATURES))
    assert values["pool_log_count"] == pytest.approx(math.log1p(2))
    assert values["pool_label_logit"] == values["pool_mention_logit"] == pytest.approx(0), "1.1 of 2.2"
    assert values["in_pool"] == 1
    assert values["neighbour_cosine"] == pytest.approx(1)
    assert values["neighbour_label_logit"] > 0


def test_surface_features_describe_the_capitals(places: LabelSet, trigrams: Any) -> None:
    extractor = feature_extractor(places, trigrams)
    vote = soft_vote([ballot("right", "LOC", 0.5)])
    text = "Oslo and Bern rained"
    whole_run, part_of_run, lower_case = extractor.extract(
        text, {Span(0, 4): vote, Span(9, 20): vote, Span(5, 8): vote}
    )
    assert values_by_name(extractor, whole_run, "LOC", SURFACE_FEATURES) == {
        "word_count": 1,
        "starts_uppercase": 1,
        "is_lowercase": 0,
        "is_capitalised_span": 1,
    }
    assert values_by_name(extractor, part_of_run, "LOC", SURFACE_FEATURES)["is_capitalised_span"] == 0
    assert values_by_name(extractor, lower_case, "LOC", SURFACE_FEATURES)["is_lowercase"] == 1


def test_overlap_features_count_candidates_within_around_and_overlapping_proposals(
    places: LabelSet, trigrams: Any
) -> None:
    proposed, not_proposed = (
        soft_vote([ballot("right", "LOC", 0.5, is_proposer=is_proposer)]) for is_proposer in (True, False)
    )
    extractor = feature_extractor(places, trigrams)
    matrices = extractor.extract(
        "New York City Hall",
        {Span(0, 13): proposed, Span(0, 8): proposed, Span(4, 8): not_proposed, Span(9, 18): not_proposed},
    )
    counts = [np.expm1(matrix[0, columns(extractor, OVERLAP_FEATURES)]).round().tolist() for matrix in matrices]
    assert counts == [[2, 0, 1], [1, 1, 1], [0, 2, 2], [0, 0, 1]]


def test_a_label_without_names_in_the_pool_has_no_word_features(places: LabelSet, trigrams: Any) -> None:
    pool = [sentence("Mr Berg won", ("Berg", "PER")), sentence("it rained")]
    extractor = feature_extractor(places, trigrams, *pool)
    [matrix] = extractor.extract("Mr Dahl won", {Span(3, 7): soft_vote([ballot("right", "LOC", 0.5)])})
    names = tuple(name for name in WORD_FEATURES if name not in ("unseen_words", "label_log_ratio"))
    missing, present = (values_by_name(extractor, matrix, label, WORD_FEATURES) for label in ("LOC", "PER"))
    assert all(math.isnan(missing[name]) for name in names)
    assert (missing["unseen_words"], missing["label_log_ratio"]) == (1, 0)
    assert present["word_before"] > 0, "Mr precedes names"
    assert (present["inner_words"], present["unseen_words"]) == (0, 1)
    assert present["label_log_ratio"] == 0, "a single label cannot be told from others"


def test_a_pool_with_one_label_has_no_neighbour_label_feature(places: LabelSet, trigrams: Any) -> None:
    extractor = feature_extractor(places, trigrams, sentence("Ann Berg won", ("Ann Berg", "PER")))
    [matrix] = extractor.extract("Old Oslo rose", {Span(0, 8): soft_vote([ballot("right", "LOC", 0.9)])})
    [label_logit, cosine] = columns(extractor, ("neighbour_label_logit", "neighbour_cosine"))
    assert np.isnan(matrix[:, label_logit]).all()
    assert (matrix[:, cosine] > 0).all()


def test_voice_features_are_of_the_span_and_named_by_the_kind(places: LabelSet, trigrams: Any) -> None:
    text = "Oslo met Oslo"
    first, second = Span(0, 4), Span(9, 13)
    scorer = SimpleNamespace(
        name="any", fingerprint="1", score_spans=lambda *_: [[ScoredSpan(first, {"LOC": 0.9, "PER": 0.05})]]
    )
    voice = SpanVoice(cast(SpanScorer, scorer), places, kind="tagger", minimum=0.5)
    extractor = feature_extractor(places, trigrams, voices=[voice])
    known, unknown = extractor.extract(text, dict.fromkeys((first, second), soft_vote([ballot("right", "LOC", 0.5)])))
    names = tuple(f"tagger_{name}" for name in VOICE_FEATURES)
    assert values_by_name(extractor, known, "LOC", names) == pytest.approx(
        {"tagger_label_logit": math.log(9), "tagger_entity_logit": math.log(9), "tagger_is_best_label": 1}
    )
    assert values_by_name(extractor, known, "PER", names)["tagger_is_best_label"] == 0
    lowest = math.log(0.001 / 0.999)
    assert values_by_name(extractor, unknown, "LOC", names) == pytest.approx(
        {"tagger_label_logit": lowest, "tagger_entity_logit": lowest, "tagger_is_best_label": 0}
    )
