"""Which experts suit a target: SaM's two views of it (arXiv 2506.22813, "Select"), over what was measured.

*Domain similarity* compares texts: the target's sentences with the centres of an expert's training sentences.
*Sampled evaluation* compares answers: what an expert says about some sentences of the target, with their gold mentions
where there are any, and otherwise with what the other experts say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from entsemble.evaluation.counts import Counts, count_sets
from entsemble.protocols import Vectors

MentionSet = frozenset[tuple[int, int, str]]
"""The mentions of one sentence: start, end, label."""


@dataclass(frozen=True, slots=True)
class ExpertWeights:
    """The experts chosen by one view.

    Attributes:
        scores: every expert's, the best first.
        weights: of those chosen, adding up to 1.
    """

    scores: Mapping[str, float]
    weights: Mapping[str, float]


def cluster_centres(vectors: Vectors, most: int = 8, seed: int = 0) -> tuple[Vectors, tuple[int, ...]]:
    """Where a domain lies: the centres of its sentences' vectors by spherical k-means (Lloyd).

    Args:
        vectors: [n, d], unit rows; at least one.
        most: centres at most; there are no more than distinct rows.
        seed: of the first centres.

    Returns:
        Unit rows [k, d], and how many sentences each stands for, the most first.
    """
    distinct = np.unique(vectors, axis=0)
    start = np.random.default_rng(seed).choice(len(distinct), min(most, len(distinct)), replace=False)
    found = distinct[np.sort(start)]
    nearest = np.zeros(len(vectors), dtype=int)
    for _ in range(25):
        before, nearest = nearest, (vectors @ found.T).argmax(axis=1)
        sums = np.stack([vectors[nearest == i].sum(axis=0) for i in range(len(found))])
        norms = np.linalg.norm(sums, axis=1, keepdims=True)
        found = np.where(norms > 0, sums / np.where(norms > 0, norms, 1), found)  # an empty one stays where it is
        if (before == nearest).all():
            break
    counts = np.bincount(nearest, minlength=len(found))
    order = [int(i) for i in np.argsort(-counts, kind="stable") if counts[i]]
    return found[order].astype(np.float32), tuple(int(counts[i]) for i in order)


def domain_similarity(target: Vectors, domains: Mapping[str, Vectors]) -> dict[str, float]:
    """How near each expert's domain lies to the target: the mean, over its sentences, of the nearest centre's cosine.

    Args:
        target: [n, d], unit rows; at least one.
        domains: expert -> its centres, [k, d], unit rows.
    """
    return {name: float((target @ rows.T).max(axis=1).mean()) for name, rows in domains.items()}


def agreement_with_gold(answers: Mapping[str, Sequence[MentionSet]], gold: Sequence[MentionSet]) -> dict[str, float]:
    """Micro F1 of each expert on labelled sentences.

    Args:
        answers: expert -> its answer to each sentence.
        gold: of the same sentences.
    """
    return {name: _f1(said, gold) for name, said in answers.items()}


def agreement_with_other_experts(answers: Mapping[str, Sequence[MentionSet]]) -> dict[str, float]:
    """Micro F1 of each expert against what the others say: what there is to go by without gold mentions.

    A mention is expected where any other expert names it: away from home experts of this size say too little, and
    against what most of them say the most silent ones look best. No expert is compared with itself, so one that says
    much that no other says, or nothing, gains nothing by it.
    """
    scores = {}
    for name, said in answers.items():
        others = [a for other, a in answers.items() if other != name]
        scores[name] = _f1(said, [frozenset().union(*(a[i] for a in others)) for i in range(len(said))])
    return scores


def select_best(scores: Mapping[str, float], most: int) -> ExpertWeights:
    """The `most` best experts, weighted by how much better they are than the best one left out.

    Weights add up to 1: lab results have a sum of experts at 1/2 each far below one at 1/4 each. Experts that score
    alike weigh alike. Where none is left out, the worst counts half.

    Args:
        scores: one an expert, finite.
        most: at least 1.
    """
    ranked = dict(sorted(scores.items(), key=lambda s: (-s[1], s[0])))
    best, rest = list(ranked)[:most], list(ranked)[most:]
    spread = ranked[best[0]] - ranked[best[-1]] if best else 0.0
    floor = ranked[rest[0]] if rest else ranked[best[-1]] - spread if best else 0.0
    above = {name: ranked[name] - floor for name in best}
    whole = sum(above.values())
    share = {name: value / whole if whole > 0 else 1 / len(best) for name, value in above.items()}
    return ExpertWeights(ranked, {name: weight for name, weight in share.items() if weight > 0})


def _f1(said: Sequence[MentionSet], gold: Sequence[MentionSet]) -> float:
    return sum((count_sets(g, s) for s, g in zip(said, gold, strict=True)), Counts()).f1
