"""A small spaCy pipeline that learns from what an ensemble found: for who needs thousands of sentences a second.

Distillation (G. Hinton et al., "Distilling the knowledge in a neural network", 2015) by hard labels: the teacher's sure
answers are training data like any other.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from entsemble.data import docbin
from entsemble.errors import ConfigError, DataError, MissingExtraError
from entsemble.evaluation.counts import Counts
from entsemble.evaluation.matching import exact_counts
from entsemble.types import Document, Mention

_BATCHES = 4.0, 32.0, 1.001
"""Sentences a step: from few to many, growing by this factor."""

_DROPOUT = 0.2
_PATIENCE = 5
"""Epochs without a better F1 on the development sentences, after which the training ends."""


@dataclass(frozen=True, slots=True)
class Sure:
    """What of the teacher's answers a student learns from.

    Attributes:
        documents: sentences whose every mention is sure, and of those without one as many as keep their share.
        left_out: sentences that are not learnt from.
        nested: mentions inside others, which spaCy's entity recogniser cannot have.
    """

    documents: tuple[Document, ...]
    left_out: int
    nested: int


def sure(sentences: Sequence[Document], least: float, seed: int = 0) -> Sure:
    """Sentences whose mentions all have a score of at least `least`; of nested mentions the outermost.

    A mention without a score is somebody's word, and sure. A sentence without mentions has nothing that could be
    unsure: were all of them kept, most mentions gone, they would teach that there is hardly ever one. They are drawn.
    """
    passed = [d for d in sentences if all(m.score is None or m.score >= least for m in d.mentions)]
    before, after = (sum(bool(d.mentions) for d in some) for some in (sentences, passed))
    empty = [i for i, d in enumerate(passed) if not d.mentions]
    wanted = round(after * len(empty) / before) if before else len(empty)
    drawn = set(random.Random(seed).sample(empty, min(wanted, len(empty))))
    kept, nested = [], 0
    for i, sentence in enumerate(passed):
        if sentence.mentions or i in drawn:
            outermost = flat(sentence.mentions)
            nested += len(sentence.mentions) - len(outermost)
            kept.append(replace(sentence, mentions=outermost))
    return Sure(tuple(kept), len(sentences) - len(kept), nested)


@dataclass(frozen=True, slots=True)
class Student:
    """A pipeline that was trained.

    Attributes:
        nlp: spaCy's.
        f1: on the development sentences, exact.
        epoch: from which it is, from 1.
        seconds: of the training.
    """

    nlp: Any
    f1: float
    epoch: int
    seconds: float


def train_student(
    learnt: Sequence[Document],
    dev: Sequence[Document],
    language: str,
    *,
    epochs: int = 30,
    seed: int = 0,
    told: Callable[[int, int, float], None] = lambda *_: None,
) -> Student:
    """Train spaCy's entity recogniser on its smallest vectors; the epoch that does best on `dev` is kept.

    Args:
        learnt: annotated sentences.
        dev: others.
        language: of their texts, as spaCy calls it.
        epochs: at most.
        seed: of everything that is drawn.
        told: epoch, epochs, F1 on `dev`.

    Raises:
        ConfigError: spaCy does not have the language.
        DataError: nothing to learn from.
        MissingExtraError: spaCy is not installed.
    """
    nlp = blank(language)
    from spacy import util
    from spacy.training import Example

    if not any(d.mentions for d in learnt):
        raise DataError("no sure mention to learn from; give more texts, a better pool, or a lower --min-score")
    helpers: Any = util  # partly typed
    helpers.fix_random_seed(seed)
    recogniser: Any = nlp.add_pipe("ner")
    for label in sorted({m.label for d in learnt for m in d.mentions}):
        recogniser.add_label(label)
    examples = [Example(nlp.make_doc(d.text), _reference(nlp, d)) for d in learnt]
    draw, began = random.Random(seed), time.monotonic()
    optimiser = nlp.initialize(lambda: examples)
    sizes = helpers.compounding(*_BATCHES)
    best: tuple[float, int, bytes] = (-1.0, 0, b"")
    for epoch in range(1, epochs + 1):
        draw.shuffle(examples)
        for batch in helpers.minibatch(examples, sizes):
            nlp.update(batch, drop=_DROPOUT, sgd=optimiser)
        f1 = score_of(nlp, dev)
        told(epoch, epochs, f1)
        if f1 > best[0]:
            best = f1, epoch, nlp.to_bytes()
        elif best[0] > 0 and epoch - best[1] >= _PATIENCE:
            break
    nlp.from_bytes(best[2])
    return Student(nlp, best[0], best[1], time.monotonic() - began)


def blank(language: str) -> Any:  # noqa: ANN401 - a pipeline of spaCy
    """An empty pipeline.

    Raises:
        ConfigError: spaCy does not have the language, or not without more packages.
        MissingExtraError: spaCy is not installed.
    """
    try:
        import spacy
    except ImportError as error:
        raise MissingExtraError("spacy", "spacy", "a student") from error
    try:
        return spacy.blank(language)
    except ImportError as error:
        raise ConfigError(f"spaCy cannot do the language {language!r}: {str(error).splitlines()[0]}") from error


def score_of(nlp: Any, gold: Sequence[Document]) -> float:  # noqa: ANN401 - a pipeline of spaCy
    """Its F1 on annotated sentences, exact, all labels together."""
    return f1_of(gold, [docbin.read_mentions(doc) for doc in nlp.pipe(d.text for d in gold)])


def f1_of(gold: Sequence[Document], answers: Iterable[Sequence[Mention]]) -> float:
    """F1 of answers, exact, all labels together, nested mentions aside."""
    counts = (exact_counts(flat(d.mentions), flat(said)).micro for d, said in zip(gold, answers, strict=True))
    return sum(counts, Counts()).f1


def speed_of(nlp: Any, texts: Sequence[str]) -> float:  # noqa: ANN401 - a pipeline of spaCy
    """Texts a second."""
    began = time.monotonic()
    for _ in nlp.pipe(texts):
        pass
    return len(texts) / (time.monotonic() - began)


def _reference(nlp: Any, document: Document) -> Any:  # noqa: ANN401 - a Doc of spaCy
    doc = nlp.make_doc(document.text)
    docbin.add_mentions(doc, document.mentions)
    return doc


def flat(mentions: Sequence[Mention]) -> tuple[Mention, ...]:
    """The longest that do not overlap."""
    kept: list[Mention] = []
    for mention in sorted(mentions, key=lambda m: (m.start - m.end, m.start)):
        if not any(mention.span.overlaps(other.span) for other in kept):
            kept.append(mention)
    return tuple(sorted(kept, key=lambda m: m.start))
