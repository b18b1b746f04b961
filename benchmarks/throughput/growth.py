"""How the cost of a run depends on one factor at a time.

    python -m benchmarks.throughput.growth [--sentences 12] [--only shots]

On CoNLL-2003 (valid.txt, demonstrations from train.txt), one factor varied at a time, all others at their defaults.
Each measurement is a file in `results/growth/`, so that a benchmark that was stopped resumes; `table.py` makes the
table and the plot.
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
CORPUS_LABELS = ("LOC", "MISC", "ORG", "PER")
OTHER_LABELS = (
    *("animal", "award", "building", "chemical", "company", "crop", "currency", "disease", "drug", "event", "film"),
    *("food", "gene", "instrument", "language", "law", "machine", "material", "medium", "metal", "planet", "plant"),
    *("poem", "profession", "protein", "river", "ship", "vehicle"),
)
LENGTHS = {25: (15, 35), 75: (60, 90), 150: (135, 165), 300: (250, 350)}
"""Approximate characters of a sentence -> the range that counts as such."""


def settings(factor: str, value: int) -> dict[str, Any]:
    """Settings that differ from the defaults."""
    if factor == "members":
        return {"members": MEMBERS[:value]}
    if factor == "sentences in flight":
        return {"workers": value}
    if factor == "demonstrations":
        return {"pool": {"shots": value, "max_characters": max(1, 80 * value)}}
    if factor == "labels":
        return {"labels": dict.fromkeys([*CORPUS_LABELS, *OTHER_LABELS][:value], "")}
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
    arguments = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    for factor, values in VALUES.items():
        for value in values:
            target = RESULTS / f"{factor.replace(' ', '-')}-{value:03}.json"
            if not target.exists() and arguments.only in {None, factor}:
                print(factor, value, flush=True)
                target.write_text(json.dumps(measure(factor, value, arguments.sentences), indent=1) + "\n")


def measure(factor: str, value: int, sentences: int) -> dict[str, Any]:
    """The cost of `sentences` sentences."""
    data = corpora_folder()
    sampled = sample(list(read(data / "conll2003-4col/valid.txt")), factor, value, sentences)
    overrides = settings(factor, value)
    pool = {**overrides.get("pool", {}), "path": data / "conll2003-4col/train.txt"}
    with Assembly(
        load(preset="balanced", overrides={**overrides, "pool": pool, **UNCACHED_SETTINGS}), environment()
    ) as assembly:
        extractor = assembly.extractor()
        started = time.perf_counter()
        results = [r for r in extractor.extract(map(without_mentions, sampled)) if isinstance(r, Extracted)]
        seconds = time.perf_counter() - started
    usage = total_usage(cost for r in results for _, _, cost in r.costs)
    if len(results) < len(sampled):
        sys.exit(f"{len(sampled) - len(results)} sentences failed")
    return {
        "what": factor,
        "value": value,
        "sentences": len(results),
        "seed": SEED,
        "commit": source_revision(),
        "machine": machine_info(),
        "seconds": seconds,
        "prompt_tokens_submitted": usage.prompt_tokens,
        "prompt_tokens_evaluated": usage.evaluated_tokens,
    }


def sample(documents: Sequence[Document], factor: str, value: int, sentences: int) -> list[Document]:
    """The sentences of one setting; the same ones unless their number or length varies."""
    candidates = [d for d in documents if d.text.strip()]
    if factor == "characters of a sentence":
        low, high = LENGTHS[value]
        candidates = [d for d in candidates if low <= len(d.text) <= high]
    return random.Random(SEED).sample(candidates, value if factor == "documents" else sentences)


if __name__ == "__main__":
    main()
