"""Probabilities of spans under a linear-chain CRF over IOB2 tags: forward-backward in log space.

A span of label x from word s to word e is the event that s is tagged B-x, the words after it up to e are tagged I-x,
and the word after e, if there is one, is not I-x. Its probability is exact (J. Lafferty et al., 2001).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from entsemble._lib.math import FloatArray


def span_probabilities(emissions: FloatArray, transitions: FloatArray, max_words: int) -> FloatArray:
    """The probability of every span of every label.

    Args:
        emissions: [words, 2 L + 1], scores of the tags of each word: O, then B of each label, then I of each label.
        transitions: [2 L + 1, 2 L + 1], score of each tag after another.
        max_words: longest span, K.

    Returns:
        [words, K, L]: of the span that starts at a word and has k + 1 words; 0 where it would end behind the text.
    """
    word_count, tag_count = emissions.shape
    label_count = (tag_count - 1) // 2
    begin, inside = np.arange(1, label_count + 1), np.arange(label_count + 1, tag_count)
    forward, backward = _forward(emissions, transitions), _backward(emissions, transitions)
    log_partition = np.logaddexp.reduce(forward[-1])
    endings = _endings(emissions, transitions, backward, inside)  # [words, 2 L]: B or I of a label, which ends there
    widths = min(max_words, word_count)
    probabilities = np.zeros((word_count, max_words, label_count))
    partial = forward[:, begin]
    probabilities[:, 0] = np.exp(partial + endings[:, :label_count] - log_partition)
    for width in range(1, widths):
        previous = begin if width == 1 else inside
        partial = partial[:-1] + transitions[previous, inside] + emissions[width:, inside]
        log_probabilities = partial + endings[width:, label_count:] - log_partition
        probabilities[: word_count - width, width] = np.exp(log_probabilities)
    return np.minimum(probabilities, 1.0)  # rounding


def _forward(emissions: FloatArray, transitions: FloatArray) -> FloatArray:
    """[words, tags]: log-sum of all tag sequences up to and including each word's tag."""
    forward = np.empty_like(emissions)
    forward[0] = emissions[0]
    for index in range(1, len(emissions)):
        forward[index] = _log_product(forward[index - 1], transitions) + emissions[index]
    return forward


def _backward(emissions: FloatArray, transitions: FloatArray) -> FloatArray:
    """[words, tags]: log-sum of all tag sequences after each word, given its tag."""
    backward = np.zeros_like(emissions)
    for index in range(len(emissions) - 2, -1, -1):
        backward[index] = _log_product(backward[index + 1] + emissions[index + 1], transitions.T)
    return backward


def _log_product(log_vector: FloatArray, log_matrix: FloatArray) -> FloatArray:
    """log(exp(vector) @ exp(matrix)), without overflow."""
    shift = log_vector.max()
    product: FloatArray = shift + np.log(np.exp(log_vector - shift) @ np.exp(log_matrix) + 1e-300)
    return product


def _endings(
    emissions: FloatArray, transitions: FloatArray, backward: FloatArray, inside: npt.NDArray[np.int_]
) -> FloatArray:
    """[words, 2 L]: log-sum of what follows a span that ends at a word with the tag B or I of its label."""
    label_count = len(inside)
    endings = np.zeros((len(emissions), 2 * label_count))
    if len(emissions) == 1:
        return endings
    following = emissions[1:] + backward[1:]  # [words - 1, tags], of the word after
    shift = following.max(axis=1, keepdims=True)
    weights = np.exp(following - shift)
    for first, tags in ((0, inside - label_count), (label_count, inside)):
        factors = np.exp(transitions[tags])  # [L, tags]
        factors[np.arange(label_count), inside] = 0.0  # the same label goes on
        endings[:-1, first : first + label_count] = np.log(weights @ factors.T + 1e-300) + shift
    return endings
