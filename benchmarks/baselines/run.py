"""A CRF trained on the pool of each quality benchmark, on the sentences that `benchmarks.quality.run` scores.

    python -m benchmarks.baselines.run [--only conll2003,wnut17] [--again]

Needs the corpora and python-crfsuite. The pool is the training file, as it is for the default; the scored sentences are
those of the committed report (the larger sample where there is one), so that the two are compared in pairs. Pools of 10
to 100 sentences are those of `benchmarks.quality.curve`. Seed 0 everywhere; training is deterministic.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from benchmarks.baselines.crf import CrfTagger
from benchmarks.common import ROOT, corpora, run_once
from benchmarks.quality import curve
from benchmarks.quality.run import CORPORA, Corpus
from benchmarks.quality.run import RESULTS as REPORTS
from entsemble.data.formats import read
from entsemble.types import Document

RESULTS = ROOT / "benchmarks" / "baselines" / "results"
COMMAND = "python -m benchmarks.baselines.run --only {}"


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", help="corpora, separated by commas")
    parser.add_argument("--again", action="store_true", help="measure again what has been measured")
    options = parser.parse_args()
    selected = options.only.split(",") if options.only else [corpus.name for corpus in CORPORA]
    for corpus in CORPORA:
        if corpus.name in selected:
            file = RESULTS / "crf" / f"{corpus.name}.json"
            run_once(file, COMMAND.format(corpus.name), partial(measure, corpus), again=options.again)
            print(f"{corpus.name}: done", flush=True)
    for size in curve.SIZES if "conll2003" in selected else ():
        file = RESULTS / "crf-curve" / f"conll2003-{size}.json"
        run_once(file, COMMAND.format("conll2003"), partial(measure_small_pool, "conll2003", size), again=options.again)


def measure(corpus: Corpus) -> dict[str, Any]:
    """Train on the whole pool; exact counts of each scored document."""
    report = reference_report(corpus)
    scored_ids = list(report["documents"])
    by_id = {document.id: document for document in read(corpora() / corpus.gold)}
    scored = [by_id[name] for name in scored_ids]
    texts = {document.text for document in scored}
    pool = [
        document for document in read(corpora() / corpus.pool) if document.text.strip() and document.text not in texts
    ]
    return {"corpus": corpus.name, "pool": len(pool), **tagged(pool, scored)}


def measure_small_pool(corpus: str, size: int) -> dict[str, Any]:
    """Train on a small pool of `benchmarks.quality.curve`; exact counts of each scored document, in its order."""
    pool, scored = curve.drawn(corpus)
    return {"corpus": corpus, "pool": size, **tagged(pool[:size], scored)}


def tagged(pool: Sequence[Document], scored: Sequence[Document]) -> dict[str, Any]:
    """Counts (true positives, false positives, false negatives) by document, and seconds."""
    began = time.perf_counter()
    tagger = CrfTagger(pool)
    trained = time.perf_counter()
    counts = {document.id: exact_counts(document, tagger.predict(document)) for document in scored}
    ended = time.perf_counter()
    return {"training_seconds": trained - began, "seconds": ended - trained, "documents": counts}


def exact_counts(gold: Document, predicted: Sequence[Any]) -> tuple[int, int, int]:
    """True positives, false positives and false negatives of exact, typed mentions."""
    gold_keys = {(m.start, m.end, m.label) for m in gold.mentions}
    predicted_keys = {(m.start, m.end, m.label) for m in predicted}
    correct = len(gold_keys & predicted_keys)
    return correct, len(predicted_keys) - correct, len(gold_keys) - correct


def reference_report(corpus: Corpus) -> dict[str, Any]:
    """The committed report of the default on this corpus, the larger sample where there is one."""
    places = (REPORTS / "larger", REPORTS, REPORTS / "languages")
    file = next(folder / f"{corpus.name}.json" for folder in places if (folder / f"{corpus.name}.json").exists())
    report: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["report"]
    return report


if __name__ == "__main__":
    main()
