"""Whether a pool that is unlike what other corpora taught should be held to that less.

    python -m benchmarks.quality.ridges [--only genia]

Sentences of a corpus' training file are answered as an ensemble that learns answers its pool (`teaching.py`). Four
fifths of them teach and the last is scored, each fifth in its turn, of many partitions: with the one ridge, with the
loose one, and with that which those that teach give evidence for. Nothing here has seen a sentence that `run.py`
reports on, nor has what is believed before. Needs the corpora; replies are kept, so that what was stopped goes on where
it was. It goes to `results/ridges/<corpus>.json`, and `table.py` makes a table of it.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import stats
from tools.release.scorer import Taught

from benchmarks.common import ENGINE, ROOT, run_missing
from benchmarks.quality.strange import f1
from benchmarks.quality.teaching import LARGE, answered, calibration_error, log_losses, rated
from entsemble.scoring.fit import (
    MIN_LOG_BAYES_FACTOR,
    PRIOR_PRECISION,
    WEAK_PRIOR_PRECISION,
    fit_model,
    log_bayes_factor,
)
from entsemble.scoring.model import StackingModel

RESULTS = ROOT / "benchmarks" / "quality" / "results" / "ridges"
CORPORA = (*LARGE, "crossner-politics", "crossner-science")
ANSWERED, FOLDS, PARTITIONS = 80, 5, 6
RIDGES: Mapping[str, float | None] = {
    str(int(PRIOR_PRECISION)): PRIOR_PRECISION,
    str(int(WEAK_PRIOR_PRECISION)): WEAK_PRIOR_PRECISION,
    "by evidence": None,
}
RESAMPLES = 9999


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", help="corpora, separated by commas")
    given = parser.parse_args()
    wanted = given.only.split(",") if given.only else CORPORA
    run_missing(RESULTS, wanted, "python -m benchmarks.quality.ridges --only {}", measure, {"engine": ENGINE})


def measure(corpus: str) -> Mapping[str, Any]:
    """What each ridge gives, and the loss of a sentence beside that of the first, in pairs."""
    taught, prior = answered(corpus, ANSWERED)
    found = {name: judged(taught, prior, ridge) for name, ridge in RIDGES.items()}
    first = found[str(int(PRIOR_PRECISION))][0]
    return {
        "corpus": corpus,
        "answered": len(taught.answered),
        "log_bayes_factor": round(log_bayes_factor(taught.lessons, prior), 2),
        "strong": round(MIN_LOG_BAYES_FACTOR, 2),
        "ridges": {
            name: {**means, "log_loss": round(float(losses.mean()), 4), **beside(losses - first)}
            for name, (losses, means) in found.items()
        },
    }


def judged(taught: Taught, prior: StackingModel, ridge: float | None) -> tuple[np.ndarray, dict[str, float]]:
    """[sentences], the log loss of each, the mean of the partitions; mean F1 of the fifths, and the error of all."""
    size = len(taught.answered)
    losses, told, scores = np.zeros(size), [], []
    for partition in range(PARTITIONS):
        mixed = random.Random(partition).sample(range(size), size)
        for fold in range(FOLDS):
            asked = mixed[fold::FOLDS]
            scored = replace(taught, answered=[taught.answered[i] for i in asked])
            teaching = [taught.answered[i] for i in mixed if i not in asked]
            weights = fit_model(teaching, taught.labels, prior, ridge) or prior
            losses[asked] += [sum(own) / PARTITIONS for own in log_losses(weights, scored)]
            scores.append(f1(weights, scored))
            told += rated(weights, scored)
    return losses, {"f1": round(float(np.mean(scores)), 4), "calibration_error": round(calibration_error(told), 4)}


def beside(difference: np.ndarray) -> dict[str, object]:
    """Of a loss' difference, sentence by sentence: its mean, the interval by bootstrap, and p of a permutation test."""
    if not difference.any():
        return {"difference": 0.0, "ci95": [0.0, 0.0], "p_value": 1.0}
    told = (difference,)
    drawn = stats.bootstrap(told, np.mean, n_resamples=RESAMPLES, method="percentile", random_state=0)
    tested = stats.permutation_test(
        (difference, np.zeros_like(difference)),
        lambda one, other, axis: (one - other).mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        random_state=0,
    )
    return {
        "difference": round(float(difference.mean()), 4),
        "ci95": [round(float(x), 4) for x in drawn.confidence_interval],
        "p_value": round(float(tested.pvalue), 4),
    }


if __name__ == "__main__":
    main()
