from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from entsemble._lib.math import logit
from entsemble.data.windows import sentence_splitter
from entsemble.pool.gazetteer import Gazetteer
from entsemble.pool.neighbours import NeighbourIndex
from entsemble.pool.word_counts import WordStatistics
from entsemble.scoring.examples import ScoredSentence, TrainingExample
from entsemble.scoring.features import OVERLAP_FEATURES, FeatureExtractor
from entsemble.scoring.fit import (
    PRIOR_PRECISION,
    WEAK_PRIOR_PRECISION,
    MapFit,
    choose_prior_precision,
    fit_map,
    fit_model,
)
from entsemble.scoring.model import StackingModel
from entsemble.scoring.platt import IDENTITY, MIN_PROBABILITY
from entsemble.scoring.pretrained import load_pretrained
from entsemble.scoring.scorer import Scorer
from entsemble.scoring.semi_crf import SpanCrf
from entsemble.scoring.threshold import THRESHOLD_FRACTION_OF_MAX_F1, expected_max_f1
from entsemble.types import NONE_LABEL, Document, LabelSet, Mention, Span
from entsemble.voting.rules import Ballot, soft_vote
from tests.factories import sentence

SPLIT = sentence_splitter()


TOWNS = ("Oslo", "Rome", "Bern", "Riga", "Lima", "Cairo", "Turin", "Delhi", "Quito", "Accra")


def ballot(member: str, label: str, sure: float) -> Ballot:
    rest = (1 - sure) / 2
    logs = {x: math.log(sure if x == label else rest) for x in ("LOC", "PER", NONE_LABEL)}
    return Ballot(member, logs, exact=True, is_proposer=True)


def answered(count: int, told: FeatureExtractor) -> list[ScoredSentence]:
    """Of two members, one is always wrong about names, and sure of it; the other right, and unsure."""
    draw, found = random.Random(0), []
    for i in range(count):
        town = draw.choice(TOWNS)
        document = sentence(f"{town} rained {i}", (town, "LOC"))
        says = [(town, "LOC"), ("rained", NONE_LABEL)]
        verdicts = {
            Span(document.text.index(s), document.text.index(s) + len(s)): soft_vote(
                [ballot("wrong", "PER", 0.9), ballot("right", label, 0.5)]
            )
            for s, label in says
        }
        found.append(ScoredSentence.from_verdicts(told, document, verdicts))
    return found


def evidence(labels: LabelSet, trigrams: Any, *pool: Document) -> FeatureExtractor:
    known = (
        Gazetteer(pool, labels, 2, SPLIT),
        NeighbourIndex(pool, labels, trigrams, trigrams, SPLIT),
        WordStatistics(pool, labels, SPLIT),
    )
    return FeatureExtractor(("wrong", "right"), labels, *known)


def vote_alone(columns: int) -> StackingModel:
    """Believes the first column, and is unmoved by the others."""
    return StackingModel((0.0,) * columns, (1.0,) * columns, (1.0, *[0.0] * (columns - 1)), 0.0, 0.0, 0.5, 0)


def side_by_side(count: int) -> SpanCrf:
    """Of places that exclude none."""
    return SpanCrf([Span(i, i + 1) for i in range(count)], nested=False)


def lesson(features: Any, right: Any) -> TrainingExample:
    """Of candidates that exclude none: [candidates, labels, features] and [candidates, labels]."""
    return TrainingExample(list(features), list(np.asarray(right, dtype=float)), side_by_side(len(features)), 0)


def alone(weights: StackingModel, features: Any) -> Any:
    """The probabilities of a candidate that stands alone."""
    [found] = weights.predict([features], side_by_side(1))
    return found


def before(told: FeatureExtractor) -> StackingModel:
    """What the load_pretrained prior says of such evidence."""
    return load_pretrained().for_features(told.feature_names, proposes_capitalised=False)


def test_it_learns_whom_to_believe(places: LabelSet, trigrams: Any) -> None:
    told = evidence(places, trigrams, sentence("Paris slept", ("Paris", "PER")))
    sentences = answered(40, told)
    weights = fit_model(sentences, places, vote_alone(len(told.feature_names)))
    assert weights is not None
    verdicts = sentences[0].verdicts
    assert [v.label for v in verdicts.values()] == ["PER", "PER"]
    found = Scorer(told, weights).score(sentences[0].document.text, verdicts)
    assert [*found] == [*verdicts]
    judged = [*found.values()]
    assert judged[0].label == "LOC"
    assert judged[1].score < weights.threshold < judged[0].score, "no entity: it is left to the threshold"
    assert [v.ballots for v in judged] == [v.ballots for v in verdicts.values()]
    assert 0 < weights.threshold <= THRESHOLD_FRACTION_OF_MAX_F1


def test_scaling_changes_no_mention(places: LabelSet, trigrams: Any) -> None:
    told = evidence(places, trigrams, sentence("Paris slept", ("Paris", "PER")))
    sentences = answered(40, told)
    weights = fit_model(sentences, places, vote_alone(len(told.feature_names)))
    assert weights is not None
    assert weights.calibration != IDENTITY
    odds = (logit(weights.threshold, MIN_PROBABILITY) - weights.calibration.intercept) / weights.calibration.slope
    least = 1 / (1 + math.exp(-odds))
    for one in sentences:
        scores = [v.score for v in Scorer(told, weights).score(one.document.text, one.verdicts).values()]
        plain = [float(p.max()) for p in weights.predict(one.features, side_by_side(2))]
        assert scores != plain
        assert [s >= weights.threshold for s in scores] == [p >= least for p in plain] == [True, False]


def test_too_little_teaches_nothing(places: LabelSet, trigrams: Any) -> None:
    told = evidence(places, trigrams)
    assert fit_model(answered(9, told), places, before(told)) is None
    assert fit_model([], places, before(told)) is None
    assert fit_model(answered(20, told), places, before(told)) is not None
    text = " ".join(TOWNS)
    verdict = soft_vote([ballot("wrong", "PER", 0.9), ballot("right", "LOC", 0.5)])
    crowd = sentence(text, *((town, "LOC") for town in TOWNS))
    many = ScoredSentence.from_verdicts(told, crowd, {m.span: verdict for m in crowd.mentions})
    assert fit_model([many] * 5, places, before(told)) is not None
    assert fit_model([many] * 4, places, before(told)) is None, "fewer sentences than folds"
    assert fit_model([ScoredSentence.from_verdicts(told, sentence("Rain"), {})] * 50, places, before(told)) is None


def test_what_was_learnt_is_kept_exactly(places: LabelSet, trigrams: Any) -> None:
    told = evidence(places, trigrams)
    weights = fit_model(answered(40, told), places, before(told))
    assert weights is not None
    assert StackingModel.from_json(weights.to_json()) == weights


def test_who_was_not_asked_is_as_if_not_there(places: LabelSet, trigrams: Any) -> None:
    nothing = None, NeighbourIndex([], places, trigrams, trigrams, SPLIT), WordStatistics([], places, SPLIT)
    one, two = (FeatureExtractor(names, places, *nothing) for names in (("right",), ("wrong", "right")))
    oslo = Span(0, 4)
    told = {oslo: soft_vote([ballot("right", "LOC", 0.7)])}
    single, beside = (Scorer(e, before(e)).score("Oslo", told)[oslo] for e in (one, two))
    assert single.label == beside.label
    assert single.score == pytest.approx(beside.score)
    silent = Scorer(two, before(two)).score("Oslo", {oslo: soft_vote([ballot("another", "LOC", 0.7)])})[oslo]
    assert math.isfinite(silent.score)
    assert Scorer(two, before(two)).score("Oslo", {}) == {}


def test_a_pool_cannot_speak_against_labels_that_it_does_not_show(places: LabelSet, trigrams: Any) -> None:
    pool = [sentence("Ann Berg won", ("Ann Berg", "PER"))]
    told = FeatureExtractor(
        ("a", "b"),
        places,
        None,
        NeighbourIndex(pool, places, trigrams, trigrams, SPLIT),
        WordStatistics(pool, places, SPLIT),
    )
    both = soft_vote([ballot("a", "LOC", 0.95), ballot("b", "LOC", 0.95)])
    judged = Scorer(told, before(told)).score("Old Oslo rose", {Span(0, 8): both})
    assert judged[Span(0, 8)].label == "LOC"
    [own] = told.extract("Old Oslo rose", {Span(0, 8): both})
    assert np.isnan(own[:, told.feature_names.index("neighbour_label_logit")]).all()
    assert (own[:, told.feature_names.index("neighbour_cosine")] > 0).all()


def odds(probability: float) -> float:
    return math.log(probability / (1 - probability))


def test_each_number_is_what_its_column_says(places: LabelSet, trigrams: Any) -> None:
    pool = [sentence("Oslo fell", ("Oslo", "LOC")), sentence("Oslo Berg won", ("Oslo Berg", "PER")), sentence("Oslo")]
    told = evidence(places, trigrams, *pool)
    sure, unsure = ballot("wrong", "LOC", 0.8), replace(ballot("right", "LOC", 0.4), is_proposer=False)
    [own] = told.extract("in Oslo", {Span(3, 7): soft_vote([sure, unsure])})
    numbers = dict(zip(told.feature_names[9:], own[places.names.index("LOC")][9:].tolist(), strict=True))
    assert own[places.names.index("LOC")][1:9].tolist() == pytest.approx(
        [odds(0.8), odds(0.1), 1, 1, odds(0.4), odds(0.3), 0, 1]
    )
    assert numbers["pool_log_count"] == pytest.approx(math.log1p(2))
    assert numbers["pool_label_logit"] == pytest.approx(odds(1.1 / 2.2))
    assert numbers["pool_mention_logit"] == pytest.approx(odds(1.1 / 2.2))
    assert (
        numbers["in_pool"],
        numbers["word_count"],
        numbers["starts_uppercase"],
        numbers["is_lowercase"],
        numbers["is_capitalised_span"],
    ) == (1, 1, 1, 0, 1)
    assert numbers["neighbour_cosine"] == pytest.approx(1)
    assert numbers["neighbour_label_logit"] > 0


def test_what_is_learnt_is_the_most_probable() -> None:
    from scipy.optimize import minimize

    draw = np.random.default_rng(0)
    features = draw.normal(size=(200, 3, 4)) * [1, 2, 3, 4]
    said = features @ [1, -1, 0.5, 0] + draw.gumbel(size=(200, 3)) - draw.gumbel(size=(200, 1))
    right = (said > 0) & (said == said.max(axis=1, keepdims=True))
    prior = StackingModel(
        (0.0, 1, 0, 0), (1.0, 2, 3, 4), (1.0, 0.5, 0, 0), -0.5, 0.0, 0.3, 0, proposes_capitalised=True
    )
    found = fit_map([lesson(features[:90], right[:90]), lesson(features[90:], right[90:])], prior, 7.0).model
    assert (found.feature_means, found.feature_scales, found.threshold, found.proposes_capitalised) == (
        prior.feature_means,
        prior.feature_scales,
        0.3,
        True,
    )
    x = np.concatenate([(features - prior.feature_means) / prior.feature_scales, np.ones((200, 3, 1))], axis=2)

    def loss(w: Any) -> float:
        z = x @ w
        away = 7 * (((w[:4] - prior.coefficients) ** 2).sum() + (w[4] + 0.5) ** 2)
        return float(np.log1p(np.exp(z).sum(axis=1)).sum() - z[right].sum() + away / 2)

    theirs = minimize(loss, np.zeros(5), tol=1e-10).x
    assert np.allclose(found.coefficients, theirs[:4], atol=1e-4)
    assert found.intercept == pytest.approx(theirs[4], abs=1e-4)
    odds = np.exp(x[0] @ theirs)
    assert np.allclose(alone(found, features[0]), odds / (1 + odds.sum()), atol=1e-4)


def test_labels_exclude_one_another() -> None:
    weights = vote_alone(2)
    assert alone(weights, np.array([[800.0, 0], [800, 0], [0, 0]])) == pytest.approx([0.5, 0.5, 0])
    assert alone(weights, np.array([[-800.0, 0]] * 3)) == pytest.approx([0, 0, 0])


def test_a_place_with_two_labels_is_shared_by_them() -> None:
    twice = lesson([np.array([[1.0], [1.0]])] * 50, [np.ones(2)] * 50)
    shared = alone(fit_map([twice], vote_alone(1), 1.0).model, np.array([[1.0], [1.0]]))
    assert shared[0] == shared[1]
    assert 0.4 < shared[0] < 0.5


def test_of_nothing_it_learns_nothing() -> None:
    nothing = MapFit(vote_alone(3), 0.0)
    assert fit_map([], vote_alone(3), 1.0) == fit_map([lesson([], [])], vote_alone(3), 1.0) == nothing


def drawn(log_odds: Any, seed: int) -> TrainingExample:
    """Candidates of one label, with one number that is drawn, that are right as often as `log_odds` of it says."""
    draw = np.random.default_rng(seed)
    told = draw.normal(size=300)
    right = draw.random(300) < 1 / (1 + np.exp(-log_odds(told)))
    return lesson(told[:, None, None], right[:, None])


@pytest.mark.parametrize("ridge", [2.0, 50.0])
def test_the_evidence_is_what_the_lessons_have_on_average(ridge: float) -> None:
    told = drawn(lambda x: 0.5 * x - 0.5, 3)
    x = np.concatenate(list(told.features))[:, 0]
    right = np.concatenate(list(told.targets)) > 0
    grid = np.linspace(-1.5, 2.5, 401)
    slope, intercept = (own[..., None] for own in np.meshgrid(grid, grid - 1))
    u = slope * x + intercept
    log_likelihood = (u * right - np.logaddexp(0, u)).sum(axis=-1)
    prior = np.exp(-ridge * ((slope - 1) ** 2 + intercept**2)[..., 0] / 2) * ridge / (2 * math.pi)
    average = (np.exp(log_likelihood) * prior).sum() * (grid[1] - grid[0]) ** 2
    assert fit_map([told], vote_alone(1), ridge).log_evidence == pytest.approx(math.log(average), abs=0.05)


def test_a_pool_that_is_unlike_what_others_taught_is_held_to_it_less() -> None:
    alike, somewhat, unlike = (drawn(told, 1) for told in (lambda x: x, lambda x: x - 0.3, lambda x: -x - 1))
    assert [choose_prior_precision([own], vote_alone(1)) for own in (alike, somewhat, unlike)] == [
        PRIOR_PRECISION,
        PRIOR_PRECISION,
        WEAK_PRIOR_PRECISION,
    ]
    assert choose_prior_precision([], vote_alone(1)) == PRIOR_PRECISION


def test_how_firmly_it_holds_on_is_learnt_too(places: LabelSet, trigrams: Any) -> None:
    told = evidence(places, trigrams, sentence("Paris slept", ("Paris", "PER")))
    sentences, prior = answered(40, told), vote_alone(len(told.feature_names))
    assert choose_prior_precision([a.to_example(places) for a in sentences], prior) == WEAK_PRIOR_PRECISION
    found, loosely, firmly = (
        fit_model(sentences, places, prior, ridge) for ridge in (None, WEAK_PRIOR_PRECISION, PRIOR_PRECISION)
    )
    assert found == loosely != firmly


def test_neighbours_speak_for_a_name_that_was_never_seen(places: LabelSet, trigrams: Any) -> None:
    pool = [sentence("New Oslo fell", ("New Oslo", "LOC")), sentence("Ann Berg won", ("Ann Berg", "PER"))]
    likeness = NeighbourIndex(pool, places, trigrams, trigrams, SPLIT)
    [alike] = likeness.neighbours_for("Old Oslo rose", ["Old Oslo"])
    assert alike is not None
    assert alike.label_shares["LOC"] > 0.9
    assert sum(alike.label_shares.values()) == pytest.approx(1)
    assert 0 < alike.cosine < 1


def test_what_a_text_itself_tells_is_not_among_its_neighbours(places: LabelSet, trigrams: Any) -> None:
    pool = [sentence("New Oslo fell", ("New Oslo", "LOC")), sentence("Ann Oslo won", ("Ann Oslo", "PER"))]
    likeness = NeighbourIndex(pool, places, trigrams, trigrams, SPLIT)
    [alike] = likeness.neighbours_for("new  Oslo fell", ["New Oslo"])
    assert alike is not None
    assert alike.label_shares["PER"] == pytest.approx(1)
    assert likeness.neighbours_for("New Oslo fell", []) == []
    assert NeighbourIndex(pool[:1], places, trigrams, trigrams, SPLIT).neighbours_for(pool[0].text, ["New Oslo"]) == [
        None
    ]
    assert NeighbourIndex([sentence("Rain")], places, trigrams, trigrams, SPLIT).neighbours_for("Oslo", ["Oslo"]) == [
        None
    ]


def test_the_f1_that_scores_promise(places: LabelSet) -> None:
    texts = [sentence(f"Oslo {i}", ("Oslo", "LOC")) if i < 10 else sentence(f"Oslo {i}") for i in range(100)]
    verdict = soft_vote([ballot("a", "LOC", 0.5)])
    told = [ScoredSentence(text, {Span(0, 4): verdict}, ()) for text in texts]
    alike = [[np.array([0.0, 0.1])]] * 100
    assert expected_max_f1(told, alike, places) == pytest.approx(2 * 10 / (100 + 10)), "all of them"
    sure = [[np.array([0.0, 0.9 if i < 50 else 0.1])] for i in range(100)]
    assert expected_max_f1(told, sure, places) == pytest.approx(2 * 45 / (50 + 10)), "the first fifty, right or not"
    assert expected_max_f1([ScoredSentence(texts[0], {}, ())], [[]], places) == 0


def test_a_name_over_two_lines_is_one_name(places: LabelSet) -> None:
    text = "in New\nYork"
    told = ScoredSentence(
        Document("d", text, (Mention(3, 11, "LOC", "New\nYork"),)),
        {Span(3, 11): soft_vote([ballot("a", "LOC", 0.5)])},
        (),
    )
    assert told.surfaces == ["New York"]
    assert [own.tolist() for own in told.targets(places)] == [[0, 1]]


def test_honest_votes_are_left_as_they_are() -> None:
    draw = np.random.default_rng(0)
    log_odds = draw.normal(size=2000) * 2
    features = np.stack([log_odds, draw.normal(size=2000)], axis=1)[:, None]
    right = (draw.random(2000) < 1 / (1 + np.exp(-log_odds))).astype(float)[:, None]
    found = fit_map([lesson(features, right)], vote_alone(2), 10.0).model
    assert found.coefficients == pytest.approx([1, 0], abs=0.1)
    assert found.intercept == pytest.approx(0, abs=0.1)


def test_where_nothing_is_ever_right_nothing_is_learnt(places: LabelSet, trigrams: Any) -> None:
    verdict = soft_vote([ballot("right", "LOC", 0.5)])
    told = evidence(places, trigrams)
    texts = [ScoredSentence.from_verdicts(told, sentence(f"rain {i}"), {Span(0, 4): verdict}) for i in range(40)]
    assert fit_model(texts, places, before(told)) is None


def test_a_run_of_capitals_is_evidence(places: LabelSet, trigrams: Any) -> None:
    verdict = soft_vote([ballot("right", "LOC", 0.5)])
    told = FeatureExtractor(
        ("right",),
        places,
        None,
        NeighbourIndex([], places, trigrams, trigrams, SPLIT),
        WordStatistics([], places, SPLIT),
    )
    found = told.extract("Oslo and Bern rained", {Span(0, 4): verdict, Span(14, 20): verdict})
    at = told.feature_names.index("is_capitalised_span")
    assert [own[:, at].tolist() for own in found] == [[1, 1], [0, 0]]
    assert all(own.shape == (len(places.names), len(told.feature_names)) for own in found)


def test_what_overlaps_is_evidence(places: LabelSet, trigrams: Any) -> None:
    voted, unvoted = (soft_vote([replace(ballot("right", "LOC", 0.5), is_proposer=p)]) for p in (True, False))
    told = evidence(places, trigrams)
    found = told.extract(
        "New York City Hall", {Span(0, 13): voted, Span(0, 8): voted, Span(4, 8): unvoted, Span(9, 18): unvoted}
    )
    at = [told.feature_names.index(name) for name in OVERLAP_FEATURES]
    assert [np.expm1(own[0, at]).round().tolist() for own in found] == [[2, 0, 1], [1, 1, 1], [0, 2, 2], [0, 0, 1]]


def test_a_place_that_excludes_a_likelier_one_is_less_likely() -> None:
    weights, features = vote_alone(1), [np.array([[2.0]]), np.array([[1.0]])]
    over = SpanCrf([Span(0, 8), Span(4, 8)], nested=False)
    both = float(np.exp(2) + np.exp(1) + 1)
    assert weights.predict(features, over) == [
        pytest.approx([np.exp(2) / both]),
        pytest.approx([np.exp(1) / both]),
    ]
    beside = weights.predict(features, side_by_side(2))
    assert beside == [pytest.approx([1 / (1 + np.exp(-2))]), pytest.approx([1 / (1 + np.exp(-1))])]


@pytest.mark.parametrize("nested", [False, True])
def test_of_places_that_overlap_it_learns_what_is_most_probable(nested: bool) -> None:
    from scipy.optimize import minimize

    draw = np.random.default_rng(1)
    places, lessons = [Span(0, 8), Span(0, 3), Span(4, 8), Span(2, 6), Span(9, 12)], []
    ways = SpanCrf(places, nested=nested)
    for _ in range(60):
        right = np.zeros((5, 2))
        kept = draw.choice([0, 1, 2, 4], size=3, replace=False) if nested else draw.choice([0, 3, 4], size=1)
        right[kept, draw.integers(2, size=len(kept))] = 1
        inside = int(right[0].any() * right[1:3].sum())
        features = draw.normal(size=(5, 2, 3)) + right[..., None] * [1.0, 0, -0.5]
        lessons.append(TrainingExample(list(features), list(right), ways, inside if nested else 0))
    prior = replace(vote_alone(3), nesting_log_potential=-0.5)
    found = fit_map(lessons, prior, 2.0).model

    def loss(w: Any) -> float:
        told = ((w - np.array([1, 0, 0, 0, -0.5])) ** 2).sum()
        for own in lessons:
            utilities = [f @ w[:3] + w[3] for f in own.features]
            right = sum(float(u @ r) for u, r in zip(utilities, own.targets, strict=True)) + w[4] * own.enclosed_count
            worth = [float(np.logaddexp.reduce(u)) for u in utilities]
            told += ways.marginals(worth, float(w[4])).log_partition - right
        return float(told)

    theirs = minimize(loss, np.zeros(5), tol=1e-9).x
    assert [*found.coefficients, found.intercept, found.nesting_log_potential] == pytest.approx(theirs, abs=2e-3)
    assert (found.nesting_log_potential == prior.nesting_log_potential) is (not nested), (
        "what is flat tells nothing of nesting"
    )


def test_a_lesson_counts_mentions_within_others(places: LabelSet) -> None:
    document = sentence("New York City Hall", ("New York City Hall", "LOC"), ("New York", "LOC"), ("Hall", "PER"))
    verdict = soft_vote([ballot("right", "LOC", 0.5)])
    told = ScoredSentence(document, dict.fromkeys([Span(0, 18), Span(0, 8), Span(4, 8)], verdict), ())
    assert told.to_example(replace(places, nested=True)).enclosed_count == 1, "nobody proposed the hall"
    assert told.to_example(places).enclosed_count == 0


@pytest.mark.parametrize(
    ("nested", "names", "right"),
    [
        (False, ["New York", "York"], [1, 0, 0]),
        (True, ["New York", "York"], [1, 1, 0]),
        (True, ["New York", "York City"], [0, 0, 1]),
    ],
)
def test_annotated_places_that_cannot_stand_together_are_not_both_right(
    places: LabelSet, nested: bool, names: list[str], right: list[int]
) -> None:
    document = sentence("New York City", *((name, "LOC") for name in names))
    spans = [Span(0, 8), Span(4, 8), Span(4, 13)]
    told = ScoredSentence(document, dict.fromkeys(spans, soft_vote([ballot("right", "LOC", 0.5)])), ())
    taught = told.to_example(replace(places, nested=nested))
    assert [int(own.any()) for own in taught.targets] == right
    assert taught.enclosed_count == max(0, sum(right) - 1)
