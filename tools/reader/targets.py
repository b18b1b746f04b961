"""What the reader is measured on: held-out domains, and the benchmark targets for the last figure only."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from entsemble.prompting.labels import readable_name
from tools.reader.corpora import Document, load_sources, read_columns, read_source
from tools.reader.scoring import Span

SEED = 7
FILES = {
    "crossner-ai": "crossner/ai/dev.txt",
    "crossner-literature": "crossner/literature/dev.txt",
    "crossner-music": "crossner/music/dev.txt",
    "crossner-politics": "crossner/politics/dev.txt",
    "crossner-science": "crossner/science/dev.txt",
    "mit-movie": "mit-movie/engtrain.bio",
    "mit-restaurant": "mit-restaurant/restauranttrain.bio",
}


@dataclass(frozen=True)
class Target:
    """Sentences to read, the labels to ask for, and the same labels in plain words."""

    name: str
    texts: tuple[str, ...]
    truths: tuple[tuple[Span, ...], ...]
    labels: tuple[str, ...]
    shown: tuple[str, ...]


def benchmark_targets(data_root: Path, sentence_count: int) -> list[Target]:
    """CrossNER and MIT; nothing may be chosen by these."""
    eval_targets = []
    for target_name, file_name in FILES.items():
        documents = [
            Document(target_name, sentence_text, tuple(mentions), "dev")
            for sentence_text, mentions in read_columns(data_root / file_name)
        ]
        eval_targets.append(target_of(target_name, documents, sentence_count))
    return eval_targets


def held_out_targets(data_root: Path, split_name: str, sentence_count: int) -> list[Target]:
    """The domains that training never meets; thresholds are chosen on their `dev` split, figures are of `test`."""
    return [
        target_of(
            corpus_source.name,
            [document for document in read_source(corpus_source, data_root) if document.split == split_name],
            sentence_count,
        )
        for corpus_source in load_sources()
        if corpus_source.held_out
    ]


def target_of(target_name: str, documents: Sequence[Document], sentence_count: int) -> Target:
    """So many of the documents, drawn by a fixed seed, with the labels of all of them, the most frequent first."""
    label_names = [
        label_name
        for label_name, _ in Counter(
            one_mention.label for document in documents for one_mention in document.mentions
        ).most_common()
    ]
    shuffled_rows = sorted(documents, key=lambda document: document.text)
    random.Random(SEED).shuffle(shuffled_rows)
    sampled_rows = shuffled_rows[:sentence_count]
    return Target(
        target_name,
        tuple(document.text for document in sampled_rows),
        tuple(
            tuple((one_mention.start, one_mention.end, one_mention.label) for one_mention in document.mentions)
            for document in sampled_rows
        ),
        tuple(label_names),
        tuple(readable_name(label_name) for label_name in label_names),
    )
