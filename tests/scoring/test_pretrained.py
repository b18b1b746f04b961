"""What other corpora taught: one for all members, believed until a pool says otherwise."""

from __future__ import annotations

import numpy as np
import pytest
from tools.release.scorer import Taught, learn_prior, members_as_one, scaling_of

from entsemble.scoring.features import OF_A_MEMBER, OF_THE_LOOKS, OF_THE_POOL, OF_THE_RIVALS, OF_THE_WORDS
from entsemble.scoring.pretrained import FILE, Column, Prior, shipped
from entsemble.scoring.semi_crf import Arrangements
from entsemble.scoring.stacking import Answered, Lesson, Weights
from entsemble.types import Document, LabelSet, Mention, Span
from entsemble.voting.rules import Verdict

ONE = ("vote", *OF_A_MEMBER, *OF_THE_POOL, *OF_THE_WORDS, *OF_THE_LOOKS, *OF_THE_RIVALS)
TWO = ("vote", *OF_A_MEMBER * 2, *OF_THE_POOL, *OF_THE_WORDS, *OF_THE_LOOKS, *OF_THE_RIVALS)


def test_it_is_kept_exactly() -> None:
    assert Prior.from_json(shipped().to_json()) == shipped()
    assert FILE.read_text(encoding="utf-8") == shipped().to_json() + "\n"


def test_what_is_shipped_is_sensible() -> None:
    prior = shipped()
    assert set(prior.columns) == set(ONE)
    assert prior.columns["vote"].coefficient > 0
    assert prior.columns["none"].coefficient < 0
    assert 0 < prior.threshold < 0.5
    assert 0.3 < prior.scaling.slope < 1, "what is found because it was probable is not as sure as that"
    assert sum(prior.learnt_from.values()) > 300
    assert not {"CoNLL-2003", "WNUT17", "CrossNER", "GENIA", "BC5CDR"} & set(prior.learnt_from), "figures are of these"


def test_members_have_equal_parts() -> None:
    one, two = (shipped().weights(columns, looks=True) for columns in (ONE, TWO))
    assert two.looks
    assert two.sentences == 0
    assert (two.scaling, two.threshold) == (shipped().scaling, shipped().threshold)
    draw = np.random.default_rng(0)
    each = draw.normal(size=(3, len(TWO)))
    alike = members_as_one(each, TWO)
    assert alike.shape == (3, len(ONE))
    alone = Arrangements([Span(0, 4)], nested=False)
    [of_two], [of_one] = two.probabilities([each], alone), one.probabilities([alike], alone)
    assert of_two == pytest.approx(of_one)


def test_it_is_learnt_of_all_corpora_from_the_vote_on() -> None:
    draw = np.random.default_rng(0)
    features = draw.normal(size=(3000, 2, 3)) * [2, 1, 1] + [-1, 5, 0]
    utilities = features @ [1, 0, -1.5] - 0.5
    best = utilities + draw.gumbel(size=(3000, 2)) - draw.gumbel(size=(3000, 1))
    right = ((best > 0) & (best == best.max(axis=1, keepdims=True))).astype(float)
    alone = Arrangements([Span(i, i + 1) for i in range(len(features))], nested=False)
    found = learn_prior([Lesson(list(features), list(right), alone, 0)], ("vote", "words", "run"))
    told = found.probabilities(list(features), alone)
    true = [np.exp(u) / (1 + np.exp(u).sum()) for u in utilities]
    assert np.abs(np.array(told) - true).mean() < 0.02
    column = Column(found.mean[0], found.scale[0], found.coefficients[0])
    assert column.coefficient / column.scale == pytest.approx(1, abs=0.1)


def test_scores_are_scaled_as_the_mean_corpus_needs(places: LabelSet) -> None:
    """Corpora whose log-odds are worth a half and all of what they say; one of them is ten times the other."""
    label, draw = places.names[0], np.random.default_rng(0)
    as_said = Weights((0.0,), (1.0,), (1.0,), intercept=0.0, nesting=0.0, threshold=0.0, sentences=0)

    def corpus(worth: float, size: int) -> Taught:
        told = []
        for log_odds in draw.normal(1, 2, size):
            right = draw.random() < 1 / (1 + np.exp(-worth * log_odds))
            mentions = (Mention(0, 4, label, "Rome"),) if right else ()
            verdict = {Span(0, 4): Verdict(label, 0.5, label, ())}
            told.append(Answered(Document("d", "Rome", mentions), verdict, [np.array([[log_odds]])]))
        return Taught("towns", 10, told, ("vote",), places)

    found = scaling_of([corpus(0.5, 4000), corpus(1.0, 400)], [as_said, as_said], 0.0)
    assert found.slope == pytest.approx(0.67, abs=0.07)
    assert found.intercept == pytest.approx(0.0, abs=0.1)
    found = scaling_of([corpus(0.5, 400), corpus(0.5, 4000)], [as_said, as_said], 0.4)
    assert found.slope == pytest.approx(0.5, abs=0.1)
