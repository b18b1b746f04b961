"""The student: a small spaCy pipeline, trained on an ensemble's annotations.

Distillation (G. Hinton et al., "Distilling the knowledge in a neural network", 2015) with hard labels: the teacher's
confident annotations are used like any other training data.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from entsemble._lib.optional import require
from entsemble.data import docbin
from entsemble.errors import ConfigError, DataError
from entsemble.evaluation.counts import Counts
from entsemble.evaluation.matching import exact_counts
from entsemble.types import Document, Mention
from entsemble.voting.overlaps import resolve_overlaps

_BATCH_SIZES = 4.0, 32.0, 1.001
"""Sentences per step: first, last, and the factor by which the number grows."""

_DROPOUT = 0.2
_PATIENCE = 5
"""Early stopping: epochs without a better F1 on the development sentences."""


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Sentences to train on.

    Attributes:
        documents: sentences with confident mentions only, and a proportional sample of those without mentions.
        excluded: sentences that were left out.
        nested: mentions inside others, which spaCy's entity recogniser does not support.
    """

    documents: tuple[Document, ...]
    excluded: int
    nested: int


def select_confident(sentences: Sequence[Document], min_score: float, seed: int = 0) -> TrainingSet:
    """The sentences in which all mentions score at least `min_score`, reduced to their outermost mentions.

    A gold mention, which has no score, is confident. A sentence without mentions cannot be unsure. If all of those
    were included and most others excluded, the student would learn that mentions are rare, so the share of sentences
    without mentions is kept by sampling.
    """
    confident = [
        sentence
        for sentence in sentences
        if all(mention.score is None or mention.score >= min_score for mention in sentence.mentions)
    ]
    with_mentions = sum(bool(sentence.mentions) for sentence in sentences)
    confident_with_mentions = sum(bool(sentence.mentions) for sentence in confident)
    empty = [index for index, sentence in enumerate(confident) if not sentence.mentions]
    sample_size = round(confident_with_mentions * len(empty) / with_mentions) if with_mentions else len(empty)
    sampled = set(random.Random(seed).sample(empty, min(sample_size, len(empty))))
    selected, nested = [], 0
    for index, sentence in enumerate(confident):
        if sentence.mentions or index in sampled:
            outermost = outermost_mentions(sentence.mentions)
            nested += len(sentence.mentions) - len(outermost)
            selected.append(replace(sentence, mentions=outermost))
    return TrainingSet(tuple(selected), len(sentences) - len(selected), nested)


@dataclass(frozen=True, slots=True)
class Student:
    """A trained pipeline.

    Attributes:
        nlp: the spaCy pipeline.
        f1: exact F1 on the development sentences.
        epoch: the best epoch, from 1, whose weights it has.
        seconds: duration of the training.
    """

    nlp: Any
    f1: float
    epoch: int
    seconds: float


def train_student(
    training: Sequence[Document],
    development: Sequence[Document],
    language: str,
    *,
    epochs: int = 30,
    seed: int = 0,
    on_epoch: Callable[[int, int, float], None] = lambda *_: None,
) -> Student:
    """Train spaCy's entity recogniser with its smallest vectors; the epoch with the best development F1 is returned.

    Args:
        training: annotated sentences.
        development: other annotated sentences.
        language: spaCy's code for the language of the texts.
        epochs: maximum.
        seed: of all random choices.
        on_epoch: called after each epoch with its number, the maximum, and the development F1.

    Raises:
        ConfigError: spaCy does not support the language.
        DataError: no training sentence has a mention.
        MissingExtraError: spaCy is not installed.
    """
    nlp = blank_pipeline(language)
    from spacy import util
    from spacy.training import Example

    labels = sorted({mention.label for sentence in training for mention in sentence.mentions})
    if not labels:
        raise DataError("no confident mention to train on; give more texts, a better pool, or a lower --min-score")
    helpers: Any = util  # partly typed
    helpers.fix_random_seed(seed)
    recogniser: Any = nlp.add_pipe("ner")
    for label in labels:
        recogniser.add_label(label)
    examples = [Example(nlp.make_doc(sentence.text), _gold_doc(nlp, sentence)) for sentence in training]
    generator, start_time = random.Random(seed), time.monotonic()
    optimiser = nlp.initialize(lambda: examples)
    batch_sizes = helpers.compounding(*_BATCH_SIZES)
    best_f1, best_epoch, best_weights = -1.0, 0, b""
    for epoch in range(1, epochs + 1):
        generator.shuffle(examples)
        for batch in helpers.minibatch(examples, batch_sizes):
            nlp.update(batch, drop=_DROPOUT, sgd=optimiser)
        f1 = pipeline_f1(nlp, development)
        on_epoch(epoch, epochs, f1)
        if f1 > best_f1:
            best_f1, best_epoch, best_weights = f1, epoch, nlp.to_bytes()
        elif best_f1 > 0 and epoch - best_epoch >= _PATIENCE:
            break
    nlp.from_bytes(best_weights)
    return Student(nlp, best_f1, best_epoch, time.monotonic() - start_time)


def blank_pipeline(language: str) -> Any:  # noqa: ANN401 - a spaCy pipeline
    """An empty pipeline.

    Raises:
        ConfigError: spaCy does not support the language, or needs another package for it.
        MissingExtraError: spaCy is not installed.
    """
    spacy = require("spacy", "spacy", "distillation")
    try:
        return spacy.blank(language)
    except ImportError as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"spaCy does not support the language {language!r}: {reason}") from error


def pipeline_f1(nlp: Any, gold: Sequence[Document]) -> float:  # noqa: ANN401 - a spaCy pipeline
    """Exact micro F1 of a pipeline on annotated sentences."""
    docs = nlp.pipe(sentence.text for sentence in gold)
    return exact_f1(gold, [docbin.read_mentions(doc) for doc in docs])


def exact_f1(gold: Sequence[Document], predicted: Iterable[Sequence[Mention]]) -> float:
    """Exact micro F1 of predicted mentions, without nested mentions on either side."""
    counts = (
        exact_counts(outermost_mentions(sentence.mentions), outermost_mentions(mentions)).micro
        for sentence, mentions in zip(gold, predicted, strict=True)
    )
    return sum(counts, Counts()).f1


def measure_speed(nlp: Any, texts: Sequence[str]) -> float:  # noqa: ANN401 - a spaCy pipeline
    """Texts per second."""
    start_time = time.monotonic()
    for _ in nlp.pipe(texts):
        pass
    return len(texts) / (time.monotonic() - start_time)


def outermost_mentions(mentions: Sequence[Mention]) -> tuple[Mention, ...]:
    """Mentions that do not overlap, without scores; the longest are preferred, then the first."""
    unscored = [replace(mention, score=None) for mention in mentions]
    selected, _ = resolve_overlaps(unscored, nested=False)
    return tuple(selected)


def _gold_doc(nlp: Any, sentence: Document) -> Any:  # noqa: ANN401 - a spaCy Doc
    doc = nlp.make_doc(sentence.text)
    docbin.add_mentions(doc, sentence.mentions)
    return doc
