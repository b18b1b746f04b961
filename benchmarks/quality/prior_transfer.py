"""How strong the prior of the scorer should be: results in the domain of its training sentences, and in others.

    python -m benchmarks.quality.prior_transfer

Each corpus of `tools/release/scorer.toml` is the training corpus in turn, with forty of its sentences. The scorer is
measured on the rest of that corpus and on each other corpus, which is out of domain for it. Its prior is fitted to the
corpora that are neither. No sentence that `run.py` scores takes part. Needs the corpora; model replies are those of
`tools.release.scorer`. The mean F1 over all samples is written to `results/prior_transfer`; `table.py` makes a table
of it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from tools.release.scorer import ScoredCorpus, fit_to_corpora, score_corpora

from benchmarks.common import ROOT, run_once
from benchmarks.quality.pretrained import predicted_mentions
from entsemble.evaluation.counts import Counts
from entsemble.evaluation.matching import exact_counts
from entsemble.scoring.fit import fit_model
from entsemble.scoring.model import StackingModel
from entsemble.scoring.threshold import THRESHOLD_FRACTION_OF_MAX_F1

RESULT = ROOT / "benchmarks" / "quality" / "results" / "prior_transfer" / "pairs.json"
PRECISIONS = (10.0, 30.0, 100.0, 300.0)
TRAINING_SENTENCES = 40
MIN_SCORED_SENTENCES = 10
SAMPLES = 3


def main() -> None:
    """Measure all precisions on all pairs of corpora."""
    run_once(RESULT, "python -m benchmarks.quality.prior_transfer", measure, force=True)


def measure() -> dict[str, object]:
    """Mean F1 of each precision, and of the prior alone, in and out of domain."""
    corpora = score_corpora(with_members=True)
    in_domain: list[list[float]] = []
    out_of_domain: list[list[float]] = []
    for training in corpora:
        if len(training.sentences) <= TRAINING_SENTENCES + MIN_SCORED_SENTENCES:
            continue
        for target in corpora:
            if target is not training and target.name == training.name:
                continue
            prior = fit_prior([corpus for corpus in corpora if corpus.name not in (training.name, target.name)])
            rows = in_domain if target is training else out_of_domain
            rows += [_f1_by_precision(training, target, prior, seed) for seed in range(SAMPLES)]
    names = ["pre-trained", *(f"{precision:.0f}" for precision in PRECISIONS)]
    by_domain = {"in-domain": in_domain, "out-of-domain": out_of_domain}
    means = {
        domain: dict(zip(names, np.mean(rows, axis=0).round(4).tolist(), strict=True))
        for domain, rows in by_domain.items()
    }
    pairs = {domain: len(rows) for domain, rows in by_domain.items()}
    return {"training_sentences": TRAINING_SENTENCES, "pairs": pairs, "f1": means}


def _f1_by_precision(training: ScoredCorpus, target: ScoredCorpus, prior: StackingModel, seed: int) -> list[float]:
    """F1 on the target: of the prior, and of a fit to a sample of the training corpus for each precision."""
    shuffled = random.Random(seed).sample(training.sentences, len(training.sentences))
    if target is training:
        target = replace(training, sentences=shuffled[TRAINING_SENTENCES:])
    fits = [
        fit_model(shuffled[:TRAINING_SENTENCES], training.labels, prior, precision) or prior for precision in PRECISIONS
    ]
    return [corpus_f1(model, target) for model in (prior, *fits)]


def fit_prior(corpora: Sequence[ScoredCorpus]) -> StackingModel:
    """A model of some corpora, with a threshold from its own predictions on them."""
    model = fit_to_corpora(corpora)
    max_f1 = [corpus.expected_max_f1(model) for corpus in corpora]
    return replace(model, threshold=THRESHOLD_FRACTION_OF_MAX_F1 * float(np.mean(max_f1)))


def corpus_f1(model: StackingModel, corpus: ScoredCorpus) -> float:
    """Exact F1 of a model on the sentences of a corpus."""
    predicted = predicted_mentions(model, corpus, model.threshold)
    counts = (
        exact_counts(sentence.document.mentions, mentions).micro
        for sentence, mentions in zip(corpus.sentences, predicted, strict=True)
    )
    return sum(counts, Counts()).f1


if __name__ == "__main__":
    main()
