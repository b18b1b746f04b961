"""How much each voice is worth, learnt from the pool: stacked generalisation (D. H. Wolpert, 1992).

The ensemble answers some sentences of its own pool, each as if the pool held nothing from around it: names return
within a document, so that only the rest of the pool is as strange to a sentence as it is to a new text. On these, a
logistic regression learns from the votes, from what the pool knows, and from the looks of a candidate, how probable it
is that the candidate is an entity of a label. That takes the place of the vote's verdict, and is its score.

Before it has seen anything it believes the soft vote: what a few sentences teach is a correction of that, not a rule of
its own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import numpy.typing as npt

from entsemble._words import word_spans
from entsemble.ensemble.gazetteer import Gazetteer, Known
from entsemble.ensemble.likeness import Alike, Likeness
from entsemble.ensemble.looks import runs
from entsemble.ensemble.overlap import resolve
from entsemble.ensemble.voting import Verdict, soft_scores
from entsemble.prompting.demonstration import one_line
from entsemble.types import NONE_LABEL, Document, LabelSet, Mention, Span

Matrix = npt.NDArray[np.float64]

KEPT_AS = "stacking/11"
"""Names what is kept of this module's learning: another number wherever features, learning or the JSON change."""

_LEAST = 1e-3
"""Probabilities are taken as no nearer than this to 0 and 1."""

_RIDGE = 10.0
"""Inverse variance of the coefficients' prior, whose mean is 0, features having a variance of 1."""

_VOTE_RIDGE = 1.0
"""That of the coefficient of the soft vote's log-odds, the first feature, whose prior has a mean of 1."""

_INTERCEPT_RIDGE = 1.0
"""That of the intercept, whose prior has a mean of 0."""

SHARE = 0.4
"""Of the best F1 by cross-validation: the threshold. Half of it would be the best where scores are true (Lipton et al.,
2014, arXiv 1402.1892). They are of texts like the pool's; of stranger ones scores promise too little. On samples of
CoNLL-2003's and WNUT17's training files two fifths is as good as half, and a lower share is worse."""

_FOLDS = 5
_FEWEST = 10
"""Right and wrong answers that there must be to learn from."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What was learnt.

    Attributes:
        mean, scale: of each feature, the first as it is: 0 and 1.
        coefficients: of the features, centred and scaled.
        intercept: log-odds of an answer that is average but for the soft vote, which tosses a coin.
        threshold: of the score, below which a mention costs more F1 than it brings.
        sentences: of the pool, that it was learnt from.
        looks: whether candidates that only look like names were among what it was learnt from, and are evidence.
    """

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    coefficients: tuple[float, ...]
    intercept: float
    threshold: float
    sentences: int
    looks: bool = False

    def probabilities(self, features: Matrix) -> Matrix:
        """[n, features] -> [n]; what is not known (NaN) is taken as average."""
        centred = np.nan_to_num((features - self.mean) / self.scale, nan=0.0)
        return _sigmoid(centred @ np.array(self.coefficients) + self.intercept)

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

    def right(self, labels: LabelSet) -> list[bool]:
        """For each place and each label, whether it is annotated so."""
        gold = {(m.start, m.end, m.label) for m in self.document.mentions}
        return [(span.start, span.end, name) in gold for span in self.verdicts for name in labels.names]


class Evidence:
    """What is known of a candidate, as numbers.

    Args:
        members: whose votes count, by name.
        labels: that are asked for.
        gazetteer: the pool's names, where they have a voice.
        likeness: the pool's names by likeness.
        looks: whether it counts that a candidate is a whole run of words with capitals.
    """

    def __init__(
        self,
        members: Sequence[str],
        labels: LabelSet,
        gazetteer: Gazetteer | None,
        likeness: Likeness,
        *,
        looks: bool = False,
    ) -> None:
        self._members, self.labels, self._gazetteer, self._likeness = tuple(members), labels, gazetteer, likeness
        self._looks = looks

    def features(self, text: str, surfaces: Sequence[str], verdicts: Sequence[Verdict]) -> list[Matrix]:
        """For each candidate, [labels, features]."""
        known = self._gazetteer.known(text) if self._gazetteer else {}
        alike = self._likeness.of(text, surfaces)
        voted = [soft_scores(v.ballots) for v in verdicts]
        looking = frozenset(runs(text)) if self._looks else frozenset()
        told = [
            np.array([self._of_label(name, votes[name], s, v, known.get(s), a) for name in self.labels.names])
            for s, v, votes, a in zip(surfaces, verdicts, voted, alike, strict=True)
        ]
        if not self._looks:
            return told
        return [np.column_stack([own, np.full(len(own), s in looking)]) for s, own in zip(surfaces, told, strict=True)]

    def _of_label(
        self, label: str, voted: float, surface: str, verdict: Verdict, known: Known | None, alike: Alike | None
    ) -> list[float]:
        ballots = {b.member: b for b in verdict.ballots}
        told = [_logit(voted)]
        for member in self._members:
            if member not in ballots:
                told += [math.nan] * 4
                continue
            ballot = ballots[member]
            own, best = ballot.probability(label), max(ballot.probability(x) for x in self.labels.names)
            told += [_logit(own), _logit(ballot.probability(NONE_LABEL)), float(ballot.proposed), float(own >= best)]
        if known:
            times, named = known.labels[label], sum(known.labels.values())
            seen = [_logit((n + 0.1) / (known.seen + 0.2)) for n in (times, named)]
            told += [*seen, math.log1p(known.seen), 1.0]
        else:
            told += [0.0] * 4
        told += [_logit(alike.shares[label]), alike.cosine] if alike else [math.nan] * 2
        return [*told, float(len(word_spans(surface))), float(surface[:1].isupper()), float(surface.islower())]


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


def learn(answered: Sequence[Answered], labels: LabelSet) -> Weights | None:
    """Learn from sentences that were answered; `None` where they are too few, or too few answers are right or wrong."""
    right = np.array([good for a in answered for good in a.right(labels)], dtype=bool)
    if len(answered) < _FOLDS or min(right.sum(), len(right) - right.sum()) < _FEWEST:
        return None
    features = np.concatenate([own for a in answered for own in a.features])
    fold = np.array([i % _FOLDS for i, a in enumerate(answered) for _ in a.right(labels)])
    parts = [_fitted(features[fold != i], right[fold != i]) for i in range(_FOLDS)]
    scored = [[parts[i % _FOLDS].probabilities(own) for own in a.features] for i, a in enumerate(answered)]
    best = _best_f1(answered, scored, labels)
    return replace(_fitted(features, right), threshold=SHARE * best, sentences=len(answered)) if best else None


def _fitted(features: Matrix, right: npt.NDArray[np.bool_]) -> Weights:
    """Ridge logistic regression by Newton's method, which of nothing is the first feature's sigmoid."""
    known = np.ma.masked_invalid(features)  # a column may be unknown throughout
    mean, spread = known.mean(axis=0).filled(0.0), known.std(axis=0).filled(0.0)
    scale = np.where(spread > 1e-6 * np.maximum(1, np.abs(mean)), spread, 1.0)  # a constant's spread may be rounding
    mean[0], scale[0] = 0.0, 1.0
    x = np.column_stack([np.nan_to_num((features - mean) / scale, nan=0.0), np.ones(len(right))])
    ridge = np.array([_VOTE_RIDGE, *[_RIDGE] * (len(mean) - 1), _INTERCEPT_RIDGE])
    prior = np.array([1.0, *[0.0] * len(mean)])

    def loss(w: Matrix) -> float:
        z = x @ w
        return float(np.logaddexp(0, z).sum() - z[right].sum() + (ridge * (w - prior) ** 2).sum() / 2)

    w = prior.copy()
    for _ in range(50):
        p = _sigmoid(x @ w)
        gradient = x.T @ (p - right) + ridge * (w - prior)
        curvature = (x * (p * (1 - p))[:, None]).T @ x + np.diag(ridge)
        step = np.linalg.solve(curvature, gradient)
        size = 1.0
        while size > 1e-6 and loss(w - size * step) > loss(w):
            size /= 2
        w -= size * step
        if np.abs(size * step).max() < 1e-8:
            break
    return Weights(tuple(mean.tolist()), tuple(scale.tolist()), tuple(w[:-1].tolist()), float(w[-1]), 0.5, 0)


def _best_f1(answered: Sequence[Answered], scored: Sequence[Sequence[Matrix]], labels: LabelSet) -> float:
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


def _sigmoid(z: Matrix) -> Matrix:
    return np.asarray(np.exp(-np.logaddexp(0, -z)))


def _logit(probability: float) -> float:
    p = min(max(probability, _LEAST), 1 - _LEAST)
    return math.log(p / (1 - p))
