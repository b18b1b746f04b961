from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entsemble.retrieval.similarity import sentence_similarity, span_similarity, span_weight, top_indices


def span_similarity_by_definition(cosines: list[list[list[float]]], weights: list[float]) -> list[float]:
    """SpanSim, term by term; `cosines[c][s]` are those of the query's span s and the spans of pool sentence c."""
    scores = []
    for sentence_cosines in cosines:
        score = 0.0
        for weight, span_cosines in zip(weights, sentence_cosines, strict=True):
            score += weight * (max(span_cosines) if span_cosines else 0.0)
        scores.append(score / sum(weights))
    return scores


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.lists(st.integers(0, 4), max_size=6))
def test_span_similarity_equals_its_definition(seed: int, query_span_count: int, span_counts: list[int]) -> None:
    generator = np.random.default_rng(seed)
    cosines = generator.uniform(-1, 1, (query_span_count, sum(span_counts))).astype(np.float32)
    weights = generator.choice([1.0, 2.0, 4.0], query_span_count).tolist()
    starts = np.cumsum([0, *span_counts])
    by_sentence = [cosines[:, start:end].tolist() for start, end in pairwise(starts)]
    expected = span_similarity_by_definition(by_sentence, weights)
    assert span_similarity(cosines, weights, starts).tolist() == pytest.approx(expected, abs=1e-5)


def test_pool_sentences_without_spans_have_similarity_zero() -> None:
    cosines = np.array([[-0.5, 1.0]], dtype=np.float32)
    assert span_similarity(cosines, [4.0], np.array([0, 0, 1, 2, 2])).tolist() == [0.0, -0.5, 1.0, 0.0]
    assert span_similarity(np.zeros((1, 0), dtype=np.float32), [4.0], np.array([0, 0])).tolist() == [0.0]


@pytest.mark.parametrize("weights", [[], [0.0, 0.0], [1.0], [1.0, 1.0, 1.0]])
def test_weights_must_match_the_spans_and_not_all_be_zero(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="as many weights"):
        span_similarity(np.ones((2, 2), dtype=np.float32), weights, np.array([0, 2]))


def test_proper_nouns_weigh_more_than_common_nouns_and_verbs_nothing() -> None:
    proper_noun, common_noun, pronoun, verb, other = map(span_weight, ("PROPN", "NOUN", "PRON", "VERB", "X"))
    assert proper_noun > common_noun > pronoun > verb == other == 0


def test_sentence_similarity_is_the_cosine() -> None:
    pool = np.array([[1, 0], [0, 1], [0.6, 0.8]], dtype=np.float32)
    assert sentence_similarity(np.array([0.6, 0.8], dtype=np.float32), pool).tolist() == pytest.approx([0.6, 0.8, 1.0])


def test_ties_go_by_the_second_score_then_by_position() -> None:
    scores = np.array([0.5, 1.0, 1.0, 1.00001, 0.9, 1.0], dtype=np.float32)
    tie_breakers = np.array([0.9, 0.1, 0.8, 0.3, 1.0, 0.8], dtype=np.float32)
    everything = np.ones(6, dtype=bool)
    assert top_indices(scores, tie_breakers, 9, everything).tolist() == [2, 5, 3, 1, 4, 0]
    assert top_indices(scores, tie_breakers, 2, everything).tolist() == [2, 5]
    allowed = np.array([True, True, False, False, True, False])
    assert top_indices(scores, tie_breakers, 3, allowed).tolist() == [1, 4, 0]
