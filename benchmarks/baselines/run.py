"""A CRF and spaCy trained on the pool of each quality benchmark, on the sentences that `benchmarks.quality.run` scores.

    python -m benchmarks.baselines.run [--only conll2003,wnut17] [--systems crf,spacy] [--again]

Needs the corpora, python-crfsuite and spaCy. The pool is the training file, as it is for the default; the scored
sentences are those of the committed report (the larger sample where there is one), so that the two are compared in
pairs. Pools of 10 to 100 sentences are those of `benchmarks.quality.curve`. Seed 0 everywhere.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from benchmarks.baselines.crf import CrfTagger
from benchmarks.baselines.spacy_ner import SpacyTagger
from benchmarks.common import ROOT, corpora_folder, read_sentences, run_once
from benchmarks.quality import curve
from benchmarks.quality.corpora import CORPORA, Corpus
from benchmarks.quality.run import RESULTS as REPORTS
from entsemble.data.formats import read
from entsemble.types import Document

RESULTS = ROOT / "benchmarks" / "baselines" / "results"
COMMAND = "python -m benchmarks.baselines.run --only {} --systems {}"
SYSTEMS: dict[str, Callable[[Sequence[Document]], CrfTagger | SpacyTagger]] = {"crf": CrfTagger, "spacy": SpacyTagger}


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", help="corpora, separated by commas")
    parser.add_argument("--systems", default=",".join(SYSTEMS), help="systems, separated by commas")
    parser.add_argument("--again", action="store_true", help="measure again what has been measured")
    options = parser.parse_args()
    selected = options.only.split(",") if options.only else [corpus.name for corpus in CORPORA]
    for system in options.systems.split(","):
        for corpus in CORPORA:
            if corpus.name in selected:
                file = RESULTS / system / f"{corpus.name}.json"
                command = COMMAND.format(corpus.name, system)
                run_once(file, command, partial(measure, system, corpus), force=options.again)
                print(f"{system}, {corpus.name}: done", flush=True)
        for size in curve.SIZES if "conll2003" in selected else ():
            file = RESULTS / f"{system}-curve" / f"conll2003-{size}.json"
            command = COMMAND.format("conll2003", system)
            run_once(file, command, partial(measure_small_pool, system, "conll2003", size), force=options.again)


def measure(system: str, corpus: Corpus) -> dict[str, Any]:
    """Train on the whole pool; exact counts of each scored document."""
    report = reference_report(corpus)
    by_id = {document.id: document for document in read(corpora_folder() / corpus.dev)}
    scored = [by_id[name] for name in report["documents"]]
    texts = {document.text for document in scored}
    train = read_sentences(corpus.train)
    pool = [document for document in train if document.text not in texts]
    return {"corpus": corpus.name, "pool": len(pool), **evaluate_tagger(system, pool, scored)}


def measure_small_pool(system: str, corpus: str, size: int) -> dict[str, Any]:
    """Train on a small pool of `benchmarks.quality.curve`; exact counts of each scored document, in its order."""
    pool, scored = curve.sample_corpus(corpus)
    return {"corpus": corpus, "pool": size, **evaluate_tagger(system, pool[:size], scored)}


def evaluate_tagger(system: str, pool: Sequence[Document], scored: Sequence[Document]) -> dict[str, Any]:
    """Counts (true positives, false positives, false negatives) by document, and seconds."""
    began = time.perf_counter()
    tagger = SYSTEMS[system](pool)
    trained = time.perf_counter()
    counts = {document.id: exact_counts(document, tagger.predict(document)) for document in scored}
    return {"training_seconds": trained - began, "seconds": time.perf_counter() - trained, "documents": counts}


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
