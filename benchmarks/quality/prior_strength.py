"""Whether the prior of the scorer should be weaker for pools that differ from the pre-training corpora.

    python -m benchmarks.quality.prior_strength [--only genia]

Sentences of a corpus' training file are answered as an ensemble answers its pool for training (`training_size.py`), and
the scorer is cross-validated on them, over many partitions: with the usual prior, with the weak one, and with the one
that the training folds give evidence for. No sentence that `run.py` scores takes part, and the pre-trained scorer is of
other corpora. Needs the corpora; replies are cached, so that an interrupted benchmark resumes. Results are written to
`results/prior_strength/<corpus>.json`, and `table.py` makes a table of them.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats
from tools.release.scorer import ScoredCorpus

from benchmarks.common import ENGINE, ROOT, parse_corpora, run_missing
from benchmarks.quality.corpora import LARGE_CORPORA
from benchmarks.quality.prior_transfer import corpus_f1
from benchmarks.quality.training_size import (
    answer_training_file,
    calibration_error,
    log_losses,
    scored_mentions,
)
from entsemble.scoring.fit import (
    MIN_LOG_BAYES_FACTOR,
    PRIOR_PRECISION,
    WEAK_PRIOR_PRECISION,
    fit_model,
    log_bayes_factor,
)
from entsemble.scoring.model import StackingModel

RESULTS = ROOT / "benchmarks" / "quality" / "results" / "prior_strength"
CORPORA = (*LARGE_CORPORA, "crossner-politics", "crossner-science")
ANSWERED, FOLDS, PARTITIONS = 80, 5, 6
USUAL = str(int(PRIOR_PRECISION))
PRECISIONS: Mapping[str, float | None] = {
    USUAL: PRIOR_PRECISION,
    str(int(WEAK_PRIOR_PRECISION)): WEAK_PRIOR_PRECISION,
    "by evidence": None,
}
RESAMPLES = 9999


def main() -> None:
    """Measure what is missing."""
    names = parse_corpora(__doc__, CORPORA)
    command = "python -m benchmarks.quality.prior_strength --only {}"
    run_missing(RESULTS, names, command, measure, {"engine": ENGINE})


def measure(name: str) -> Mapping[str, Any]:
    """Results of each precision, with the log loss of each sentence compared with the usual one, in pairs."""
    corpus, prior = answer_training_file(name, ANSWERED)
    results = {
        precision_name: cross_validate(corpus, prior, precision) for precision_name, precision in PRECISIONS.items()
    }
    usual_losses = results[USUAL][0]
    return {
        "corpus": name,
        "answered": len(corpus.sentences),
        "log_bayes_factor": round(log_bayes_factor(corpus.examples, prior), 2),
        "min_log_bayes_factor": round(MIN_LOG_BAYES_FACTOR, 2),
        "precisions": {
            precision_name: {**means, "log_loss": round(float(losses.mean()), 4), **compare(losses - usual_losses)}
            for precision_name, (losses, means) in results.items()
        },
    }


def cross_validate(
    corpus: ScoredCorpus, prior: StackingModel, precision: float | None
) -> tuple[npt.NDArray[np.float64], dict[str, float]]:
    """Train on four folds and score the fifth, for each fold of each partition.

    Args:
        corpus: the answered sentences.
        prior: the pre-trained scorer.
        precision: of the prior; `None` chooses it by the evidence of the training folds.

    Returns:
        [sentences], the mean log loss of each; and the mean F1 of the folds with the calibration error of all.
    """
    size = len(corpus.sentences)
    losses, mentions, f1_scores = np.zeros(size), [], []
    for partition in range(PARTITIONS):
        shuffled = random.Random(partition).sample(range(size), size)
        for fold in range(FOLDS):
            fold_indices = shuffled[fold::FOLDS]
            scored = replace(corpus, sentences=[corpus.sentences[index] for index in fold_indices])
            training = [corpus.sentences[index] for index in shuffled if index not in fold_indices]
            model = fit_model(training, corpus.labels, prior, precision) or prior
            losses[fold_indices] += [sum(candidates) / PARTITIONS for candidates in log_losses(model, scored)]
            f1_scores.append(corpus_f1(model, scored))
            mentions += scored_mentions(model, scored)
    means = {"f1": float(np.mean(f1_scores)), "calibration_error": calibration_error(mentions)}
    return losses, {name: round(value, 4) for name, value in means.items()}


def compare(differences: npt.NDArray[np.float64]) -> dict[str, object]:
    """The mean of a difference of losses, its bootstrap interval, and the p-value of a permutation test.

    Args:
        differences: [sentences].
    """
    if not differences.any():
        return {"difference": 0.0, "ci95": [0.0, 0.0], "p_value": 1.0}
    bootstrap = stats.bootstrap((differences,), np.mean, n_resamples=RESAMPLES, method="percentile", random_state=0)
    test = stats.permutation_test(
        (differences, np.zeros_like(differences)),
        lambda first, second, axis: (first - second).mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        random_state=0,
    )
    return {
        "difference": round(float(differences.mean()), 4),
        "ci95": [round(float(end), 4) for end in bootstrap.confidence_interval],
        "p_value": round(float(test.pvalue), 4),
    }


if __name__ == "__main__":
    main()
