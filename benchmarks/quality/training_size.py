"""How many sentences of a pool the scorer should be trained on.

    python -m benchmarks.quality.training_size [--only genia]

Sentences of a corpus' training file are answered as an ensemble answers its pool for training. Random samples of them
are the training sentences, and others are scored, in many repetitions. No sentence that `run.py` scores takes part, and
the pre-trained scorer is of other corpora. Needs the corpora; replies are cached, so that an interrupted benchmark
resumes. Means over all repetitions are written to `results/training_size/<corpus>.json`; `table.py` makes a table of
them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np
from tools.release.scorer import ScoredCorpus

from benchmarks.common import ENGINE, ROOT, corpora_folder, parse_corpora, run_missing, with_fastest_engine
from benchmarks.quality.corpora import LARGE_CORPORA, corpus_named
from benchmarks.quality.pretrained import predicted_mentions
from benchmarks.quality.prior_transfer import corpus_f1
from entsemble.assembly import Assembly
from entsemble.assembly.progress import ProgressCallbacks
from entsemble.assembly.stacking import proposes_capitalised, score_sentences, training_order
from entsemble.evaluation.calibration import measure_reliability
from entsemble.execution.threads import LocalMapper
from entsemble.scoring.fit import fit_model
from entsemble.scoring.model import StackingModel
from entsemble.scoring.pretrained import load_pretrained
from entsemble.settings import environment, load

RESULTS = ROOT / "benchmarks" / "quality" / "results" / "training_size"
ANSWERED, SCORED = 120, 40
TRAINING_SIZES = (0, 20, 40, 60, 80)
REPETITIONS = 40
METRICS = ("f1", "calibration_error", "log_loss")
_MIN_PROBABILITY = 1e-9


def main() -> None:
    """Measure what is missing."""
    names = parse_corpora(__doc__, LARGE_CORPORA)
    command = "python -m benchmarks.quality.training_size --only {}"
    run_missing(RESULTS, names, command, measure, {"engine": ENGINE})


def measure(name: str) -> Mapping[str, Any]:
    """Means over the repetitions for each number of training sentences."""
    corpus, prior = answer_training_file(name, ANSWERED)
    by_size: dict[int, list[tuple[float, float, float]]] = {size: [] for size in TRAINING_SIZES}
    for seed in range(REPETITIONS):
        shuffled = random.Random(seed).sample(corpus.sentences, len(corpus.sentences))
        scored = replace(corpus, sentences=shuffled[:SCORED])
        for size in TRAINING_SIZES:
            model = fit_model(shuffled[SCORED : SCORED + size], corpus.labels, prior) if size else None
            by_size[size].append(score(model or prior, scored))
    means = {size: np.mean(rows, axis=0).round(4).tolist() for size, rows in by_size.items()}
    return {
        "corpus": name,
        "pool": corpus.pool_size,
        "answered": len(corpus.sentences),
        "scored": SCORED,
        "repetitions": REPETITIONS,
        "means": {str(size): dict(zip(METRICS, row, strict=True)) for size, row in means.items()},
    }


def answer_training_file(name: str, count: int) -> tuple[ScoredCorpus, StackingModel]:
    """Sentences of a training file, answered without those around them, and the pre-trained scorer."""
    overrides = {"pool": {"path": corpora_folder() / corpus_named(name).train}, "stacking": {"sentences": 0}}
    settings = with_fastest_engine(load(preset="balanced", overrides=overrides))
    with Assembly(settings, environment(), ProgressCallbacks()) as assembly:
        documents = assembly.pool.documents()
        pipeline = assembly.extractor().pipeline
        with_capitalised = proposes_capitalised(settings, documents)
        feature_names = assembly.pool.feature_extractor(pipeline, assembly.pool.leakage_guard(documents)).feature_names
        indices = training_order(settings, documents)[:count]
        voices = assembly.voices(documents, pipeline.labels, pipeline.rules)
        training = assembly.training_sentences(pipeline, documents, indices, voices, with_capitalised=with_capitalised)
        mapper = LocalMapper(assembly.models.worker_count())
        sentences, errors = score_sentences(training, mapper, ProgressCallbacks())
    if errors:
        raise errors[0]
    corpus = ScoredCorpus(name, len(documents), sentences, feature_names, pipeline.labels)
    return corpus, load_pretrained(with_members=True).for_features(feature_names, proposes_capitalised=with_capitalised)


def score(model: StackingModel, corpus: ScoredCorpus) -> tuple[float, float, float]:
    """Exact F1, expected calibration error of the mentions, and mean log loss of the candidates."""
    losses = [*chain.from_iterable(log_losses(model, corpus))]
    return corpus_f1(model, corpus), calibration_error(scored_mentions(model, corpus)), float(np.mean(losses))


def scored_mentions(model: StackingModel, corpus: ScoredCorpus) -> list[tuple[float, bool]]:
    """The score of each predicted mention, and whether it is correct."""
    predicted = predicted_mentions(model, corpus, model.threshold)
    return [
        (mention.score or 0.0, (mention.start, mention.end, mention.label) in sentence.gold)
        for sentence, mentions in zip(corpus.sentences, predicted, strict=True)
        for mention in mentions
    ]


def calibration_error(mentions: Sequence[tuple[float, bool]]) -> float:
    """The expected calibration error of `scored_mentions`."""
    return measure_reliability([score for score, _ in mentions], [is_correct for _, is_correct in mentions]).ece


def log_losses(model: StackingModel, corpus: ScoredCorpus) -> list[list[float]]:
    """For each sentence, the log loss of each candidate's label, or of its being no entity."""
    return [
        [
            -math.log(max(_MIN_PROBABILITY, labels @ target if target.any() else 1 - labels.sum()))
            for labels, target in zip(probabilities, sentence.targets(corpus.labels), strict=True)
        ]
        for probabilities, sentence in zip(corpus.predict(model), corpus.sentences, strict=True)
    ]


if __name__ == "__main__":
    main()
