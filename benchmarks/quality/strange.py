"""How much learning should hold on to what other corpora taught: on texts like the pool's, and on strange ones.

    python -m benchmarks.quality.strange

One of the corpora of `tools/release/scorer.py` is the training corpus, with forty of its sentences. The scorer is then
measured on the rest of that corpus and on each other corpus, which is out of domain for it. Its prior is fitted on the
corpora that are neither. No sentence that `run.py` reports on takes part. Needs the corpora; model replies are those of
`tools.release.scorer`. The mean F1 of all draws goes to `results/strange`, and `table.py` makes a table of it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from tools.release.scorer import Taught, every_corpus, found_by, learnt_of, scored_by

from benchmarks.common import ROOT, run_once
from entsemble.evaluation.counts import Counts
from entsemble.evaluation.matching import exact_counts
from entsemble.scoring.fit import fit_model
from entsemble.scoring.model import StackingModel
from entsemble.scoring.threshold import THRESHOLD_FRACTION_OF_MAX_F1, expected_max_f1

RESULT = ROOT / "benchmarks" / "quality" / "results" / "strange" / "pairs.json"
RIDGES = (10.0, 30.0, 100.0, 300.0)
TEACHING = 40
DRAWS = 3


def main() -> None:
    """Every ridge on every pair."""
    run_once(RESULT, "python -m benchmarks.quality.strange", measure, force=True)


def measure() -> dict[str, object]:
    """Mean F1 of each ridge, and of the prior alone, at home and abroad."""
    taught = every_corpus()
    home: list[list[float]] = []
    abroad: list[list[float]] = []
    for teacher in taught:
        if len(teacher.answered) <= TEACHING + 10:
            continue
        for other in taught:
            if other is not teacher and other.name == teacher.name:
                continue
            prior = believed([t for t in taught if t.name not in (teacher.name, other.name)])
            for draw in range(DRAWS):
                mixed = random.Random(draw).sample(teacher.answered, len(teacher.answered))
                asked = other if other is not teacher else replace(teacher, answered=mixed[TEACHING:])
                learnt = [fit_model(mixed[:TEACHING], teacher.labels, prior, ridge) or prior for ridge in RIDGES]
                (home if other is teacher else abroad).append([f1(w, asked) for w in (prior, *learnt)])
    names = ["untaught", *(f"{ridge:.0f}" for ridge in RIDGES)]
    told = {"like the pool's": home, "strange": abroad}
    means = {
        kind: dict(zip(names, np.mean(rows, axis=0).round(4).tolist(), strict=True)) for kind, rows in told.items()
    }
    return {"teaching": TEACHING, "pairs": {kind: len(rows) for kind, rows in told.items()}, "f1": means}


def believed(taught: Sequence[Taught]) -> StackingModel:
    """What these corpora teach, its threshold by their own sentences."""
    weights = learnt_of(taught)
    best = [expected_max_f1(t.answered, scored_by(weights, t), t.labels) for t in taught]
    return replace(weights, threshold=THRESHOLD_FRACTION_OF_MAX_F1 * float(np.mean(best)))


def f1(weights: StackingModel, taught: Taught) -> float:
    """Exact F1 on its sentences."""
    found = found_by(weights, taught, weights.threshold)
    counts = (exact_counts(a.document.mentions, own).micro for a, own in zip(taught.answered, found, strict=True))
    return sum(counts, Counts()).f1


if __name__ == "__main__":
    main()
