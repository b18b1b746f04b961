"""How alike two sentences are, as pure functions over vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from entsemble.protocols import Vectors

Scores = npt.NDArray[np.float32]

SPAN_WEIGHTS = {"PROPN": 4.0, "NOUN": 2.0, "PRON": 1.0}
"""EL4NER's span weights by part of speech, as one public re-implementation has them; any other tag weighs 0."""


def span_weight(tag: str) -> float:
    """The weight of a span whose head carries the universal tag `tag`."""
    return SPAN_WEIGHTS.get(tag, 0.0)


def sentence_similarity(query: Vectors, pool: Vectors) -> Scores:
    """Cosine of one sentence to each of the pool.

    Args:
        query: [d], unit length.
        pool: [n, d], unit rows.

    Returns:
        [n], in [-1, 1].
    """
    return np.asarray(pool @ query, dtype=np.float32)


def span_similarity(cosines: Vectors, weights: Sequence[float], starts: npt.NDArray[np.int64]) -> Scores:
    """EL4NER's SpanSim (arXiv 2505.23038, step 1) of one sentence to each of the pool.

    `SpanSim(S, S_c) = sum_s w(s) max_{c in S_c} cos(s, c) / sum_s w(s)`

    Args:
        cosines: [m, k], the sentence's m spans against the spans of all pool sentences, one sentence after another.
        weights: m weights, not all zero.
        starts: [n + 1], where each pool sentence's spans begin among the k; the last is k.

    Returns:
        [n]; a pool sentence without spans is similar to nothing and gets 0.
    """
    share = np.asarray(weights, dtype=np.float32)
    if cosines.shape[0] != share.size or not share.size or share.sum() <= 0:
        raise ValueError("SpanSim needs as many weights as spans, at least one of them positive")
    scores = np.zeros(starts.size - 1, dtype=np.float32)
    filled = np.flatnonzero(starts[1:] > starts[:-1])
    if filled.size:
        nearest = np.maximum.reduceat(cosines, starts[filled], axis=1)
        scores[filled] = (share / share.sum()) @ nearest
    return scores


def top_indices(scores: Scores, ties: Scores, k: int, allowed: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Indices of the `k` highest `scores` among `allowed`, best first; equals by `ties`, then by position.

    SpanSim is full of equals (every sentence that names the same country scores 1), so `ties` matters: sentence
    similarity, where the caller has it.
    """
    candidates = np.flatnonzero(allowed)
    order = np.lexsort((candidates, -ties[candidates], -np.round(scores[candidates], 4)))
    return candidates[order[:k]]
