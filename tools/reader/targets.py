"""What the reader is measured on: held-out domains, and the benchmark targets for the last figure only."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.reader.corpora import Document, load_sources, read_columns, read_source
from tools.reader.scoring import Span

SEED = 7
_FILES = {
    "crossner-ai": "crossner/ai/dev.txt",
    "crossner-literature": "crossner/literature/dev.txt",
    "crossner-music": "crossner/music/dev.txt",
    "crossner-politics": "crossner/politics/dev.txt",
    "crossner-science": "crossner/science/dev.txt",
    "mit-movie": "mit-movie/engtrain.bio",
    "mit-restaurant": "mit-restaurant/restauranttrain.bio",
}
_PLAIN_WORDS = {
    "misc": "miscellaneous",
    "academicjournal": "academic journal",
    "astronomicalobject": "astronomical object",
    "chemicalcompound": "chemical compound",
    "chemicalelement": "chemical element",
    "literarygenre": "literary genre",
    "musicalartist": "musical artist",
    "musicalinstrument": "musical instrument",
    "musicgenre": "music genre",
    "politicalparty": "political party",
    "programlang": "programming language",
}


@dataclass(frozen=True)
class Target:
    """Sentences to read, the labels to ask for, and the same labels in plain words."""

    name: str
    texts: tuple[str, ...]
    truths: tuple[tuple[Span, ...], ...]
    labels: tuple[str, ...]
    shown: tuple[str, ...]


def benchmark_targets(data: Path, sentences: int) -> list[Target]:
    """CrossNER and MIT; nothing may be chosen by these."""
    targets = []
    for name, file in _FILES.items():
        rows = [Document(name, text, tuple(mentions), "dev") for text, mentions in read_columns(data / file)]
        targets.append(_target(name, rows, sentences))
    return targets


def held_out_targets(data: Path, split: str, sentences: int) -> list[Target]:
    """The domains that training never meets; thresholds are chosen on their `dev` split, figures are of `test`."""
    return [
        _target(source.name, [row for row in read_source(source, data) if row.split == split], sentences)
        for source in load_sources()
        if source.held_out
    ]


def plain_words(label: str) -> str:
    """A tag as a reader would write it."""
    return _PLAIN_WORDS.get(label.lower(), label.replace("_", " ").lower())


def _target(name: str, rows: Sequence[Document], sentences: int) -> Target:
    labels = [label for label, _ in Counter(item.label for row in rows for item in row.mentions).most_common()]
    order = sorted(rows, key=lambda row: row.text)
    random.Random(SEED).shuffle(order)
    drawn = order[:sentences]
    return Target(
        name,
        tuple(row.text for row in drawn),
        tuple(tuple((item.start, item.end, item.label) for item in row.mentions) for row in drawn),
        tuple(labels),
        tuple(plain_words(label) for label in labels),
    )
