"""How the cost of a run grows: with documents, sentences in flight, members, demonstrations, labels, and length.

    python -m benchmarks.throughput.growth [--sentences 12] [--only shots]

On CoNLL-2003 (valid.txt, demonstrations from train.txt), one thing varied at a time, all else as by default. Each
setting's figures are kept in `results/growth/`, so a benchmark that was stopped goes on where it was; `table.py` makes
the table and the plot.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.common import UNCACHED_SETTINGS, corpora_folder, machine_info, source_revision
from entsemble.assembly import Assembly, without_mentions
from entsemble.data.formats import read
from entsemble.ner.documents import Extracted
from entsemble.settings import environment, load
from entsemble.types import Document, total_usage

RESULTS = Path(__file__).parent / "results" / "growth"
SEED = 0
MEMBERS = [{"model": "smollm2-135m"}, {"model": "gemma-3-270m"}]
OWN = ("LOC", "MISC", "ORG", "PER")
MORE = (
    *("animal", "award", "building", "chemical", "company", "crop", "currency", "disease", "drug", "event", "film"),
    *("food", "gene", "instrument", "language", "law", "machine", "material", "medium", "metal", "planet", "plant"),
    *("poem", "profession", "protein", "river", "ship", "vehicle"),
)
LENGTHS = {25: (15, 35), 75: (60, 90), 150: (135, 165), 300: (250, 350)}
"""Characters of a sentence, about, and what counts as that."""


def settings(what: str, value: int) -> dict[str, Any]:
    """What is set other than by default."""
    if what == "members":
        return {"members": MEMBERS[:value]}
    if what == "sentences in flight":
        return {"workers": value}
    if what == "demonstrations":
        return {"pool": {"shots": value, "max_characters": max(1, 80 * value)}}
    if what == "labels":
        return {"labels": dict.fromkeys([*OWN, *MORE][:value], "")}
    return {}


VALUES: Mapping[str, Sequence[int]] = {
    "documents": (8, 16, 32),
    "sentences in flight": (1, 2, 5, 8),
    "members": (1, 2),
    "demonstrations": (0, 2, 4, 8, 16),
    "labels": (4, 8, 16, 32),
    "characters of a sentence": tuple(LENGTHS),
}


def main() -> None:
    """Measure what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sentences", type=int, default=12)
    parser.add_argument("--only", choices=VALUES)
    given = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    for what, values in VALUES.items():
        for value in values:
            target = RESULTS / f"{what.replace(' ', '-')}-{value:03}.json"
            if not target.exists() and given.only in {None, what}:
                print(what, value, flush=True)
                target.write_text(json.dumps(measured(what, value, given.sentences), indent=1) + "\n")


def measured(what: str, value: int, sentences: int) -> dict[str, Any]:
    """What `sentences` sentences cost."""
    data = corpora_folder()
    drawn = sample(list(read(data / "conll2003-4col/valid.txt")), what, value, sentences)
    asked = settings(what, value)
    pool = {**asked.get("pool", {}), "path": data / "conll2003-4col/train.txt"}
    with Assembly(load(overrides={**asked, "pool": pool, **UNCACHED_SETTINGS}), environment()) as assembly:
        extractor = assembly.extractor()
        began = time.perf_counter()
        results = [r for r in extractor.extract(map(without_mentions, drawn)) if isinstance(r, Extracted)]
        seconds = time.perf_counter() - began
    usage = total_usage(cost for r in results for _, _, cost in r.costs)
    if len(results) < len(drawn):
        sys.exit(f"{len(drawn) - len(results)} sentences failed")
    return {
        "what": what,
        "value": value,
        "sentences": len(results),
        "seed": SEED,
        "commit": source_revision(),
        "machine": machine_info(),
        "seconds": seconds,
        "prompt_tokens_submitted": usage.prompt_tokens,
        "prompt_tokens_evaluated": usage.evaluated_tokens,
    }


def sample(documents: Sequence[Document], what: str, value: int, sentences: int) -> list[Document]:
    """The sentences of one setting; the same ones wherever neither their number nor their length is what varies."""
    fitting = [d for d in documents if d.text.strip()]
    if what == "characters of a sentence":
        low, high = LENGTHS[value]
        fitting = [d for d in fitting if low <= len(d.text) <= high]
    return random.Random(SEED).sample(fitting, value if what == "documents" else sentences)


if __name__ == "__main__":
    main()
