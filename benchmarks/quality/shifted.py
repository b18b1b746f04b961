"""F1 on texts unlike the pool: pool and scored sentences are of different sources, with the labels that both have.

    python -m benchmarks.quality.shifted

Systems: the preset `instant`; its voices with a soft vote instead of the learned scorer; a CRF trained on the pool.
Neither file of a pair was among the label reader's training texts. Counts are written to `results/shifted/<pair>.json`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from benchmarks.baselines.crf import CrfTagger
from benchmarks.common import read_sentences, run_once
from benchmarks.quality.compare import RESULTS, count_sentences
from benchmarks.quality.small_pools import answer_instantly
from entsemble.types import Document

PAIRS = {
    "btc-a-to-h": ("btc/a.conll", "btc/h.conll"),
    "politics-to-science": ("crossner/politics/train.txt", "crossner/science/dev.txt"),
    "conll2003-to-wikigold": ("conll2003-4col/train.txt", "wikigold/wikigold.conll.txt"),
    "music-to-literature": ("crossner/music/train.txt", "crossner/literature/dev.txt"),
}
"""Name -> file of the pool, file of the scored sentences."""

POOL, SCORED, SEED = 500, 200, 0
"""At most so many sentences of each file."""


def main() -> None:
    """Measure what is missing."""
    for name in PAIRS:
        run_once(RESULTS / "shifted" / f"{name}.json", "python -m benchmarks.quality.shifted", partial(measure, name))
        print(f"{name}: done", flush=True)


def measure(name: str) -> dict[str, Any]:
    """Exact counts of every scored sentence, by system.

    Args:
        name: of the pair.
    """
    pool, scored = (_sample(file, size) for file, size in zip(PAIRS[name], (POOL, SCORED), strict=True))
    shared = {m.label for d in pool for m in d.mentions} & {m.label for d in scored for m in d.mentions}
    pool, scored = _restrict(pool, shared), _restrict(scored, shared)
    crf = CrfTagger(pool)
    return {
        "pair": name,
        "labels": sorted(shared),
        "pool": len(pool),
        "seed": SEED,
        "counts": {
            "instant": count_sentences(scored, answer_instantly(pool, scored, {})),
            "soft vote": count_sentences(scored, answer_instantly(pool, scored, {"classification": {"vote": "soft"}})),
            "CRF": count_sentences(scored, [crf.predict(document) for document in scored]),
        },
    }


def _sample(file: str, size: int) -> list[Document]:
    sentences = read_sentences(file)
    return random.Random(SEED).sample(sentences, min(size, len(sentences)))


def _restrict(documents: Sequence[Document], labels: set[str]) -> list[Document]:
    return [replace(d, mentions=tuple(m for m in d.mentions if m.label in labels)) for d in documents]


if __name__ == "__main__":
    main()
