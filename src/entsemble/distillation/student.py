"""The student: a small model that is trained on an ensemble's annotations, and its folder.

Distillation (G. Hinton et al., "Distilling the knowledge in a neural network", 2015) with hard labels: the teacher's
annotations are used like any other training data, whatever their scores. Sentences in which it is unsure are those that
teach most, and to leave them out costs F1.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

from entsemble.backends.label_reader.adapt import AdaptedReader, fit_adapter, read_pool
from entsemble.backends.label_reader.model import BUNDLED_READER, LabelReader
from entsemble.backends.student import Student, save_student
from entsemble.backends.tagger import train_tagger
from entsemble.errors import DataError
from entsemble.evaluation.counts import Counts
from entsemble.evaluation.matching import exact_counts
from entsemble.types import Document, LabelSet, Mention
from entsemble.voting.overlaps import resolve_overlaps

StudentKind = Literal["tagger", "reader"]
"""A sequence tagger, the faster one, or the label reader adapted to the annotations, which knows names it never saw."""

SETTINGS_FILE = "entsemble.toml"
"""The configuration in a student's folder, with which everything that takes a configuration runs it."""

THRESHOLD = 0.3
"""Probability that a student's mention needs. Between 0.2 and 0.4, F1 hardly differs (WNUT17, CoNLL-2003, CrossNER)."""

_MAX_READER_SENTENCES = 2000
"""Sentences that a reader is adapted to; their spans are kept in memory, some 100 kB for each."""


def train_student(
    kind: StudentKind,
    gold: Sequence[Document],
    silver: Sequence[Document],
    labels: LabelSet,
    *,
    seed: int = 0,
    on_step: Callable[[str, int, int], None] = lambda *_: None,
) -> Student:
    """Train a student.

    Args:
        kind: which model.
        gold: annotated sentences.
        silver: sentences that the teacher annotated.
        labels: of their mentions.
        seed: of the sample of a reader's sentences.
        on_step: called with what is done, how much of it, and of how much.

    Raises:
        DataError: no sentence has a mention, or a reader can learn nothing from them.
        MissingExtraError: a library that trains it is not installed.
    """
    documents = [*gold, *silver]
    if not any(document.mentions for document in documents):
        raise DataError("no mention to train on; give more texts, or a better pool")
    if kind == "tagger":
        on_step("training the student", 0, 1)
        return Student(kind, labels, train_tagger(documents, labels.names))
    reader = LabelReader(BUNDLED_READER.name, BUNDLED_READER)
    sampled = [*gold, *random.Random(seed).sample(silver, min(len(silver), _MAX_READER_SENTENCES))]
    tables = read_pool(reader, sampled, labels, lambda done: on_step("training the student", done, len(sampled)))
    adapter = fit_adapter(sampled, tables, labels)
    if adapter is None:
        raise DataError("the label reader finds no span that it could learn from; give more texts")
    return Student(kind, labels, AdaptedReader(reader, adapter))


def predict_mentions(student: Student, texts: Sequence[str]) -> list[tuple[Mention, ...]]:
    """The mentions of texts by the student alone."""
    return [
        tuple(
            resolve_overlaps(
                [
                    Mention(s.span.start, s.span.end, s.top_label, s.span.slice(text), s.score)
                    for s in spans
                    if s.score >= THRESHOLD
                ],
                nested=student.label_set.nested,
            )[0]
        )
        for text, spans in zip(texts, student.tag(texts), strict=True)
    ]


def exact_f1(gold: Sequence[Document], predicted: Iterable[Sequence[Mention]]) -> float:
    """Exact micro F1 of predicted mentions."""
    counts = (
        exact_counts(sentence.mentions, mentions).micro for sentence, mentions in zip(gold, predicted, strict=True)
    )
    return sum(counts, Counts()).f1


def measure_speed(student: Student, texts: Sequence[str]) -> float:
    """Texts per second, one at a time."""
    start_time = time.monotonic()
    for text in texts:
        predict_mentions(student, [text])
    return len(texts) / (time.monotonic() - start_time)


def write_folder(student: Student, folder: Path) -> None:
    """Write a student with the configuration that runs it.

    Raises:
        OSError: it cannot be written.
    """
    save_student(student, folder)
    lines = [
        "# A student that `entsemble distil` made: entsemble extract TEXTS --config THIS_FILE",
        f"nested = {str(student.label_set.nested).lower()}",
        "",
        "[labels]",
        *(f"{_toml(label.name)} = {_toml(label.definition)}" for label in student.label_set),
        "",
        "[[voices]]",
        'model = "student:."',
        'name = "student"',
        "",
        "[classification]",
        f"threshold = {THRESHOLD}",
    ]
    (folder / SETTINGS_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _toml(text: str) -> str:
    """A basic string, which escapes as JSON does."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
