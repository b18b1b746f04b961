"""F1 of the label reader without examples by the score that a mention needs, on corpora with few and with many labels.

    python -m benchmarks.reader.thresholds [--only wlp,conll2003]

The corpora are the development splits of the reader's held-out domains, and training files of corpora that it was not
trained on; nothing that the results page reports is scored. 100 sentences each, the same at all thresholds. Counts are
written to `results/thresholds/<corpus>.json`.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tools.reader.targets import Target, held_out_targets

from benchmarks.common import corpora_folder, parse_corpora, read_sentences, run_once
from benchmarks.pages import Table
from benchmarks.quality.compare import count_sentences
from benchmarks.quality.small_pools import answer_instantly
from entsemble.evaluation.counts import Counts
from entsemble.types import Document, Mention

RESULTS = Path(__file__).parent / "results" / "thresholds"
FILES = {
    "conll2003": "conll2003-4col/train.txt",
    "wikigold": "wikigold/wikigold.conll.txt",
    "btc-a": "btc/a.conll",
    "btc-h": "btc/h.conll",
    "re3d": "re3d/re3d-train.conll",
    "scierc": "scierc-flat/train.txt",
    "sec-filings": "sec-filings/FIN5.txt",
}
HELD_OUT = ("maintie", "wiesp_astro", "wlp", "mars_target", "tasteset")
THRESHOLDS = (0.05, 0.08, 0.12, 0.16, 0.2, 0.25, 0.3, 0.4)
SENTENCES, SEED = 100, 1


def main() -> None:
    """Measure what is missing."""
    for name in parse_corpora(__doc__, [*FILES, *HELD_OUT]):
        run_once(
            RESULTS / f"{name}.json", f"python -m benchmarks.reader.thresholds --only {name}", partial(measure, name)
        )
        print(f"{name}: done", flush=True)


def measure(name: str) -> dict[str, Any]:
    """Exact counts at each threshold.

    Args:
        name: of the corpus.
    """
    documents = _held_out(name) if name in HELD_OUT else _sample(FILES[name])
    labels = sorted({mention.label for document in documents for mention in document.mentions})
    overrides = {"labels": dict.fromkeys(labels, ""), "classification": {"threshold": min(THRESHOLDS)}}
    answers = answer_instantly([], documents, overrides)
    counts = {
        str(threshold): sum_counts(count_sentences(documents, [_above(mentions, threshold) for mentions in answers]))
        for threshold in THRESHOLDS
    }
    return {"labels": len(labels), "sentences": len(documents), "seed": SEED, "counts": counts}


def sum_counts(counts: Sequence[Sequence[int]]) -> list[int]:
    """True positives, false positives and false negatives of all sentences."""
    return [sum(column) for column in zip(*counts, strict=True)]


def table() -> Table:
    """A row for each corpus, those with few labels first."""
    results = {name: json.loads((RESULTS / f"{name}.json").read_text("utf-8")) for name in (*FILES, *HELD_OUT)}
    rows = [["corpus", "labels", *map(str, THRESHOLDS)], ["---"] * (2 + len(THRESHOLDS))]
    for name, result in sorted(results.items(), key=lambda item: item[1]["labels"]):
        scores = [Counts(*result["counts"][str(threshold)]).f1 for threshold in THRESHOLDS]
        best = max(scores)
        shown = [f"**{score:.3f}**" if score == best else f"{score:.3f}" for score in scores]
        rows.append([name, str(result["labels"]), *shown])
    return rows


def _above(mentions: Sequence[Mention], threshold: float) -> list[Mention]:
    """A mention never loses to one with a lower score, so a higher threshold only leaves out mentions."""
    return [mention for mention in mentions if mention.score is not None and mention.score >= threshold]


def _sample(file: str) -> list[Document]:
    return random.Random(SEED).sample(read_sentences(file), SENTENCES)


def _held_out(name: str) -> list[Document]:
    [target] = [target for target in held_out_targets(corpora_folder(), "dev", SENTENCES) if target.name == name]
    return [_document(target, index) for index in range(len(target.texts))]


def _document(target: Target, index: int) -> Document:
    text = target.texts[index]
    names = dict(zip(target.labels, target.shown, strict=True))
    mentions = [Mention(start, end, names[label], text[start:end]) for start, end, label in target.truths[index]]
    return Document(str(index), text, tuple(mentions))


if __name__ == "__main__":
    main()
