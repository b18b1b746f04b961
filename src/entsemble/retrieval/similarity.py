"""Similarity of sentences, as pure functions over embeddings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from entsemble.protocols import Vectors

Scores = npt.NDArray[np.float32]

SPAN_WEIGHTS = {"PROPN": 4.0, "NOUN": 2.0, "PRON": 1.0}
"""EL4NER's span weights by universal part-of-speech tag, as in a public re-implementation; 0 for any other tag."""


def span_weight(tag: str) -> float:
    """The weight of a span whose head word has the universal tag `tag`."""
    return SPAN_WEIGHTS.get(tag, 0.0)


def sentence_similarity(query: Vectors, pool: Vectors) -> Scores:
    """Cosine similarity of a sentence and each sentence of a pool.

    Args:
        query: [dimensions], of unit length.
        pool: [sentences, dimensions], rows of unit length.

    Returns:
        [sentences], in [-1, 1].
    """
    return np.asarray(pool @ query, dtype=np.float32)


def span_similarity(cosines: Vectors, weights: Sequence[float], starts: npt.NDArray[np.int64]) -> Scores:
    """EL4NER's SpanSim (arXiv 2505.23038, step 1) of a sentence and each sentence of a pool.

    `SpanSim(S, S_c) = sum_s w(s) max_{c in S_c} cos(s, c) / sum_s w(s)`

    Args:
        cosines: [query spans, pool spans], the pool's spans in the order of its sentences.
        weights: [query spans], not all zero.
        starts: [sentences + 1], index of each pool sentence's first span; the last is the number of pool spans.

    Returns:
        [sentences]; 0 for pool sentences without spans.

    Raises:
        ValueError: the number of weights is not that of query spans, or none is positive.
    """
    span_weights = np.asarray(weights, dtype=np.float32)
    if cosines.shape[0] != span_weights.size or not span_weights.size or span_weights.sum() <= 0:
        raise ValueError("SpanSim needs as many weights as spans, at least one of them positive")
    scores = np.zeros(starts.size - 1, dtype=np.float32)
    with_spans = np.flatnonzero(starts[1:] > starts[:-1])
    if with_spans.size:
        max_cosines = np.maximum.reduceat(cosines, starts[with_spans], axis=1)
        scores[with_spans] = (span_weights / span_weights.sum()) @ max_cosines
    return scores


def top_indices(
    scores: Scores, tie_breakers: Scores, limit: int, allowed: npt.NDArray[np.bool_]
) -> npt.NDArray[np.int64]:
    """Indices of the highest `scores` among the allowed ones, best first; ties by `tie_breakers`, then by position.

    SpanSim has many ties (every sentence that names the same country scores 1), so the tie-breakers matter.

    Args:
        scores: [sentences], compared to four decimals.
        tie_breakers: [sentences], such as sentence similarity.
        limit: maximum number of indices.
        allowed: [sentences].
    """
    candidates = np.flatnonzero(allowed)
    order = np.lexsort((candidates, -tie_breakers[candidates], -np.round(scores[candidates], 4)))
    return candidates[order[:limit]]
