"""How fast a single expert is without demonstrations.

    python -m benchmarks.throughput.expert [--sentences 200] [--expert encyclopedia] [--engines llama.cpp] [--again]

On sentences of CoNLL-2003 (valid.txt, sampled with seed 0), through the ensemble that users have, with each engine. The
model is loaded and one sentence is extracted before the clock starts. The results of each engine are compared with the
annotation and with those of the first engine, and written to `results/expert.json`; a measurement that exists is not
repeated.
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
"""Name -> settings of the member."""

LABELS = {"PER": "person", "ORG": "organisation", "LOC": "location", "MISC": "miscellaneous"}
"""Labels of the corpus -> labels that the expert is asked for."""


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sentences", type=int, default=200)
    parser.add_argument("--expert", default="encyclopedia")
    parser.add_argument("--engines", default=",".join(ENGINES), help="separated by commas")
    parser.add_argument("--again", action="store_true", help="repeat a measurement that exists")
    arguments = parser.parse_args()
    options = f"--sentences {arguments.sentences} --expert {arguments.expert} --engines {arguments.engines}"
    command = f"python -m benchmarks.throughput.expert {options}"
    run_once(
        RESULT,
        command,
        lambda: measure(arguments.sentences, arguments.expert, arguments.engines.split(",")),
        force=arguments.again,
    )


def measure(count: int, expert: str, engines: Sequence[str]) -> dict[str, object]:
    """Each engine on the same sentences."""
    annotated_sentences = [
        document
        for document in read_annotated(corpora_folder() / "conll2003-4col/valid.txt", None, "en", "it is timed")
        if document.text.strip()
    ]
    first, *gold = random.Random(0).sample(annotated_sentences, count + 1)
    sentences = list(map(without_mentions, gold))
    by_engine: dict[str, dict[str, float]] = {}
    reference: list[Extracted] = []
    for name in engines:
        results, seconds = time_extraction(ENGINES[name], expert, without_mentions(first), sentences)
        reference = reference or results
        by_engine[name] = {"seconds_a_sentence": seconds / len(results), **summarise(results, gold, reference)}
        print(name, by_engine[name], flush=True)
    return {
        "sentences": len(sentences),
        "words": sum(len(d.text.split()) for d in sentences) / len(sentences),
        "engines": by_engine,
    }


def time_extraction(
    engine: dict[str, Any], expert: str, first: Document, sentences: Sequence[Document]
) -> tuple[list[Extracted], float]:
    """The results of an engine, and the seconds that they took."""
    settings = Settings(
        labels=dict.fromkeys(LABELS.values(), ""),
        members=(MemberSettings(model="smollm2-135m", experts={expert: 1.0}, **engine),),
        cache=CacheSettings(replies=False),
    )
    with Assembly(settings, environment()) as assembly:
        extractor = assembly.extractor()
        list(extractor.extract([first]))
        started = time.perf_counter()
        results = [r for r in extractor.extract(sentences) if isinstance(r, Extracted)]
        seconds = time.perf_counter() - started
    if len(results) < len(sentences):
        sys.exit(f"{len(sentences) - len(results)} sentences failed")
    return results, seconds


def summarise(
    results: Sequence[Extracted], gold: Sequence[Document], reference: Sequence[Extracted]
) -> dict[str, float]:
    """The cost of a sentence, and the F1 against the annotation and against the results of the first engine."""
    usage = total_usage(u for r in results for *_, u in r.costs)
    predictions = [r.document.mentions for r in results]
    annotations = [[replace(m, label=LABELS[m.label]) for m in d.mentions] for d in gold]
    extracted = [result.document.mentions for result in reference]
    correct = sum((exact_counts(a, b).micro for a, b in zip(annotations, predictions, strict=True)), Counts())
    agreement = sum((exact_counts(a, b).micro for a, b in zip(extracted, predictions, strict=True)), Counts())
    return {
        "f1": correct.f1,
        "f1_against_the_first_engine": agreement.f1,
        "prompt_tokens_evaluated_a_sentence": usage.evaluated_tokens / len(results),
        "generated_tokens_a_sentence": usage.generated_tokens / len(results),
    }


if __name__ == "__main__":
    main()
