"""Selection of experts for a target domain (SaM, arXiv 2506.22813, "Select").

SaM ranks experts by two scores. *Domain similarity* compares the target's sentences with the cluster centres of an
expert's training sentences. *Sampled evaluation* compares an expert's predictions on a sample of the target with gold
mentions or, if there are none, with the predictions of the other experts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from entsemble.evaluation.counts import Counts, count_sets
from entsemble.protocols import Vectors

MentionSet = frozenset[tuple[int, int, str]]
"""The mentions of one sentence: start, end, label."""

_MAX_ITERATIONS = 25
"""Of Lloyd's algorithm."""


@dataclass(frozen=True, slots=True)
class ExpertWeights:
    """The experts selected by one score.

    Attributes:
        scores: of all experts, the best first.
        weights: of the selected experts; they add up to 1.
    """

    scores: Mapping[str, float]
    weights: Mapping[str, float]


def cluster_centres(vectors: Vectors, max_centres: int = 8, seed: int = 0) -> tuple[Vectors, tuple[int, ...]]:
    """Cluster sentence vectors by spherical k-means (Lloyd's algorithm).

    Args:
        vectors: [n, d] unit rows; at least one.
        max_centres: number of clusters; fewer if there are fewer distinct rows.
        seed: of the initial centres.

    Returns:
        Centres [k, d], unit rows, and the number of sentences of each cluster, the largest first.
    """
    distinct_rows = np.unique(vectors, axis=0)
    generator = np.random.default_rng(seed)
    initial = generator.choice(len(distinct_rows), min(max_centres, len(distinct_rows)), replace=False)
    centres = distinct_rows[np.sort(initial)]
    assignment = np.zeros(len(vectors), dtype=int)
    for _ in range(_MAX_ITERATIONS):
        previous, assignment = assignment, (vectors @ centres.T).argmax(axis=1)
        sums = np.stack([vectors[assignment == cluster].sum(axis=0) for cluster in range(len(centres))])
        norms = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.where(norms > 0, sums / np.where(norms > 0, norms, 1), centres)  # an empty cluster does not move
        if (previous == assignment).all():
            break
    sizes = np.bincount(assignment, minlength=len(centres))
    by_size = [int(cluster) for cluster in np.argsort(-sizes, kind="stable") if sizes[cluster]]
    return centres[by_size].astype(np.float32), tuple(int(sizes[cluster]) for cluster in by_size)


def domain_similarity(target: Vectors, centres_by_expert: Mapping[str, Vectors]) -> dict[str, float]:
    """Similarity of each expert's domain: the mean, over target sentences, of the cosine to the nearest centre.

    Args:
        target: [n, d] unit rows; at least one.
        centres_by_expert: expert -> centres [k, d], unit rows.
    """
    return {expert: float((target @ centres.T).max(axis=1).mean()) for expert, centres in centres_by_expert.items()}


def agreement_with_gold(
    predictions: Mapping[str, Sequence[MentionSet]], gold: Sequence[MentionSet]
) -> dict[str, float]:
    """Micro F1 of each expert on labelled sentences.

    Args:
        predictions: expert -> predicted mentions of each sentence.
        gold: gold mentions of the same sentences.
    """
    return {expert: _micro_f1(sentences, gold) for expert, sentences in predictions.items()}


def agreement_with_other_experts(predictions: Mapping[str, Sequence[MentionSet]]) -> dict[str, float]:
    """Micro F1 of each expert against the union of the other experts' predictions, for targets without gold mentions.

    The union, not the majority: out of domain, small experts predict too little, and against the majority the most
    silent ones look best. No expert is compared with itself, so silent and over-generating experts both score low.

    Args:
        predictions: expert -> predicted mentions of each sentence.
    """
    scores = {}
    for expert, sentences in predictions.items():
        others = [other_sentences for other, other_sentences in predictions.items() if other != expert]
        unions = [
            frozenset[tuple[int, int, str]]().union(*(other[index] for other in others))
            for index in range(len(sentences))
        ]
        scores[expert] = _micro_f1(sentences, unions)
    return scores


def select_best(scores: Mapping[str, float], max_experts: int) -> ExpertWeights:
    """Select the best experts, weighted by their margin over the best expert that is left out.

    Weights add up to 1: in experiments, sums with weights of 1/2 were far below sums with weights of 1/4. Equal scores
    get equal weights. If no expert is left out, the margin is chosen so that the worst counts half as much as the best.

    Args:
        scores: finite score of each expert.
        max_experts: at least 1.
    """
    ranked = dict(sorted(scores.items(), key=lambda item: (-item[1], item[0])))
    selected, rejected = list(ranked)[:max_experts], list(ranked)[max_experts:]
    spread = ranked[selected[0]] - ranked[selected[-1]] if selected else 0.0
    baseline = ranked[rejected[0]] if rejected else ranked[selected[-1]] - spread if selected else 0.0
    margins = {expert: ranked[expert] - baseline for expert in selected}
    total = sum(margins.values())
    weights = {expert: margin / total if total > 0 else 1 / len(selected) for expert, margin in margins.items()}
    return ExpertWeights(ranked, {expert: weight for expert, weight in weights.items() if weight > 0})


def _micro_f1(predicted: Sequence[MentionSet], gold: Sequence[MentionSet]) -> float:
    counts = (count_sets(*sentence) for sentence in zip(gold, predicted, strict=True))
    return sum(counts, Counts()).f1
