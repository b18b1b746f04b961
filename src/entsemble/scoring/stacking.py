"""How much each voice is worth, learnt: stacked generalisation (D. H. Wolpert, 1992).

The ensemble answers some sentences of its own pool, each as if the pool held nothing from around it: names return
within a document, so that only the rest of the pool is as strange to a sentence as it is to a new text. On these, a
conditional logit (D. McFadden, 1974) learns from the votes, from what the pool knows, and from the looks of a
candidate, how probable each label is, and that it is no entity: they exclude one another, and so do candidates that
overlap (`arrangements.py`). That takes the place of the vote's verdict, and its score is made of it (`scaling.py`).

Before it has seen anything it believes what other corpora taught (`prior.py`): what a few sentences teach is a
correction of that, not a rule of its own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from entsemble._lib.math import newton_minimize
from entsemble._lib.text import one_line
from entsemble.scoring.features import Evidence, Matrix
from entsemble.scoring.platt import AS_IT_IS, Scaling, scaled
from entsemble.scoring.semi_crf import Arrangements
from entsemble.types import Document, LabelSet, Mention, Span
from entsemble.voting.overlaps import resolve_overlaps
from entsemble.voting.rules import Verdict

KEPT_AS = "stacking/24"
"""Names what is kept of this module's learning: another number wherever evidence, learning or the JSON change."""

RIDGE = 100.0
"""Inverse variance of coefficients, intercept and nesting around the prior's, features having a variance of 1.

What forty sentences of an open corpus teach is worth something on others of it and costs nothing on another corpus.
A third of this is a little worse on the latter (`benchmarks/quality/strange.py`)."""

LOOSE_RIDGE = 30.0
"""Where the pool is unlike what other corpora taught (`benchmarks/quality/ridges.py`)."""

STRONG = math.log(20.0)
"""How far the pool's own sentences must be more probable with the loose ridge than with the other, as a log Bayes
factor, for it to be taken: strong evidence by R. E. Kass and A. E. Raftery (1995)."""

SHARE = 0.5
"""Of the best F1 that the scores promise: the threshold that is the best where they are true (Lipton et al., 2014,
arXiv 1402.1892)."""

_FOLDS = 5
_FEWEST = 10
"""Right and wrong answers that there must be to learn from."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What was learnt.

    Attributes:
        mean, scale: of each feature.
        coefficients: of the features, centred and scaled.
        intercept: log-odds of a label against no entity, where all is average and nothing overlaps.
        nesting: what is added to the log-odds of a mention within another, where mentions nest.
        threshold: of the score, below which a mention costs more F1 than it brings.
        sentences: of the pool, that it was learnt from; 0 where other corpora alone taught.
        looks: whether what looks like a name is a candidate too.
        scaling: of a probability to the score.
    """

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    coefficients: tuple[float, ...]
    intercept: float
    nesting: float
    threshold: float
    sentences: int
    looks: bool = False
    scaling: Scaling = AS_IT_IS

    def centred(self, features: Matrix) -> Matrix:
        """[rows, features] -> [rows, features + 1]: centred and scaled, what is not known (NaN) as average, and a 1."""
        told = np.nan_to_num((features - self.mean) / self.scale, nan=0.0)
        return np.column_stack([told, np.ones(len(told))])

    def probabilities(self, features: Sequence[Matrix], arrangements: Arrangements) -> list[Matrix]:
        """How probable each label is of each candidate of a text; what they lack of 1, that it is no entity.

        Args:
            features: of each candidate, [labels, features].
            arrangements: of the places of the candidates, in the same order.

        Returns:
            Of each candidate, [labels].
        """
        told = np.array([*self.coefficients, self.intercept])
        utilities = [self.centred(own) @ told for own in features]
        worth = [float(np.logaddexp.reduce(own)) for own in utilities]
        chosen = arrangements.marginals(worth, self.nesting).chosen
        return [p * np.exp(own - w) for p, own, w in zip(chosen, utilities, worth, strict=True)]

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
            intercept, nesting, threshold = (float(told[name]) for name in ("intercept", "nesting", "threshold"))
            sentences, looks = int(told["sentences"]), bool(told["looks"])
            scaling = Scaling(**{name: float(told["scaling"][name]) for name in ("slope", "intercept")})
            return cls(mean, scale, coefficients, intercept, nesting, threshold, sentences, looks, scaling)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not weights: {error}") from error


@dataclass(frozen=True, slots=True)
class Lesson:
    """What one sentence teaches.

    Attributes:
        features: of each candidate, [labels, features].
        right: of each candidate, [labels]: 1 where it is one.
        arrangements: of the places of the candidates.
        enclosed: how many of those that are right stand within another one.
    """

    features: Sequence[Matrix]
    right: Sequence[Matrix]
    arrangements: Arrangements
    enclosed: int


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
        return cls(document, verdicts, evidence.features(document.text, verdicts))

    @property
    def surfaces(self) -> list[str]:
        """Of the places proposed."""
        line = one_line(self.document.text)
        return [span.of(line) for span in self.verdicts]

    @property
    def gold(self) -> frozenset[tuple[int, int, str]]:
        """Start, end and label of each mention that is annotated."""
        return frozenset((m.start, m.end, m.label) for m in self.document.mentions)

    def right(self, labels: LabelSet) -> list[Matrix]:
        """For each place, [labels]: 1 where it is annotated so."""
        gold = self.gold
        return [
            np.array([(span.start, span.end, name) in gold for name in labels.names], dtype=float)
            for span in self.verdicts
        ]

    def lesson(self, labels: LabelSet) -> Lesson:
        """What it teaches; of annotated places that cannot stand together, the longer ones are right."""
        right = self.right(labels)
        places = zip(self.verdicts, self.surfaces, right, strict=True)
        said = [Mention(span.start, span.end, labels.names[0], told) for span, told, own in places if own.any()]
        kept = [m.span for m in resolve_overlaps(said, nested=labels.nested)[0]]
        right = [own * (span in kept) for span, own in zip(self.verdicts, right, strict=True)]
        enclosed = sum(any(a.contains(b) for a in kept if a != b) for b in kept)
        return Lesson(self.features, right, Arrangements([*self.verdicts], nested=labels.nested), enclosed)


class Stacking:
    """Judges candidates by what was learnt."""

    def __init__(self, evidence: Evidence, weights: Weights) -> None:
        self._evidence, self.weights = evidence, weights

    def judge(self, text: str, verdicts: Mapping[Span, Verdict]) -> dict[Span, Verdict]:
        """The most probable label of each place, scored by its probability, in the place of the vote's verdict.

        The score of one that is likely to be found is how often such are right; of the others it is but an order.
        """
        labels = self._evidence.labels
        features = self._evidence.features(text, verdicts)
        probabilities = self.weights.probabilities(features, Arrangements([*verdicts], nested=labels.nested))
        judged = {}
        for (span, verdict), own in zip(verdicts.items(), probabilities, strict=True):
            best = int(np.argmax(own))
            name = labels.names[best]
            score = self.weights.scaling.of(float(own[best]))
            judged[span] = replace(verdict, label=name, score=score, best_label=name)
        return judged


@dataclass(frozen=True, slots=True)
class Fit:
    """What some lessons teach, and how well what was believed before them foresaw it.

    Attributes:
        weights: the most probable ones.
        log_evidence: of the lessons, whatever the weights are (D. J. C. MacKay, 1992, after Laplace): fits of the same
            lessons with other ridges can be compared by it.
    """

    weights: Weights
    log_evidence: float


def learn(answered: Sequence[Answered], labels: LabelSet, prior: Weights, ridge: float | None = None) -> Weights | None:
    """Learn from sentences that were answered; `None` where they are too few, or too few answers are right or wrong.

    Args:
        answered: sentences.
        labels: in their order.
        prior: what is believed before, about the same features.
        ridge: how much it holds on to that; without one, the sentences say it, see `ridge_for`.
    """
    lessons = [a.lesson(labels) for a in answered]
    told = np.concatenate([np.empty(0), *(own for lesson in lessons for own in lesson.right)])
    if len(answered) < _FOLDS or min(told.sum(), (1 - told).sum()) < _FEWEST:
        return None
    ridge = ridge or ridge_for(lessons, prior)
    parts = [[x for i, x in enumerate(lessons) if i % _FOLDS != fold] for fold in range(_FOLDS)]
    by_others = [fitted(part, prior, ridge).weights for part in parts]
    scored = [by_others[i % _FOLDS].probabilities(x.features, x.arrangements) for i, x in enumerate(lessons)]
    least = SHARE * promised_f1(answered, scored, labels)
    sure = [m for m in rated(answered, scored, labels) if m[0] >= least]
    scaling = scaled([p for p, _ in sure], [right for _, right in sure], prior.scaling)
    weights = fitted(lessons, prior, ridge).weights
    return replace(weights, threshold=scaling.of(least), sentences=len(answered), scaling=scaling)


def ridge_for(lessons: Sequence[Lesson], prior: Weights) -> float:
    """The loose ridge where there is strong evidence for it, or else the other."""
    return LOOSE_RIDGE if log_bayes_factor(lessons, prior) > STRONG else RIDGE


def log_bayes_factor(lessons: Sequence[Lesson], prior: Weights) -> float:
    """How much more probable the lessons are with the loose ridge than with the other."""
    loose, firm = (fitted(lessons, prior, ridge).log_evidence for ridge in (LOOSE_RIDGE, RIDGE))
    return loose - firm


def fitted(lessons: Sequence[Lesson], prior: Weights, ridge: float) -> Fit:
    """The most probable coefficients, given which arrangement is right; of nothing they are the prior's.

    The curvature is that of spans that exclude none: it makes steps too long now and then, which `minimum` shortens.

    Args:
        lessons: what each sentence teaches.
        prior: the means of the coefficients; features are centred and scaled as they are there.
        ridge: the inverse of the coefficients' variance.
    """
    lessons = [lesson for lesson in lessons if lesson.features]
    if not lessons:
        return Fit(prior, 0.0)
    x = prior.centred(np.concatenate([own for lesson in lessons for own in lesson.features]))
    wanted = np.concatenate([own / max(1.0, own.sum()) for lesson in lessons for own in lesson.right])
    sizes = [len(own) for lesson in lessons for own in lesson.features]
    first = np.cumsum([0, *sizes[:-1]])
    enclosed = sum(lesson.enclosed for lesson in lessons)
    ends = np.cumsum([len(lesson.features) for lesson in lessons])[:-1]
    before = np.array([*prior.coefficients, prior.intercept, prior.nesting])

    def told(w: Matrix) -> tuple[float, Matrix, Matrix]:
        """Of these coefficients: the loss, its gradient, and about its curvature."""
        utilities = x @ w[:-1]
        worth = np.logaddexp.reduceat(utilities, first)
        texts = zip(lessons, np.split(worth, ends), strict=True)
        found = [lesson.arrangements.marginals(own.tolist(), float(w[-1])) for lesson, own in texts]
        chosen = np.concatenate([own.chosen for own in found])
        within = np.concatenate([own.enclosed for own in found])
        p = np.exp(utilities - np.repeat(worth, sizes)) * np.repeat(chosen, sizes)
        away = w - before
        loss = sum(own.log_total for own in found) - wanted @ utilities - w[-1] * enclosed + ridge * away @ away / 2
        gradient = np.append(x.T @ (p - wanted), within.sum() - enclosed) + ridge * away
        share = np.divide(within, chosen, out=np.zeros_like(chosen), where=chosen > 0)
        wide = np.column_stack([x, np.repeat(share, sizes)])
        expected = np.add.reduceat(wide * p[:, None], first)
        return float(loss), gradient, (wide * p[:, None]).T @ wide - expected.T @ expected + ridge * np.eye(len(w))

    w, loss, curvature = newton_minimize(told, before)
    coefficients, intercept, nesting = tuple(w[:-2].tolist()), float(w[-2]), float(w[-1])
    spread = len(w) * math.log(ridge) - float(np.linalg.slogdet(curvature)[1])
    return Fit(replace(prior, coefficients=coefficients, intercept=intercept, nesting=nesting), spread / 2 - loss)


def promised_f1(answered: Sequence[Answered], scored: Sequence[Sequence[Matrix]], labels: LabelSet) -> float:
    """The best F1 that a threshold gives, if scores are true; of overlapping places the more probable is kept.

    What is right is expected of the scores, and not looked up: the best of few answers that were looked up is the best
    by chance as well, and says too much.

    Args:
        answered: sentences.
        scored: for each, for each place, the labels' probabilities.
        labels: in their order.
    """
    kept = [p for p, _ in rated(answered, scored, labels)]
    wanted = sum(len(a.gold) for a in answered)
    right = np.cumsum(sorted(kept, reverse=True))
    return float((2 * right / (np.arange(len(right)) + 1 + wanted)).max(initial=0.0))


def rated(
    answered: Sequence[Answered], scored: Sequence[Sequence[Matrix]], labels: LabelSet
) -> list[tuple[float, bool]]:
    """Of each mention that no more probable one excludes, in text order: its probability, and whether it is right.

    Args:
        answered: sentences.
        scored: for each, for each place, the labels' probabilities.
        labels: in their order.
    """
    return [m for a, own in zip(answered, scored, strict=True) for m in _rated(a, own, labels)]


def _rated(sentence: Answered, probabilities: Sequence[Matrix], labels: LabelSet) -> list[tuple[float, bool]]:
    mentions = [
        Mention(span.start, span.end, labels.names[int(np.argmax(p))], surface, float(p.max()))
        for span, surface, p in zip(sentence.verdicts, sentence.surfaces, probabilities, strict=True)
    ]
    kept = resolve_overlaps(mentions, nested=labels.nested)[0]
    return [(m.score or 0.0, (m.start, m.end, m.label) in sentence.gold) for m in kept]
