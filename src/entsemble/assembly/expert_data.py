"""What an expert is trained on: annotated sentences of files, and those that are held out to score it."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from entsemble._lib.text import same_text_key
from entsemble.data.annotated import read_annotated
from entsemble.errors import DataError
from entsemble.experts.card import Source
from entsemble.experts.examples import PromptVariation, TextPiece, label_vocabulary, training_example
from entsemble.prompting.labels import label_set
from entsemble.prompting.template import load_template
from entsemble.settings import Settings
from entsemble.types import Document, LabelSet

TEMPLATE = "ner-1"
"""The prompt template that experts are trained with."""

LANGUAGE = Settings().language

_HELD_OUT_SHARE, _MAX_HELD_OUT = 0.1, 100
"""Of the sentences, how many are held out to select the best epoch by."""


@dataclass(frozen=True, slots=True)
class TrainingData:
    """An annotated file.

    Attributes:
        path: of the file.
        licence: of its content.
        attribution: whom the licence asks to credit.
        format: its format; detected if `None`.
    """

    path: Path
    licence: str = "unknown"
    attribution: str = ""
    format: str | None = None


class SourceSentence(NamedTuple):
    """A sentence, and all labels of the file that it is from."""

    document: Document
    file_labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Corpus:
    """The sentences of a training.

    Attributes:
        training: in the order of the training; copies of a held-out sentence are left out.
        held_out: to select the best epoch by, and to score the expert.
        sources: the files, for the card.
    """

    training: tuple[SourceSentence, ...]
    held_out: tuple[Document, ...]
    sources: tuple[Source, ...]

    @property
    def labels(self) -> set[str]:
        """The labels of the training sentences."""
        return {mention.label for sentence in self.training for mention in sentence.document.mentions}

    def examples(self, variation: PromptVariation, seed: int, epoch: int) -> list[tuple[TextPiece, ...]]:
        """Every training sentence as an example, each with a random generator of its own.

        Args:
            variation: how the prompts vary.
            seed: of the training.
            epoch: counted from 0; each has other prompts.
        """
        template = load_template(TEMPLATE)
        vocabularies = {labels: label_vocabulary(labels) for _, labels in self.training}
        return [
            training_example(
                document, vocabularies[labels], template, variation, random.Random(f"{seed}:{epoch}:{position}")
            )
            for position, (document, labels) in enumerate(self.training)
        ]

    def digests(self) -> tuple[str, list[tuple[str, ...]], str]:
        """All that a training depends on: the training sentences, their labels, and the held-out sentences."""
        training = [sentence.document for sentence in self.training]
        labels = [sentence.file_labels for sentence in self.training]
        return content_digest(training), labels, content_digest(self.held_out)


def read_corpus(data: Sequence[TrainingData], dev_path: Path | None, limit: int | None, seed: int) -> Corpus:
    """Read files and split them into training and held-out sentences.

    Args:
        data: the files.
        dev_path: annotated sentences to hold out; a part of the files if not given.
        limit: number of training sentences at most.
        seed: of the split and of the order.

    Raises:
        DataError: a file cannot be read, or there are too few annotated sentences.
    """
    parts = [_read_sentences(source.path, source.format) for source in data]
    training, held_out = _split(parts, data, dev_path, seed)
    training = training[:limit]
    has_scores = any(document.mentions for document in held_out)
    if not has_scores and dev_path is not None:
        raise DataError(f"none of {len(held_out)} sentences drawn from it has a mention; give others", dev_path)
    if not has_scores or not any(sentence.document.mentions for sentence in training):
        raise DataError("too few annotated sentences to train on and to hold some out; give more", data[0].path)
    labels_of(held_out, dev_path or data[0].path)
    sources = tuple(_source(source, part) for source, part in zip(data, parts, strict=True))
    return Corpus(tuple(training), tuple(held_out), sources)


def _split(
    parts: Sequence[Sequence[Document]], data: Sequence[TrainingData], dev_path: Path | None, seed: int
) -> tuple[list[SourceSentence], list[Document]]:
    """Training sentences in random order, and held-out ones; no text is in both."""
    generator = random.Random(seed)
    sentences = [
        SourceSentence(document, file_labels)
        for part in parts
        for file_labels in [tuple(sorted({mention.label for document in part for mention in document.mentions}))]
        for document in part
    ]
    remaining = generator.sample(sentences, len(sentences))
    if dev_path is not None:
        dev_sentences = _read_sentences(dev_path, data[0].format)
        held_out = generator.sample(dev_sentences, min(len(dev_sentences), _MAX_HELD_OUT))
    else:
        held_out_count = min(_MAX_HELD_OUT, max(1, round(_HELD_OUT_SHARE * len(remaining))))
        held_out = [sentence.document for sentence in remaining[:held_out_count]]
        remaining = remaining[held_out_count:]
    for source, part in zip(data, parts, strict=True):
        labels_of(part, source.path)
    held_out_keys = {same_text_key(document.text) for document in held_out}
    training = [sentence for sentence in remaining if same_text_key(sentence.document.text) not in held_out_keys]
    return training, held_out


def _read_sentences(path: Path, data_format: str | None) -> list[Document]:
    documents = read_annotated(path, data_format, LANGUAGE, "an expert learns from annotated sentences")
    return [document for document in documents if document.text.strip()]


def labels_of(documents: Sequence[Document], path: Path | None = None) -> LabelSet:
    """The labels of annotated sentences.

    Args:
        documents: the sentences.
        path: where they are from, for the error.

    Raises:
        DataError: one of the labels is not valid.
    """
    names = sorted({mention.label for document in documents for mention in document.mentions})
    try:
        return label_set(dict.fromkeys(names, ""))
    except ValueError as error:
        raise DataError(str(error), path) from error


def content_digest(documents: Sequence[Document]) -> str:
    """The SHA-256 of texts and mentions."""
    content = [
        (document.text, [(mention.start, mention.end, mention.label) for mention in document.mentions])
        for document in documents
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _source(data: TrainingData, documents: Sequence[Document]) -> Source:
    return Source(
        name=data.path.name,
        sentences=len(documents),
        mentions=sum(len(document.mentions) for document in documents),
        licence=data.licence,
        attribution=data.attribution,
        sha256=content_digest(documents),
    )
