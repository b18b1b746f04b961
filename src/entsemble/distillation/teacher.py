"""Distillation: the ensemble annotates texts, and a small spaCy pipeline learns from what it is sure of."""

from __future__ import annotations

import random
import shutil
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from entsemble._lib.text import same_text_key
from entsemble.assembly import Assembly, ProgressCallbacks, adapt, without_mentions
from entsemble.data.windows import sentence_splitter, split_document
from entsemble.distillation.student import Student, blank, f1_of, speed_of, sure, train_student
from entsemble.errors import ConfigError, DataError
from entsemble.execution.journal import Journal
from entsemble.extractor import LocalExtractor
from entsemble.ner.documents import Extracted
from entsemble.pool.leakage import text_keys
from entsemble.settings import Environment, Settings
from entsemble.types import Document, Mention

HELD_BACK = 0.2
"""Share of the pool that neither teacher nor student is shown: both are scored on it."""


@dataclass(frozen=True, slots=True)
class DistillationOptions:
    """How a student is to be taught.

    Attributes:
        output: folder of the pipeline.
        min_score: score that every mention of a sentence needs for the student to learn from it.
        epochs: at most.
        replace: whether what `output` holds may be replaced.
    """

    output: Path
    min_score: float = 0.6
    epochs: int = 30
    replace: bool = False


@dataclass(frozen=True, slots=True)
class DistillationResult:
    """What came of it. F1 is exact, on the sentences held back, nested mentions aside.

    Attributes:
        sentences: that the teacher annotated, and `sure` those of them that the student learnt from.
        failed: sentences that the teacher could not do.
        nested: mentions inside others, which the student cannot have.
        pool, held_back: annotated sentences that it learnt from, and that both are scored on.
        teacher_rate, student_rate: sentences a second; the teacher's `None` where an earlier run did them all.
        epoch: that was kept.
        training_seconds: of all epochs.
    """

    sentences: int
    sure: int
    failed: int
    nested: int
    pool: int
    held_back: int
    teacher_f1: float
    student_f1: float
    teacher_rate: float | None
    student_rate: float
    epoch: int
    training_seconds: float


@dataclass(slots=True)
class Distillation:
    """One distillation; `stop` ends it early, and the same again goes on.

    Attributes:
        settings: of the ensemble; with a pool.
        environment: where models are.
        options: how.
        progress: told about downloads and how far it is.
    """

    settings: Settings
    environment: Environment
    options: DistillationOptions
    progress: ProgressCallbacks = field(default_factory=ProgressCallbacks)
    _stopping: threading.Event = field(default_factory=threading.Event, init=False)
    _extractor: LocalExtractor | None = field(default=None, init=False)

    def stop(self) -> None:
        """Begin nothing more; what was done is kept beside the output."""
        self._stopping.set()
        if self._extractor is not None:
            self._extractor.stop()

    def run(self, texts: Iterable[Document]) -> DistillationResult | None:
        """Annotate, train, score and keep; `None` where it was stopped.

        Args:
            texts: documents whose own mentions are not looked at.

        Raises:
            ConfigError: no pool.
            DataError: the output exists, the pool is too small, or nothing is sure.
            MissingExtraError: spaCy is not installed.
            ModelError: models that cannot be had.
        """
        if self.settings.pool.path is None:
            raise ConfigError("a student needs a --pool: it learns from its sentences, and is scored on some of them")
        output = self.options.output
        if output.exists() and not self.options.replace:
            raise DataError("it exists already; give another name, or replace it", output)
        if output.exists() and not (output / "meta.json").is_file():
            raise DataError("it is no pipeline of spaCy, so it is not replaced; give another name", output)
        blank(self.settings.language)  # what is missing is said before hours of annotation
        with ExitStack() as stack:
            journal = stack.enter_context(closing(Journal(self.options.output)))
            shown, dev = self._split()
            dev_keys = text_keys(dev, sentence_splitter(self.settings.language))
            sentences = _sentences(texts, self.settings.language, dev_keys)
            settings, _, _ = adapt(self.settings, self.environment, sentences, self.progress, scored=dev)
            assembly = stack.enter_context(Assembly(settings, self.environment, self.progress, pool=shown))
            self._extractor = assembly.extractor()
            if self._stopping.is_set():
                return None
            journal.begin(self._extractor.configuration)
            taught, rate = self._annotated([*map(without_mentions, dev), *sentences], journal)
            if self._stopping.is_set():
                return None
            answered = [replace(d, mentions=taught[d.id]) for d in sentences if d.id in taught]
            silver = sure(answered, self.options.min_score, self.settings.seed)
            gold = sure(shown, 0)
            student = self._trained([*gold.documents, *silver.documents], dev)
            self._keep(student)
            journal.remove()
        return DistillationResult(
            sentences=len(sentences),
            sure=len(silver.documents),
            failed=sum(d.id not in taught for d in (*dev, *sentences)),
            nested=silver.nested + gold.nested,
            pool=len(shown),
            held_back=len(dev),
            teacher_f1=f1_of(dev, [taught.get(d.id, ()) for d in dev]),
            student_f1=student.f1,
            teacher_rate=rate,
            student_rate=speed_of(student.nlp, [d.text for d in sentences]),
            epoch=student.epoch,
            training_seconds=student.seconds,
        )

    def _split(self) -> tuple[list[Document], list[Document]]:
        """The pool: what is shown, and what is held back."""
        every = Assembly(self.settings, self.environment).pool_documents()
        drawn = random.Random(self.settings.seed).sample(every, len(every))
        count = max(1, round(HELD_BACK * len(drawn)))
        dev, shown = drawn[:count], drawn[count:]
        split = sentence_splitter(self.settings.language)
        own = text_keys(dev, split)
        shown = [d for d in shown if own.isdisjoint(text_keys([d], split))]
        if not any(d.mentions for d in shown) or not any(d.mentions for d in dev):
            raise DataError("too few annotated sentences to show some and score others", self.settings.pool.path)
        return shown, [replace(d, id=f"held back {i}") for i, d in enumerate(dev)]

    def _annotated(
        self, documents: Sequence[Document], journal: Journal
    ) -> tuple[dict[str, tuple[Mention, ...]], float | None]:
        """The teacher's mentions by id, and how many sentences a second it did."""
        if self._extractor is None:
            raise RuntimeError("no teacher")
        found: dict[str, tuple[Mention, ...]] = {}
        fresh, began = 0, time.monotonic()
        for number, result in enumerate(self._extractor.extract(documents, journal), 1):
            self.progress.on_step("annotating", number, len(documents))
            if isinstance(result, Extracted):
                found[result.document.id] = result.document.mentions
                fresh += not result.from_journal
        return found, fresh / (time.monotonic() - began) if fresh else None

    def _trained(self, learnt: Sequence[Document], dev: Sequence[Document]) -> Student:
        def told(epoch: int, epochs: int, _: float) -> None:
            self.progress.on_step("training", epoch, epochs)

        settings, epochs = self.settings, self.options.epochs
        return train_student(learnt, dev, settings.language, epochs=epochs, seed=settings.seed, told=told)

    def _keep(self, student: Student) -> None:
        """Written beside and renamed, so that there is a whole pipeline or what was there before."""
        output = self.options.output
        new = output.with_name(f".{output.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        try:
            student.nlp.to_disk(new)
            old = output.with_name(f".{output.name}.old")
            shutil.rmtree(old, ignore_errors=True)
            if output.exists():
                output.rename(old)
            new.rename(output)
            shutil.rmtree(old, ignore_errors=True)
        except OSError as error:
            raise DataError(f"it cannot be written ({error.strerror})", output) from error


def _sentences(texts: Iterable[Document], language: str, apart: set[str]) -> list[Document]:
    """The texts in sentences, each once, without those that both are scored on."""
    found: dict[str, Document] = {}
    for document in texts:
        for part in split_document(without_mentions(document), language=language):
            key = same_text_key(part.text)
            if key and key not in apart:
                found.setdefault(key, part)
    return list(found.values())
