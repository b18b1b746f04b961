"""Span probabilities against the sum over all tag sequences."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest

from entsemble.backends.tagger.marginals import span_probabilities


@pytest.mark.parametrize(("word_count", "label_count"), [(1, 1), (1, 2), (2, 1), (4, 2), (5, 1)])
def test_probabilities_are_those_of_all_tag_sequences(word_count: int, label_count: int) -> None:
    generator = np.random.default_rng(word_count * 10 + label_count)
    tag_count = 2 * label_count + 1
    emissions = generator.normal(scale=2, size=(word_count, tag_count))
    transitions = generator.normal(scale=2, size=(tag_count, tag_count))
    expected, total = np.zeros((word_count, 3, label_count)), 0.0
    for tags in product(range(tag_count), repeat=word_count):
        score = sum(emissions[index, tag] for index, tag in enumerate(tags))
        score += sum(transitions[pair] for pair in pairwise(tags))
        total += np.exp(score)
        for first, tag in enumerate(tags):
            if not 1 <= tag <= label_count:
                continue
            inside, last = tag + label_count, first
            while last + 1 < word_count and tags[last + 1] == inside:
                last += 1
            if last - first < 3:
                expected[first, last - first, tag - 1] += np.exp(score)
    assert span_probabilities(emissions, transitions, 3) == pytest.approx(expected / total, abs=1e-9)


def test_large_scores_overflow_nowhere() -> None:
    emissions = np.array([[0.0, 900.0, 0.0], [0.0, 0.0, 900.0], [900.0, 0.0, 0.0]])
    probabilities = span_probabilities(emissions, np.zeros((3, 3)), 2)
    assert probabilities[0, 1, 0] == pytest.approx(1)
    assert probabilities[0, 0, 0] == pytest.approx(0)
