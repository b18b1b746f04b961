"""How many sentences of a pool should teach what the votes are worth.

    python -m benchmarks.quality.teaching [--only genia]

Sentences of a corpus' training file are answered as an ensemble that learns answers its pool. Of them, some that are
drawn at random teach, and others are scored, in many draws. Nothing here has seen a sentence that `run.py` reports on,
nor has what is believed before, which other corpora taught. Needs the corpora; replies are kept, so that what was
stopped goes on where it was. The means over all draws go to `results/teaching/<corpus>.json`, and `table.py` makes a
table of them.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from tools.release.scorer import Taught, found_by, scored_by

from benchmarks.common import ENGINE, ROOT, corpora_folder, run_missing, with_fastest_engine
from benchmarks.quality.compare import TRAIN
from benchmarks.quality.run import CORPORA
from benchmarks.quality.strange import f1
from entsemble.assembly import Assembly
from entsemble.assembly.progress import ProgressCallbacks
from entsemble.assembly.stacking import proposes_capitalised, score_sentences, training_order
from entsemble.evaluation.calibration import measure_reliability
from entsemble.execution.threads import LocalMapper
from entsemble.scoring.fit import fit_model
from entsemble.scoring.model import StackingModel
from entsemble.scoring.pretrained import load_pretrained
from entsemble.settings import environment, load

RESULTS = ROOT / "benchmarks" / "quality" / "results" / "teaching"
ANSWERED, SCORED = 120, 40
TEACHING = (0, 20, 40, 60, 80)
DRAWS = 40
LARGE = tuple(c.name for c in CORPORA if c.name in TRAIN and not c.name.startswith("crossner-"))
"""Corpora with so many training sentences."""


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", help="corpora, separated by commas")
    given = parser.parse_args()
    wanted = given.only.split(",") if given.only else LARGE
    run_missing(RESULTS, wanted, "python -m benchmarks.quality.teaching --only {}", measure, {"engine": ENGINE})


def measure(corpus: str) -> Mapping[str, Any]:
    """Means over the draws, for each number of sentences that teach."""
    taught, prior = answered(corpus, ANSWERED)
    found: dict[int, list[tuple[float, float, float]]] = {n: [] for n in TEACHING}
    for draw in range(DRAWS):
        mixed = random.Random(draw).sample(taught.answered, len(taught.answered))
        scored = Taught(taught.name, taught.pool, mixed[:SCORED], taught.columns, taught.labels)
        for n in TEACHING:
            weights = fit_model(mixed[SCORED : SCORED + n], taught.labels, prior) if n else prior
            found[n].append(judged(weights or prior, scored))
    means = {n: np.mean(rows, axis=0).round(4).tolist() for n, rows in found.items()}
    names = "f1", "calibration_error", "log_loss"
    return {
        "corpus": corpus,
        "pool": taught.pool,
        "answered": len(taught.answered),
        "scored": SCORED,
        "draws": DRAWS,
        "means": {str(n): dict(zip(names, row, strict=True)) for n, row in means.items()},
    }


def answered(corpus: str, count: int) -> tuple[Taught, StackingModel]:
    """So many sentences of a training file, each answered without what is around it, and what is believed before."""
    overrides = {"pool": {"path": corpora_folder() / TRAIN[corpus]}, "stacking": {"sentences": 0}}
    settings = with_fastest_engine(load(overrides=overrides))
    with Assembly(settings, environment(), ProgressCallbacks()) as assembly:
        documents = assembly.pool.documents()
        pipeline = assembly.extractor().pipeline
        looked = proposes_capitalised(settings, documents)
        columns = assembly.pool.feature_extractor(pipeline, documents).feature_names
        drawn = training_order(settings, documents)[:count]
        questions = assembly.training_sentences(pipeline, documents, drawn, with_capitalised=looked)
        told, failed = score_sentences(questions, LocalMapper(assembly.models.worker_count()), ProgressCallbacks())
    if failed:
        raise failed[0]
    return Taught(corpus, len(documents), told, columns, pipeline.labels), load_pretrained().for_features(
        columns, proposes_capitalised=looked
    )


def judged(weights: StackingModel, scored: Taught) -> tuple[float, float, float]:
    """Exact F1, expected calibration error of what is found, and the loss of a candidate."""
    every = [*chain.from_iterable(log_losses(weights, scored))]
    return f1(weights, scored), calibration_error(rated(weights, scored)), float(np.mean(every))


def rated(weights: StackingModel, scored: Taught) -> list[tuple[float, bool]]:
    """Of each mention that is found, its score, and whether it is right."""
    found = found_by(weights, scored, weights.threshold)
    gold = ({(m.start, m.end, m.label) for m in a.document.mentions} for a in scored.answered)
    return [(m.score or 0.0, (m.start, m.end, m.label) in own) for own, ms in zip(gold, found, strict=True) for m in ms]


def calibration_error(told: Sequence[tuple[float, bool]]) -> float:
    """Expected, of what `rated` told."""
    return measure_reliability([score for score, _ in told], [right for _, right in told]).ece


def log_losses(weights: StackingModel, scored: Taught) -> list[list[float]]:
    """Of each sentence, each candidate's, being what it is: one of the labels, or no entity."""
    return [
        [
            -math.log(max(1e-9, p @ r if r.any() else 1 - p.sum()))
            for p, r in zip(own, a.targets(scored.labels), strict=True)
        ]
        for own, a in zip(scored_by(weights, scored), scored.answered, strict=True)
    ]


if __name__ == "__main__":
    main()
