"""How much each voice is worth, learnt: stacked generalisation (D. H. Wolpert, 1992).

The ensemble answers some sentences of its own pool, each as if the pool held nothing from around it: names return
within a document, so that only the rest of the pool is as strange to a sentence as it is to a new text. On these, a
conditional logit (D. McFadden, 1974) learns from the votes, from what the pool knows, and from the looks of a
candidate, how probable each label is, and that it is no entity: they exclude one another. That takes the place of the
vote's verdict, and is its score.

Before it has seen anything it believes what other corpora taught (`prior.py`): what a few sentences teach is a
correction of that, not a rule of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from entsemble.ensemble.evidence import Evidence, Matrix
from entsemble.ensemble.overlap import resolve
from entsemble.ensemble.voting import Verdict
from entsemble.prompting.demonstration import one_line
from entsemble.types import Document, LabelSet, Mention, Span

KEPT_AS = "stacking/18"
"""Names what is kept of this module's learning: another number wherever evidence, learning or the JSON change."""

RIDGE = 30.0
"""Inverse variance of the coefficients and the intercept around the prior's, features having a variance of 1.

What forty sentences of an open corpus teach is worth something on others of it and costs nothing on another corpus.
From a third of this to ten times as much makes little difference (`benchmarks/quality/strange.py`)."""

SHARE = 0.4
"""Of the best F1 by cross-validation: the threshold. Half of it would be the best where scores are true (Lipton et al.,
2014, arXiv 1402.1892). They are of texts like the pool's; of stranger ones scores promise too little."""

_FOLDS = 5
_FEWEST = 10
"""Right and wrong answers that there must be to learn from."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What was learnt.

    Attributes:
        mean, scale: of each feature.
        coefficients: of the features, centred and scaled.
        intercept: log-odds of a label against no entity, where all is average.
        threshold: of the score, below which a mention costs more F1 than it brings.
        sentences: of the pool, that it was learnt from; 0 where other corpora alone taught.
        looks: whether what looks like a name is a candidate too.
    """

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    coefficients: tuple[float, ...]
    intercept: float
    threshold: float
    sentences: int
    looks: bool = False

    def probabilities(self, features: Matrix) -> Matrix:
        """[labels, features] of one candidate -> [labels]; what they lack of 1 is how probable it is no entity.

        What is not known (NaN) is taken as average.
        """
        centred = np.nan_to_num((features - self.mean) / self.scale, nan=0.0)
        utilities = centred @ np.array(self.coefficients) + self.intercept
        return np.asarray(np.exp(utilities - np.logaddexp.reduce(utilities, initial=0.0)))

    def to_json(self) -> str:
        """As text, exact."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Weights:
        """What `to_json` wrote.

        Raises:
            ValueError: the text is nothing of the kind.
        """
        told = json.loads(text)
        try:
            mean, scale, coefficients = (tuple(map(float, told[name])) for name in ("mean", "scale", "coefficients"))
            intercept, threshold = float(told["intercept"]), float(told["threshold"])
            return cls(mean, scale, coefficients, intercept, threshold, int(told["sentences"]), bool(told["looks"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"not weights: {error}") from error


@dataclass(frozen=True, slots=True)
class Answered:
    """A sentence of the pool, its own annotation aside.

    Attributes:
        document: with its annotation.
        verdicts: the vote's own, on every place proposed.
        features: of each place, [labels, features], by evidence that knows as little of the sentence as the votes do.
    """

    document: Document
    verdicts: Mapping[Span, Verdict]
    features: Sequence[Matrix]

    @classmethod
    def by(cls, evidence: Evidence, document: Document, verdicts: Mapping[Span, Verdict]) -> Answered:
        """With the features that `evidence` sees."""
        bare = cls(document, verdicts, ())
        return replace(bare, features=evidence.features(document.text, bare.surfaces, [*verdicts.values()]))

    @property
    def surfaces(self) -> list[str]:
        """Of the places proposed."""
        return [span.of(one_line(self.document.text)) for span in self.verdicts]

    def right(self, labels: LabelSet) -> list[Matrix]:
        """For each place, [labels]: 1 where it is annotated so."""
        gold = {(m.start, m.end, m.label) for m in self.document.mentions}
        return [
            np.array([(span.start, span.end, name) in gold for name in labels.names], dtype=float)
            for span in self.verdicts
        ]


class Stacking:
    """Judges candidates by what was learnt."""

    def __init__(self, evidence: Evidence, weights: Weights) -> None:
        self._evidence, self.weights = evidence, weights

    def judge(self, text: str, surfaces: Sequence[str], verdicts: Sequence[Verdict]) -> list[Verdict]:
        """The most probable label of each candidate, scored by its probability, in the place of the vote's verdict."""
        if not surfaces:
            return []
        names = self._evidence.labels.names
        features = self._evidence.features(text, surfaces, verdicts)
        judged = []
        for verdict, own in zip(verdicts, features, strict=True):
            probabilities = self.weights.probabilities(own)
            best = int(np.argmax(probabilities))
            judged.append(replace(verdict, label=names[best], score=float(probabilities[best]), best_label=names[best]))
        return judged


def learn(answered: Sequence[Answered], labels: LabelSet, prior: Weights, ridge: float = RIDGE) -> Weights | None:
    """Learn from sentences that were answered; `None` where they are too few, or too few answers are right or wrong.

    Args:
        answered: sentences.
        labels: in their order.
        prior: what is believed before, about the same features.
        ridge: how much it holds on to that, see `RIDGE`.
    """
    right = [a.right(labels) for a in answered]
    told = np.concatenate([np.empty(0), *(own for places in right for own in places)])
    if len(answered) < _FOLDS or min(told.sum(), (1 - told).sum()) < _FEWEST:
        return None

    def taught(sentences: Sequence[int]) -> Weights:
        own = [f for i in sentences for f in answered[i].features], [r for i in sentences for r in right[i]]
        return fitted(*own, prior, ridge)

    every = range(len(answered))
    parts = [taught([i for i in every if i % _FOLDS != fold]) for fold in range(_FOLDS)]
    scored = [[parts[i % _FOLDS].probabilities(own) for own in a.features] for i, a in enumerate(answered)]
    best = best_f1(answered, scored, labels)
    return replace(taught(every), threshold=SHARE * best, sentences=len(answered)) if best else None


def fitted(candidates: Sequence[Matrix], right: Sequence[Matrix], prior: Weights, ridge: float) -> Weights:
    """The most probable coefficients, by Newton's method; of nothing they are the prior's.

    Args:
        candidates: of each, [labels, features].
        right: of each, [labels]: 1 where it is one.
        prior: the means of the coefficients; features are centred and scaled as they are there.
        ridge: the inverse of the coefficients' variance.
    """
    if not candidates:
        return prior
    centred = np.nan_to_num((np.concatenate(candidates) - prior.mean) / prior.scale, nan=0.0)
    x = np.column_stack([centred, np.ones(len(centred))])
    sizes = [len(own) for own in candidates]
    first = np.cumsum([0, *sizes[:-1]])
    wanted = np.concatenate([own / max(1.0, own.sum()) for own in right])
    before = np.array([*prior.coefficients, prior.intercept])

    def normalisers(utilities: Matrix) -> Matrix:
        return np.asarray(np.logaddexp(0, np.logaddexp.reduceat(utilities, first)))

    def loss(w: Matrix) -> float:
        utilities = x @ w
        return float(normalisers(utilities).sum() - wanted @ utilities + ridge * ((w - before) ** 2).sum() / 2)

    w = before.copy()
    for _ in range(50):
        utilities = x @ w
        p = np.exp(utilities - np.repeat(normalisers(utilities), sizes))
        expected = np.add.reduceat(x * p[:, None], first)
        gradient = x.T @ (p - wanted) + ridge * (w - before)
        curvature = (x * p[:, None]).T @ x - expected.T @ expected + ridge * np.eye(len(w))
        step = np.linalg.solve(curvature, gradient)
        size = 1.0
        while size > 1e-6 and loss(w - size * step) > loss(w):
            size /= 2
        w -= size * step
        if np.abs(size * step).max() < 1e-8:
            break
    return replace(prior, coefficients=tuple(w[:-1].tolist()), intercept=float(w[-1]))


def best_f1(answered: Sequence[Answered], scored: Sequence[Sequence[Matrix]], labels: LabelSet) -> float:
    """The best F1 that a threshold gives, of overlapping places the more probable kept.

    Args:
        answered: sentences.
        scored: for each, for each place, the labels' probabilities.
        labels: in their order.
    """
    found: list[tuple[float, bool]] = []
    wanted = 0
    for sentence, probabilities in zip(answered, scored, strict=True):
        mentions = [
            Mention(span.start, span.end, labels.names[int(np.argmax(p))], surface, float(p.max()))
            for span, surface, p in zip(sentence.verdicts, sentence.surfaces, probabilities, strict=True)
        ]
        gold = {(m.start, m.end, m.label) for m in sentence.document.mentions}
        wanted += len(gold)
        kept, _ = resolve(mentions, nested=labels.nested)
        found += [(m.score or 0.0, (m.start, m.end, m.label) in gold) for m in kept]
    best, right = 0.0, 0
    ranked = sorted(found, reverse=True)
    for said, (score, good) in enumerate(ranked, 1):
        right += good
        if said == len(ranked) or ranked[said][0] < score:  # no threshold parts equals
            best = max(best, 2 * right / (said + wanted))
    return best
