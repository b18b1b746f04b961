from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entsemble.retrieval.similarity import sentence_similarity, span_similarity, span_weight, top_indices


def literally(cosines: list[list[list[float]]], weights: list[float]) -> list[float]:
    """SpanSim word for word; `cosines[c][s]` are those of the sentence's span s to the spans of pool sentence c."""
    scores = []
    for rows in cosines:
        total = 0.0
        for weight, row in zip(weights, rows, strict=True):
            total += weight * (max(row) if row else 0.0)
        scores.append(total / sum(weights))
    return scores


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.lists(st.integers(0, 4), max_size=6))
def test_span_similarity_is_the_formula(seed: int, spans: int, counts: list[int]) -> None:
    random = np.random.default_rng(seed)
    cosines = random.uniform(-1, 1, (spans, sum(counts))).astype(np.float32)
    weights = [float(w) for w in random.choice([1.0, 2.0, 4.0], spans)]
    starts = np.cumsum([0, *counts])
    by_sentence = [cosines[:, a:b].tolist() for a, b in pairwise(starts)]
    told = span_similarity(cosines, weights, starts)
    assert told.tolist() == pytest.approx(literally(by_sentence, weights), abs=1e-5)


def test_a_sentence_without_spans_is_like_nothing() -> None:
    cosines = np.array([[-0.5, 1.0]], dtype=np.float32)
    assert span_similarity(cosines, [4.0], np.array([0, 0, 1, 2, 2])).tolist() == [0.0, -0.5, 1.0, 0.0]
    assert span_similarity(np.zeros((1, 0), dtype=np.float32), [4.0], np.array([0, 0])).tolist() == [0.0]


@pytest.mark.parametrize("weights", [[], [0.0, 0.0], [1.0], [1.0, 1.0, 1.0]])
def test_weights_that_do_not_fit(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="as many weights"):
        span_similarity(np.ones((2, 2), dtype=np.float32), weights, np.array([0, 2]))


def test_names_weigh_more_than_words() -> None:
    assert (
        span_weight("PROPN") > span_weight("NOUN") > span_weight("PRON") > span_weight("VERB") == span_weight("X") == 0
    )


def test_sentence_similarity_is_the_cosine() -> None:
    pool = np.array([[1, 0], [0, 1], [0.6, 0.8]], dtype=np.float32)
    assert sentence_similarity(np.array([0.6, 0.8], dtype=np.float32), pool).tolist() == pytest.approx([0.6, 0.8, 1.0])


def test_equals_go_by_the_second_score_then_by_their_place() -> None:
    scores = np.array([0.5, 1.0, 1.0, 1.00001, 0.9, 1.0], dtype=np.float32)
    ties = np.array([0.9, 0.1, 0.8, 0.3, 1.0, 0.8], dtype=np.float32)
    everything = np.ones(6, dtype=bool)
    assert top_indices(scores, ties, 9, everything).tolist() == [2, 5, 3, 1, 4, 0]
    assert top_indices(scores, ties, 2, everything).tolist() == [2, 5]
    assert top_indices(scores, ties, 3, np.array([True, True, False, False, True, False])).tolist() == [1, 4, 0]
