from __future__ import annotations

import numpy as np
import pytest

from entsemble.scoring.examples import ScoredSentence
from entsemble.scoring.threshold import expected_max_f1, selected_mentions
from entsemble.types import LabelSet, Span
from entsemble.voting.rules import soft_vote
from tests.factories import sentence
from tests.scoring.scoring_factories import ballot

VERDICT = soft_vote([ballot("a", "LOC", 0.5)])
SENTENCES = [
    ScoredSentence(sentence(f"Oslo {number}", *([("Oslo", "LOC")] if number < 10 else [])), {Span(0, 4): VERDICT}, ())
    for number in range(100)
]
"""A hundred sentences with a candidate each, of which the first ten are annotated as LOC."""


def test_with_equal_probabilities_the_best_threshold_selects_all_candidates(places: LabelSet) -> None:
    probabilities = [[np.array([0.0, 0.1])]] * 100
    assert expected_max_f1(SENTENCES, probabilities, places) == pytest.approx(2 * 10 / (100 + 10))


def test_expected_f1_takes_correct_mentions_from_the_probabilities(places: LabelSet) -> None:
    probabilities = [[np.array([0.0, 0.9 if number < 50 else 0.1])] for number in range(100)]
    assert expected_max_f1(SENTENCES, probabilities, places) == pytest.approx(2 * 45 / (50 + 10)), "the first fifty"


def test_without_candidates_the_expected_f1_is_zero(places: LabelSet) -> None:
    assert expected_max_f1([ScoredSentence(SENTENCES[0].document, {}, ())], [[]], places) == 0


def test_of_overlapping_candidates_the_most_probable_is_selected(places: LabelSet) -> None:
    document = sentence("New York rose", ("New York", "LOC"))
    scored = ScoredSentence(document, {Span(0, 8): VERDICT, Span(4, 8): VERDICT}, ())
    probabilities = [[np.array([0.1, 0.6]), np.array([0.3, 0.2])]]
    assert selected_mentions([scored], probabilities, places) == [(0.6, True)]
    assert selected_mentions([scored], [probabilities[0][::-1]], places) == [(0.6, False)]
