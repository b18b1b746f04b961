"""MAP fit of the stacking model; Laplace evidence chooses the prior's strength.

The ensemble answers some sentences of its own pool, each as if the pool held nothing from around it: names recur within
a document, so only the rest of the pool is as new to a sentence as it is to another text. Few sentences are enough,
since the pre-trained model (`pretrained.py`) is the mean of the Gaussian prior.

scikit-learn's `LogisticRegression` cannot fit this model: its likelihood has no partition function over compatible sets
of spans, its prior has mean zero, and it computes no evidence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from entsemble._lib.math import FloatArray, newton_minimize
from entsemble.scoring.examples import ScoredSentence, TrainingExample
from entsemble.scoring.model import StackingModel
from entsemble.scoring.platt import fit_platt
from entsemble.scoring.semi_crf import SpanCrf
from entsemble.scoring.threshold import THRESHOLD_FRACTION_OF_MAX_F1, expected_max_f1, selected_mentions
from entsemble.types import LabelSet

CACHE_VERSION = "stacking/27"
"""Part of the key of a cached model; increase it whenever features, fit or the model's JSON change."""

PRIOR_PRECISION = 100.0
"""Inverse variance of the parameters around the prior's, for features of variance 1.

With it, forty sentences of an open corpus improve results on other sentences of the corpus and do not lower them on
another corpus. A third of it is slightly worse on the latter (`benchmarks/quality/prior_transfer.py`)."""

WEAK_PRIOR_PRECISION = 30.0
"""For pools that differ from the corpora of the pre-trained model (`benchmarks/quality/prior_strength.py`)."""

MIN_LOG_BAYES_FACTOR = math.log(20.0)
"""FeatureExtractor needed to use the weaker prior: 20:1, "strong" by R. E. Kass and A. E. Raftery (1995)."""

_FOLDS = 5
_MIN_TARGETS = 10
"""Correct, and incorrect, pairs of candidate and label that are needed to fit a model."""


@dataclass(frozen=True, slots=True)
class MapFit:
    """A fitted model.

    Attributes:
        model: the maximum a posteriori estimate.
        log_evidence: log marginal likelihood of the examples by Laplace's approximation (D. J. C. MacKay, 1992); it
            compares fits to the same examples with priors of different precision.
    """

    model: StackingModel
    log_evidence: float


@dataclass(frozen=True, slots=True)
class Design:
    """All examples as arrays; a row is a pair of candidate and label.

    Attributes:
        matrix: [rows, features + 1], standardised features and a column of 1.
        targets: [rows], how much of its candidate a label has: 1 for an annotated label, shared where several are.
        first_rows: [candidates], the first row of each candidate.
        label_counts: [candidates], the number of rows of each candidate.
        sentence_ends: [sentences - 1], the number of candidates up to the end of each sentence but the last.
        span_crfs: of each sentence.
        enclosed_count: annotated candidates within another annotated candidate.
    """

    matrix: FloatArray
    targets: FloatArray
    first_rows: npt.NDArray[np.int_]
    label_counts: Sequence[int]
    sentence_ends: npt.NDArray[np.int_]
    span_crfs: Sequence[SpanCrf]
    enclosed_count: int

    @classmethod
    def from_examples(cls, examples: Sequence[TrainingExample], model: StackingModel) -> Design:
        """The examples, standardised by the model.

        Args:
            examples: at least one; each has candidates.
            model: its means and scales standardise the features.
        """
        features = [candidate for example in examples for candidate in example.features]
        targets = [candidate for example in examples for candidate in example.targets]
        label_counts = [len(candidate) for candidate in features]
        return cls(
            matrix=model.standardise(np.concatenate(features)),
            targets=np.concatenate([candidate / max(1.0, candidate.sum()) for candidate in targets]),
            first_rows=np.cumsum([0, *label_counts[:-1]]),
            label_counts=label_counts,
            sentence_ends=np.cumsum([len(example.features) for example in examples])[:-1],
            span_crfs=[example.span_crf for example in examples],
            enclosed_count=sum(example.enclosed_count for example in examples),
        )


def fit_model(
    sentences: Sequence[ScoredSentence], labels: LabelSet, prior: StackingModel, precision: float | None = None
) -> StackingModel | None:
    """Fit a model, its threshold and its calibration; `None` for too few sentences, or too few correct or wrong pairs.

    Threshold and calibration come from the predictions of cross-validation, so that they are not of fitted sentences.

    Args:
        sentences: answered sentences of the pool.
        labels: in the order of the features.
        prior: the mean of the parameters, for the same features.
        precision: of the prior; chosen by `choose_prior_precision` if not given.
    """
    examples = [sentence.to_example(labels) for sentence in sentences]
    targets = np.concatenate([np.empty(0), *(candidate for example in examples for candidate in example.targets)])
    if len(sentences) < _FOLDS or min(targets.sum(), (1 - targets).sum()) < _MIN_TARGETS:
        return None
    precision = precision or choose_prior_precision(examples, prior)
    probabilities = _cross_validated_probabilities(examples, prior, precision)
    min_probability = THRESHOLD_FRACTION_OF_MAX_F1 * expected_max_f1(sentences, probabilities, labels)
    mentions = [
        (probability, is_correct)
        for probability, is_correct in selected_mentions(sentences, probabilities, labels)
        if probability >= min_probability
    ]
    calibration = fit_platt(
        [probability for probability, _ in mentions], [is_correct for _, is_correct in mentions], prior.calibration
    )
    return replace(
        fit_map(examples, prior, precision).model,
        threshold=calibration.calibrate(min_probability),
        training_sentences=len(sentences),
        calibration=calibration,
    )


def _cross_validated_probabilities(
    examples: Sequence[TrainingExample], prior: StackingModel, precision: float
) -> list[list[FloatArray]]:
    """The prediction for each example by a model that was fitted to the other folds."""
    models = [
        fit_map([example for index, example in enumerate(examples) if index % _FOLDS != fold], prior, precision).model
        for fold in range(_FOLDS)
    ]
    return [
        models[index % _FOLDS].predict(example.features, example.span_crf) for index, example in enumerate(examples)
    ]


def choose_prior_precision(examples: Sequence[TrainingExample], prior: StackingModel) -> float:
    """The weak prior's precision where there is strong evidence for it, else `PRIOR_PRECISION`."""
    is_weak = log_bayes_factor(examples, prior) > MIN_LOG_BAYES_FACTOR
    return WEAK_PRIOR_PRECISION if is_weak else PRIOR_PRECISION


def log_bayes_factor(examples: Sequence[TrainingExample], prior: StackingModel) -> float:
    """The log evidence for the weak prior minus that for the usual one."""
    weak, usual = (
        fit_map(examples, prior, precision).log_evidence for precision in (WEAK_PRIOR_PRECISION, PRIOR_PRECISION)
    )
    return weak - usual


def fit_map(examples: Sequence[TrainingExample], prior: StackingModel, precision: float) -> MapFit:
    """MAP fit of a conditional logit whose partition function sums over compatible sets of candidates.

    Args:
        examples: for none, or none with candidates, the fit is the prior.
        prior: the mean of the parameters; its means and scales standardise the features.
        precision: the inverse variance of the parameters around the prior's.
    """
    examples = [example for example in examples if example.features]
    if not examples:
        return MapFit(prior, 0.0)
    design = Design.from_examples(examples, prior)
    prior_mean = prior.to_vector()
    objective = partial(_negative_log_posterior, design=design, prior_mean=prior_mean, precision=precision)
    parameters, loss, hessian = newton_minimize(objective, prior_mean)
    return MapFit(prior.with_vector(parameters), _laplace_log_evidence(loss, hessian, precision))


def _negative_log_posterior(
    parameters: FloatArray, design: Design, prior_mean: FloatArray, precision: float
) -> tuple[float, FloatArray, FloatArray]:
    """The loss, its gradient and an approximate Hessian.

    The Hessian is that of spans that exclude none: its Newton steps are now and then too long, and are then halved.

    Args:
        parameters: [features + 2], see `StackingModel.to_vector`.
        design: the examples.
        prior_mean: [features + 2].
        precision: of the prior.

    Returns:
        The loss, up to a constant; the gradient [features + 2]; the Hessian [features + 2, features + 2].
    """
    nesting_log_potential = parameters[-1]
    utilities = design.matrix @ parameters[:-1]
    log_potentials = np.logaddexp.reduceat(utilities, design.first_rows)
    marginals = [
        span_crf.marginals(sentence_potentials.tolist(), float(nesting_log_potential))
        for span_crf, sentence_potentials in zip(
            design.span_crfs, np.split(log_potentials, design.sentence_ends), strict=True
        )
    ]
    selected = np.concatenate([sentence.selected for sentence in marginals])
    enclosed = np.concatenate([sentence.enclosed for sentence in marginals])
    label_shares = np.exp(utilities - np.repeat(log_potentials, design.label_counts))
    probabilities = label_shares * np.repeat(selected, design.label_counts)
    deviation = parameters - prior_mean

    log_partition = sum(sentence.log_partition for sentence in marginals)
    log_score = design.targets @ utilities
    penalty = precision * deviation @ deviation / 2
    loss = log_partition - log_score - nesting_log_potential * design.enclosed_count + penalty

    feature_gradient = design.matrix.T @ (probabilities - design.targets)
    gradient = np.append(feature_gradient, enclosed.sum() - design.enclosed_count) + precision * deviation

    enclosed_share = np.divide(enclosed, selected, out=np.zeros_like(selected), where=selected > 0)
    matrix = np.column_stack([design.matrix, np.repeat(enclosed_share, design.label_counts)])
    weighted = matrix * probabilities[:, None]
    expected = np.add.reduceat(weighted, design.first_rows)
    hessian = weighted.T @ matrix - expected.T @ expected + precision * np.eye(len(parameters))
    return float(loss), gradient, hessian


def _laplace_log_evidence(loss: float, hessian: FloatArray, precision: float) -> float:
    """Log marginal likelihood by Laplace's approximation at the MAP estimate.

    Args:
        loss: the negative log posterior there, up to its constant.
        hessian: [parameters, parameters], there.
        precision: of the prior.
    """
    log_determinant = float(np.linalg.slogdet(hessian)[1])
    return (len(hessian) * math.log(precision) - log_determinant) / 2 - loss
