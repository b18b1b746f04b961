"""F1 of the preset `instant` as a pool grows from nothing: 0, 1, 2, 5, 10, 20 and 50 annotated sentences.

    python -m benchmarks.quality.small_pools [--only crossner-politics,conll2003]

Pools and scored sentences are those of `benchmarks.quality.curve`, without the sentences without mentions. All labels
are requested, whether the pool has them or not. Counts are written to `results/small_pools/<corpus>/<size>.json`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.common import parse_corpora, run_once
from benchmarks.quality.compare import RESULTS, count_sentences
from benchmarks.quality.curve import sample_corpus
from entsemble.assembly import Assembly, without_mentions
from entsemble.assembly.progress import ProgressCallbacks
from entsemble.data.formats import write
from entsemble.ner.documents import Extracted
from entsemble.settings import environment, load
from entsemble.types import Document, Mention

SIZES = (0, 1, 2, 5, 10, 20, 50)
CORPORA = ("conll2003", "crossner-literature", "crossner-music", "crossner-politics")


def main() -> None:
    """Measure what is missing."""
    for corpus in parse_corpora(__doc__, CORPORA):
        for size in SIZES:
            file = RESULTS / "small_pools" / corpus / f"{size}.json"
            command = f"python -m benchmarks.quality.small_pools --only {corpus}"
            run_once(file, command, partial(measure, corpus, size), {"corpus": corpus, "pool": size})
            print(f"{corpus}: {size} sentences: done", flush=True)


def measure(corpus: str, size: int) -> dict[str, Any]:
    """Exact counts of every scored sentence.

    Args:
        corpus: of `benchmarks.quality.corpora`.
        size: sentences in the pool.
    """
    sampled, scored = sample_corpus(corpus)
    pool = [document for document in sampled if document.mentions][:size]
    labels = sorted({mention.label for document in (*sampled, *scored) for mention in document.mentions})
    answers = answer_instantly(pool, scored, {"labels": dict.fromkeys(labels, "")})
    return {"seed": 0, "counts": count_sentences(scored, answers)}


def answer_instantly(
    pool: Sequence[Document], scored: Sequence[Document], overrides: Mapping[str, Any]
) -> list[Sequence[Mention]]:
    """The mentions that the preset `instant` finds in each sentence.

    Args:
        pool: may be empty.
        scored: sentences; their annotation is not used.
        overrides: of its settings.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pool.jsonl"
        if pool:
            write(pool, path)
        settings = load(preset="instant", overrides={**overrides, **({"pool": {"path": path}} if pool else {})})
        with Assembly(settings, environment(), ProgressCallbacks(), held_out=scored) as assembly:
            results = [*assembly.extractor().extract(map(without_mentions, scored))]
    answers = [result.document.mentions for result in results if isinstance(result, Extracted)]
    if len(answers) < len(scored):
        raise RuntimeError(f"{len(scored) - len(answers)} sentences failed")
    return [*answers]


if __name__ == "__main__":
    main()
