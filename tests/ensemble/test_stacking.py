from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest

from entsemble.ensemble.gazetteer import Gazetteer
from entsemble.ensemble.likeness import Likeness
from entsemble.ensemble.stacking import SHARE, Answered, Evidence, Stacking, Weights, _best_f1, _fitted, learn
from entsemble.ensemble.voting import Ballot, soft
from entsemble.types import NONE_LABEL, Document, LabelSet, Mention, Span

TOWNS = ("Oslo", "Rome", "Bern", "Riga", "Lima", "Cairo", "Turin", "Delhi", "Quito", "Accra")


def sentence(text: str, *names: tuple[str, str]) -> Document:
    spots = ((text.index(name), name, label) for name, label in names)
    return Document(text, text, tuple(Mention(at, at + len(name), label, name) for at, name, label in spots))


def ballot(member: str, label: str, sure: float) -> Ballot:
    rest = (1 - sure) / 2
    logs = {x: math.log(sure if x == label else rest) for x in ("LOC", "PER", NONE_LABEL)}
    return Ballot(member, logs, exact=True, proposed=True)


def answered(count: int, told: Evidence) -> list[Answered]:
    """Of two members, one is always wrong about names, and sure of it; the other right, and unsure."""
    draw, found = random.Random(0), []
    for i in range(count):
        town = draw.choice(TOWNS)
        document = sentence(f"{town} rained {i}", (town, "LOC"))
        says = [(town, "LOC"), ("rained", NONE_LABEL)]
        verdicts = {
            Span(document.text.index(s), document.text.index(s) + len(s)): soft(
                [ballot("wrong", "PER", 0.9), ballot("right", label, 0.5)]
            )
            for s, label in says
        }
        found.append(Answered.by(told, document, verdicts))
    return found


def evidence(labels: LabelSet, trigrams: Any, *pool: Document) -> Evidence:
    return Evidence(("wrong", "right"), labels, Gazetteer(pool, labels, 2), Likeness(pool, labels, trigrams, trigrams))


def test_it_learns_whom_to_believe(places: LabelSet, trigrams: Any) -> None:
    told = evidence(places, trigrams, sentence("Paris slept", ("Paris", "PER")))
    sentences = answered(40, told)
    weights = learn(sentences, places)
    assert weights is not None
    verdicts = list(sentences[0].verdicts.values())
    assert [v.label for v in verdicts] == ["PER", "PER"]
    judged = Stacking(told, weights).judge(sentences[0].document.text, sentences[0].surfaces, verdicts)
    assert judged[0].label == "LOC"
    assert judged[1].score < weights.threshold < judged[0].score, "no entity: it is left to the threshold"
    assert judged[0].ballots == verdicts[0].ballots
    assert weights.threshold == pytest.approx(SHARE), "of an F1 of 1"


def test_too_little_teaches_nothing(places: LabelSet, trigrams: Any) -> None:
    told = evidence(places, trigrams)
    assert learn(answered(9, told), places) is None
    assert learn([], places) is None
    assert learn(answered(20, told), places) is not None
    text = " ".join(TOWNS)
    verdict = soft([ballot("wrong", "PER", 0.9), ballot("right", "LOC", 0.5)])
    crowd = sentence(text, *((town, "LOC") for town in TOWNS))
    many = Answered.by(told, crowd, {m.span: verdict for m in crowd.mentions})
    assert learn([many] * 5, places) is not None
    assert learn([many] * 4, places) is None, "fewer sentences than folds"
    assert learn([Answered.by(told, sentence("Rain"), {})] * 50, places) is None


def test_what_was_learnt_is_kept_exactly(places: LabelSet, trigrams: Any) -> None:
    weights = learn(answered(40, evidence(places, trigrams)), places)
    assert weights is not None
    assert Weights.from_json(weights.to_json()) == weights


def test_a_member_that_was_not_asked_is_average(places: LabelSet, trigrams: Any) -> None:
    told = evidence(places, trigrams)
    weights = learn(answered(40, told), places)
    assert weights is not None
    [judged] = Stacking(told, weights).judge("Oslo", ["Oslo"], [soft([ballot("right", "LOC", 0.5)])])
    assert judged.label == "LOC"
    assert math.isfinite(judged.score)


def test_the_regression_is_the_most_probable_one() -> None:
    from scipy.optimize import minimize

    draw = np.random.default_rng(0)
    features = draw.normal(size=(200, 5)) * [1, 2, 3, 4, 0]
    right = features @ [1, -1, 0.5, 0, 0] + draw.normal(size=200) > 0.3
    found = _fitted(features, right)
    x = np.column_stack([features[:, 0], features[:, 1:4] / features[:, 1:4].std(axis=0), np.ones(200)])
    x[:, 1:4] -= x[:, 1:4].mean(axis=0)

    def loss(w: Any) -> float:
        z = x @ w
        prior = (w[0] - 1) ** 2 + 10 * (w[1:4] ** 2).sum() + w[4] ** 2
        return float(np.logaddexp(0, z).sum() - z[right].sum() + prior / 2)

    theirs = minimize(loss, np.zeros(5), tol=1e-10).x
    assert np.allclose(found.coefficients, [*theirs[:4], 0], atol=1e-4)
    assert found.intercept == pytest.approx(theirs[4], abs=1e-4)
    assert np.allclose(found.probabilities(features), 1 / (1 + np.exp(-x @ theirs)), atol=1e-4)


def test_without_anything_to_learn_from_it_believes_the_vote(places: LabelSet, trigrams: Any) -> None:
    found = _fitted(np.empty((0, 3)), np.empty(0, dtype=bool))
    assert list(found.coefficients) == [1, 0, 0]
    assert found.intercept == 0
    told = evidence(places, trigrams)
    verdict = soft([ballot("wrong", "PER", 0.9), ballot("right", "LOC", 0.5)])
    [own] = told.features("Oslo", ["Oslo"], [verdict])
    by_label = dict(zip(places.names, own[:, 0], strict=True))
    assert 1 / (1 + math.exp(-by_label["PER"])) == pytest.approx(verdict.score)
    assert by_label["LOC"] < by_label["PER"]


def test_neighbours_speak_for_a_name_that_was_never_seen(places: LabelSet, trigrams: Any) -> None:
    pool = [sentence("New Oslo fell", ("New Oslo", "LOC")), sentence("Ann Berg won", ("Ann Berg", "PER"))]
    likeness = Likeness(pool, places, trigrams, trigrams)
    [alike] = likeness.of("Old Oslo rose", ["Old Oslo"])
    assert alike is not None
    assert alike.shares["LOC"] > 0.9
    assert sum(alike.shares.values()) == pytest.approx(1)
    assert 0 < alike.cosine < 1


def test_what_a_text_itself_tells_is_not_among_its_neighbours(places: LabelSet, trigrams: Any) -> None:
    pool = [sentence("New Oslo fell", ("New Oslo", "LOC")), sentence("Ann Oslo won", ("Ann Oslo", "PER"))]
    likeness = Likeness(pool, places, trigrams, trigrams)
    [alike] = likeness.of("new  Oslo fell", ["New Oslo"])
    assert alike is not None
    assert alike.shares["PER"] == pytest.approx(1)
    assert likeness.of("New Oslo fell", []) == []
    assert Likeness(pool[:1], places, trigrams, trigrams).of(pool[0].text, ["New Oslo"]) == [None]
    assert Likeness([sentence("Rain")], places, trigrams, trigrams).of("Oslo", ["Oslo"]) == [None]


def test_a_column_that_rounding_alone_moves_is_constant() -> None:
    right = np.arange(80) % 2 == 0
    constant = np.full(80, math.log(0.001 / 0.999))
    constant[::4] = np.nan
    told = right + np.random.default_rng(0).normal(size=80)
    found = _fitted(np.column_stack([np.zeros(80), constant, told]), right)
    assert found.scale[1] == 1
    assert found.coefficients[1] == pytest.approx(0, abs=1e-6)
    assert found.probabilities(np.array([[0, 6.9, 1e9], [0, 6.9, -1e9]])) == pytest.approx([1, 0])


def test_no_threshold_parts_equals(places: LabelSet) -> None:
    texts = [sentence(f"Oslo {i}", ("Oslo", "LOC")) if i < 10 else sentence(f"Oslo {i}") for i in range(100)]
    verdict = soft([ballot("a", "LOC", 0.5)])
    told = [Answered(text, {Span(0, 4): verdict}, ()) for text in texts]
    assert _best_f1(told, [[np.array([0.0, 0.1])]] * 100, places) == pytest.approx(2 * 10 / 110)


def test_a_name_over_two_lines_is_one_name(places: LabelSet) -> None:
    text = "in New\nYork"
    told = Answered(
        Document("d", text, (Mention(3, 11, "LOC", "New\nYork"),)), {Span(3, 11): soft([ballot("a", "LOC", 0.5)])}, ()
    )
    assert told.surfaces == ["New York"]
    assert told.right(places) == [False, True]


def test_honest_votes_are_left_as_they_are() -> None:
    draw = np.random.default_rng(0)
    log_odds = draw.normal(size=2000) * 2
    found = _fitted(
        np.column_stack([log_odds, draw.normal(size=2000)]), draw.random(2000) < 1 / (1 + np.exp(-log_odds))
    )
    assert found.coefficients == pytest.approx([1, 0], abs=0.1)
    assert found.intercept == pytest.approx(0, abs=0.1)


def test_where_nothing_is_ever_right_nothing_is_learnt(places: LabelSet, trigrams: Any) -> None:
    verdict = soft([ballot("right", "LOC", 0.5)])
    told = evidence(places, trigrams)
    texts = [Answered.by(told, sentence(f"rain {i}"), {Span(0, 4): verdict}) for i in range(40)]
    assert learn(texts, places) is None


def test_a_run_of_capitals_is_evidence_where_it_counts(places: LabelSet, trigrams: Any) -> None:
    verdict = soft([ballot("right", "LOC", 0.5)])
    told: list[Any] = ["Oslo and Bern rained", ["Oslo", "rained"], [verdict, verdict]]
    likeness = Likeness([], places, trigrams, trigrams)
    plain = Evidence(("right",), places, None, likeness).features(*told)
    looked = Evidence(("right",), places, None, likeness, looks=True).features(*told)
    assert [own[:, -1].tolist() for own in looked] == [[1, 1], [0, 0]]
    for own, more in zip(plain, looked, strict=True):
        assert np.array_equal(own, more[:, :-1], equal_nan=True)
