"""Which sentences are learnt from: by label, rare ones whole and frequent ones capped, none that a benchmark scores."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from tools.reader.corpora import Document, Source, load_sources, read_definitions, read_source, read_synonyms
from tools.reader.leakage import ScoredTexts, scored_texts

LABEL_CAP = 200  # sentences of a label in one epoch, after which it alone no longer brings a sentence in
RARE_LABEL = 40  # a label of so few sentences is seen twice an epoch
EMPTY_SHARE = 0.08  # sentences without a mention, of the sentences of a corpus
MOST_WORDS, FEWEST_WORDS = 100, 2


@dataclass
class Corpus:
    """The training sentences of a source and what is known of its labels."""

    source: Source
    documents: list[Document]
    definitions: dict[str, list[str]] = field(default_factory=dict)
    surfaces: dict[str, list[str]] = field(default_factory=dict)  # label to what it was seen to name
    synonyms: dict[str, list[str]] = field(default_factory=dict)
    dropped: int = 0

    def epoch(self, generator: random.Random) -> list[Document]:
        """The sentences that one epoch takes from this corpus."""
        order = list(self.documents)
        generator.shuffle(order)
        frequency = Counter(label for document in order for label in labels_of(document))
        seen: Counter[str] = Counter()
        chosen: list[Document] = []
        empty: list[Document] = []
        for document in order:
            labels = labels_of(document)
            if not labels:
                empty.append(document)
            elif any(seen[label] < LABEL_CAP for label in labels):
                seen.update(labels)
                chosen.append(document)
                if any(frequency[label] < RARE_LABEL for label in labels):
                    chosen.append(document)
        chosen.extend(empty[: int(EMPTY_SHARE * len(chosen))])
        generator.shuffle(chosen)
        return chosen[: self.source.limit]


@dataclass
class Mixture:
    """All corpora together."""

    corpora: dict[str, Corpus]

    def epoch(self, seed: int, number: int) -> list[Document]:
        """The sentences of one epoch in the order of training; the same for the same seed and number."""
        generator = random.Random(f"{seed}-{number}")
        chosen = [document for name in sorted(self.corpora) for document in self.corpora[name].epoch(generator)]
        generator.shuffle(chosen)
        return chosen

    def summary(self, documents: list[Document]) -> dict[str, object]:
        """Counts of an epoch and of what was dropped, for the log and the card."""
        return {
            "sentences": len(documents),
            "labels": len({label for document in documents for label in labels_of(document)}),
            "without_mention": sum(not document.mentions for document in documents),
            "by_source": dict(Counter(document.source for document in documents).most_common()),
            "dropped_as_scored": {name: corpus.dropped for name, corpus in self.corpora.items()},
        }


def labels_of(document: Document) -> set[str]:
    """The labels that occur in a sentence."""
    return {mention.label for mention in document.mentions}


def load_mixture(data: Path, scored: ScoredTexts | None = None, sources: list[Source] | None = None) -> Mixture:
    """Read every source that is not held out; leave out what is scored, too long, too short, or a repetition."""
    scored = scored or scored_texts(data)
    return Mixture(
        {
            source.name: _load_corpus(source, data, scored)
            for source in (sources if sources is not None else load_sources())
            if not source.held_out
        }
    )


def _load_corpus(source: Source, data: Path, scored: ScoredTexts) -> Corpus:
    documents: dict[str, Document] = {}
    dropped = 0
    for document in read_source(source, data):
        if document.split != "train" or not FEWEST_WORDS <= len(document.text.split()) <= MOST_WORDS:
            continue
        if scored.leaks(document.text):
            dropped += 1
        else:
            documents.setdefault(document.text, document)
    kept = list(documents.values())
    return Corpus(source, kept, read_definitions(source, data), surfaces_of(kept), read_synonyms(source, data), dropped)


def surfaces_of(documents: list[Document]) -> dict[str, list[str]]:
    """Label to the different strings that it marks, in the order of first sight."""
    surfaces: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for document in documents:
        for mention in document.mentions:
            surfaces[mention.label].setdefault(" ".join(document.text[mention.start : mention.end].split()))
    return {label: list(strings) for label, strings in surfaces.items()}
