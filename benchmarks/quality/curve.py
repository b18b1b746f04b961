"""F1 by the size of the pool: the presets `balanced` and `instant` with pools of 10 to 100 sentences.

    python -m benchmarks.quality.curve [--only conll2003,wnut17]

Pools are sampled from the training file of a corpus, the smaller ones as parts of the larger ones; the scored sentences
are sampled from its development file, which has other documents. Nothing is chosen on them. The fastest engine of the
machine (`common.ENGINE`) runs the members. Counts are written to `results/curve/<corpus>/<size>.json`, and those of
`instant` to `results/curve-instant`. Stored results are not measured again, so that an interrupted benchmark resumes.
`benchmarks.peers.curve` measures peers on the same.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import partial
from typing import Any

from benchmarks.common import ENGINE, parse_corpora, read_sentences, run_once
from benchmarks.quality.compare import RESULTS, measure
from benchmarks.quality.corpora import corpus_named
from entsemble.types import Document

SIZES = (10, 25, 50, 100)
SENTENCES = 60
SEED = 0
DEFAULT = {"pool": {"gazetteer": 2}, "stacking": {"sentences": None}}
"""Turns on what `measure` turns off."""

INSTANT: Mapping[str, Any] = {**DEFAULT, "members": [], "voices": [{"model": "label-reader"}, {"model": "tagger"}]}
"""The preset `instant`."""


def main() -> None:
    """Measure what is missing."""
    for corpus in parse_corpora(__doc__, ["conll2003"]):
        pool, scored = sample_corpus(corpus)
        for folder, overrides in (("curve-instant", INSTANT), ("curve", DEFAULT)):
            for size in SIZES:
                file = RESULTS / folder / corpus / f"{size}.json"
                command = f"python -m benchmarks.quality.curve --only {corpus}"
                inputs = {"corpus": corpus, "pool": size, "engine": ENGINE}
                run_once(file, command, partial(_measure, pool[:size], scored, overrides), inputs)
                print(f"{folder}, {corpus}: {size} sentences: done", flush=True)


def sample_corpus(name: str) -> tuple[list[Document], list[Document]]:
    """The largest pool, and the scored sentences, which are not in it."""
    corpus = corpus_named(name)
    scored = random.Random(SEED).sample(read_sentences(corpus.dev), SENTENCES)
    scored_texts = {document.text for document in scored}
    train = [document for document in read_sentences(corpus.train) if document.text not in scored_texts]
    return random.Random(SEED).sample(train, max(SIZES)), scored


def _measure(pool: list[Document], scored: list[Document], overrides: Mapping[str, Any]) -> dict[str, object]:
    return measure(pool, scored, overrides, with_cost=False) | {"seed": SEED}


if __name__ == "__main__":
    main()
