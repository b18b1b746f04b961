"""How fast one expert answers by itself, without demonstrations.

    python -m benchmarks.throughput.expert [--sentences 200] [--expert encyclopedia] [--engines llama.cpp] [--again]

On sentences of CoNLL-2003 (valid.txt, drawn with seed 0), through the ensemble that users have, by each engine. The
model is loaded and one sentence is answered before the clock starts. What an engine finds is compared with what is
annotated, and with what the first one finds. The result is written to `results/expert.json`; what the same command has
measured already is not run again.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.common import corpora_folder, run_once
from entsemble.assembly import Assembly, without_mentions
from entsemble.data.annotated import read_annotated
from entsemble.evaluation.counts import Counts
from entsemble.evaluation.matching import exact_counts
from entsemble.ner.documents import Extracted
from entsemble.settings import CacheSettings, MemberSettings, Settings, environment
from entsemble.types import Document, total_usage

RESULT = Path(__file__).parent / "results" / "expert.json"

ENGINES: dict[str, dict[str, Any]] = {
    "llama.cpp": {"engine": "llama.cpp"},
    "transformers-float32": {"engine": "transformers", "precision": "float32"},
    "transformers-bfloat16": {"engine": "transformers", "precision": "bfloat16"},
}
"""Name -> what the member says of it."""

LABELS = {"PER": "person", "ORG": "organisation", "LOC": "location", "MISC": "miscellaneous"}
"""As the corpus writes them -> as an expert is asked."""


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sentences", type=int, default=200)
    parser.add_argument("--expert", default="encyclopedia")
    parser.add_argument("--engines", default=",".join(ENGINES), help="separated by commas")
    parser.add_argument("--again", action="store_true", help="run again what is there already")
    given = parser.parse_args()
    told = f"--sentences {given.sentences} --expert {given.expert} --engines {given.engines}"
    command = f"python -m benchmarks.throughput.expert {told}"
    run_once(
        RESULT, command, lambda: measure(given.sentences, given.expert, given.engines.split(",")), force=given.again
    )


def measure(count: int, expert: str, engines: Sequence[str]) -> dict[str, object]:
    """Each engine on the same sentences."""
    found = [
        d for d in read_annotated(corpora_folder() / "conll2003-4col/valid.txt", "en", "it is timed") if d.text.strip()
    ]
    first, *gold = random.Random(0).sample(found, count + 1)
    sentences = list(map(without_mentions, gold))
    by_engine: dict[str, dict[str, float]] = {}
    reference: list[Extracted] = []
    for name in engines:
        results, seconds = timed(ENGINES[name], expert, without_mentions(first), sentences)
        reference = reference or results
        by_engine[name] = {"seconds_a_sentence": seconds / len(results), **described(results, gold, reference)}
        print(name, by_engine[name], flush=True)
    return {
        "sentences": len(sentences),
        "words": sum(len(d.text.split()) for d in sentences) / len(sentences),
        "engines": by_engine,
    }


def timed(
    engine: dict[str, Any], expert: str, first: Document, sentences: Sequence[Document]
) -> tuple[list[Extracted], float]:
    """What an engine finds, and in how many seconds."""
    settings = Settings(
        labels=dict.fromkeys(LABELS.values(), ""),
        members=(MemberSettings(model="smollm2-135m", experts={expert: 1.0}, **engine),),
        cache=CacheSettings(replies=False),
    )
    with Assembly(settings, environment()) as assembly:
        extractor = assembly.extractor()
        list(extractor.extract([first]))
        began = time.perf_counter()
        results = [r for r in extractor.extract(sentences) if isinstance(r, Extracted)]
        seconds = time.perf_counter() - began
    if len(results) < len(sentences):
        sys.exit(f"{len(sentences) - len(results)} sentences failed")
    return results, seconds


def described(
    results: Sequence[Extracted], gold: Sequence[Document], reference: Sequence[Extracted]
) -> dict[str, float]:
    """What a sentence costs, and the F1 of what was found against what is annotated and against a reference."""
    usage = total_usage(u for r in results for *_, u in r.costs)
    said = [r.document.mentions for r in results]
    annotations = [[replace(m, label=LABELS[m.label]) for m in d.mentions] for d in gold]
    right = sum((exact_counts(a, b).micro for a, b in zip(annotations, said, strict=True)), Counts())
    same = sum((exact_counts(r.document.mentions, b).micro for r, b in zip(reference, said, strict=True)), Counts())
    return {
        "f1": right.f1,
        "f1_against_the_first_engine": same.f1,
        "prompt_tokens_evaluated_a_sentence": usage.evaluated_tokens / len(results),
        "generated_tokens_a_sentence": usage.generated_tokens / len(results),
    }


if __name__ == "__main__":
    main()
