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

    def epoch(self, random_generator: random.Random) -> list[Document]:
        """The sentences that one epoch takes from this corpus."""
        shuffled_documents = list(self.documents)
        random_generator.shuffle(shuffled_documents)
        frequency = Counter(label_name for document in shuffled_documents for label_name in labels_of(document))
        label_counts: Counter[str] = Counter()
        selected_documents: list[Document] = []
        empty_documents: list[Document] = []
        for document in shuffled_documents:
            document_labels = labels_of(document)
            if not document_labels:
                empty_documents.append(document)
            elif any(label_counts[label_name] < LABEL_CAP for label_name in document_labels):
                label_counts.update(document_labels)
                selected_documents.append(document)
                if any(frequency[label_name] < RARE_LABEL for label_name in document_labels):
                    selected_documents.append(document)
        selected_documents.extend(empty_documents[: int(EMPTY_SHARE * len(selected_documents))])
        random_generator.shuffle(selected_documents)
        return selected_documents[: self.source.limit]


@dataclass
class Mixture:
    """All corpora together."""

    corpora: dict[str, Corpus]

    def epoch(self, random_seed: int, epoch_number: int) -> list[Document]:
        """The sentences of one epoch in the order of training; the same for the same seed and number."""
        random_generator = random.Random(f"{random_seed}-{epoch_number}")
        selected_documents = [
            document
            for source_name in sorted(self.corpora)
            for document in self.corpora[source_name].epoch(random_generator)
        ]
        random_generator.shuffle(selected_documents)
        return selected_documents

    def summary(self, documents: list[Document]) -> dict[str, object]:
        """Counts of an epoch and of what was dropped, for the log and the card."""
        return {
            "sentences": len(documents),
            "labels": len({label_name for document in documents for label_name in labels_of(document)}),
            "without_mention": sum(not document.mentions for document in documents),
            "by_source": dict(Counter(document.source for document in documents).most_common()),
            "dropped_as_scored": {source_name: one_corpus.dropped for source_name, one_corpus in self.corpora.items()},
        }


def labels_of(document: Document) -> set[str]:
    """The labels that occur in a sentence."""
    return {one_mention.label for one_mention in document.mentions}


def load_mixture(
    data_root: Path, scored_index: ScoredTexts | None = None, source_table: list[Source] | None = None
) -> Mixture:
    """Read every source that is not held out; leave out what is scored, too long, too short, or a repetition."""
    scored_index = scored_index or scored_texts(data_root)
    return Mixture(
        {
            corpus_source.name: _load_corpus(corpus_source, data_root, scored_index)
            for corpus_source in (source_table if source_table is not None else load_sources())
            if not corpus_source.held_out
        }
    )


def _load_corpus(corpus_source: Source, data_root: Path, scored_index: ScoredTexts) -> Corpus:
    documents: dict[str, Document] = {}
    dropped_count = 0
    for document in read_source(corpus_source, data_root):
        if document.split != "train" or not FEWEST_WORDS <= len(document.text.split()) <= MOST_WORDS:
            continue
        if scored_index.leaks(document.text):
            dropped_count += 1
        else:
            documents.setdefault(document.text, document)
    unique_documents = list(documents.values())
    return Corpus(
        corpus_source,
        unique_documents,
        read_definitions(corpus_source, data_root),
        surfaces_of(unique_documents),
        read_synonyms(corpus_source, data_root),
        dropped_count,
    )


def surfaces_of(documents: list[Document]) -> dict[str, list[str]]:
    """Label to the different strings that it marks, in the order of first sight."""
    surfaces: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for document in documents:
        for one_mention in document.mentions:
            surfaces[one_mention.label].setdefault(" ".join(document.text[one_mention.start : one_mention.end].split()))
    return {label_name: list(surface_strings) for label_name, surface_strings in surfaces.items()}
