"""Distillation: the ensemble annotates texts, and a small model, the student, is trained on its annotations."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from entsemble._lib.atomic import replacing
from entsemble._lib.text import same_text_key
from entsemble.assembly import ProgressCallbacks
from entsemble.backends.student import STUDENT_FILE, Student
from entsemble.data.annotated import read_annotated, without_mentions
from entsemble.data.windows import sentence_splitter, split_document
from entsemble.distillation.student import (
    StudentKind,
    exact_f1,
    measure_speed,
    predict_mentions,
    train_student,
    write_folder,
)
from entsemble.ensemble import Ensemble, Run
from entsemble.errors import ConfigError, DataError
from entsemble.execution.journal import Journal
from entsemble.ner.documents import Extracted
from entsemble.pool.leakage import text_keys
from entsemble.settings import Environment, Settings
from entsemble.types import Document, LabelSet, Mention

HELD_OUT_SHARE = 0.2
"""Share of the pool that is held out from both teacher and student, to score them."""

_TIMED_SENTENCES = 200
"""That a student's speed is measured on."""


@dataclass(frozen=True, slots=True)
class DistillationOptions:
    """How to train a student.

    Attributes:
        output: folder for the student.
        student: which model it is.
        replace: whether an existing student in `output` may be replaced.
    """

    output: Path
    student: StudentKind = "tagger"
    replace: bool = False


@dataclass(frozen=True, slots=True)
class DistillationResult:
    """Counts and scores. F1 is exact, on the held-out sentences, which neither teacher nor student has seen.

    Attributes:
        sentences: annotated by the teacher, which the student is trained on.
        failed: sentences that the teacher failed on.
        pool, held_back: pool sentences to train on, and to score both on.
        teacher_f1, student_f1: scores.
        teacher_rate, student_rate: sentences per second; the teacher's is `None` if an earlier run had annotated all.
        training_seconds: of the student that is saved.
    """

    sentences: int
    failed: int
    pool: int
    held_back: int
    teacher_f1: float
    student_f1: float
    teacher_rate: float | None
    student_rate: float
    training_seconds: float


@dataclass(slots=True)
class Distillation:
    """One distillation. `stop` ends it early; running it again resumes.

    Attributes:
        settings: of the ensemble; with a pool.
        environment: where models are stored.
        options: how to train.
        progress: called during downloads, annotation and training.
    """

    settings: Settings
    environment: Environment
    options: DistillationOptions
    progress: ProgressCallbacks = field(default_factory=ProgressCallbacks)
    _stopping: threading.Event = field(default_factory=threading.Event, init=False)
    _run: Run | None = field(default=None, init=False)

    def stop(self) -> None:
        """Start no further sentence. Finished ones are kept in a journal beside the output."""
        self._stopping.set()
        if self._run is not None:
            self._run.stop()

    def run(self, texts: Iterable[Document]) -> DistillationResult | None:
        """Annotate, train, score and save.

        Args:
            texts: documents to annotate; their own mentions are ignored.

        Returns:
            The result, or `None` if it was stopped.

        Raises:
            ConfigError: no pool.
            DataError: the output exists, the pool is too small, or there is no mention to train on.
            MissingExtraError: a library that trains the student is not installed.
            ModelError: a model is not available.
        """
        self._check_output()
        with closing(Journal(self.options.output)) as journal:
            examples, held_out = self._split_pool()
            sentences = self._unique_sentences(texts, held_out)
            annotation = self._annotate(sentences, examples, held_out, journal)
            if annotation is None:
                return None
            mentions_by_id, labels, teacher_rate = annotation
            silver = [
                replace(sentence, mentions=mentions_by_id[sentence.id])
                for sentence in sentences
                if sentence.id in mentions_by_id
            ]
            student = self._train(examples, silver, labels)
            held_out_texts = [sentence.text for sentence in held_out]
            student_f1 = exact_f1(held_out, predict_mentions(student, held_out_texts))
            student.close()
            start_time = time.monotonic()
            student = self._train([*examples, *held_out], silver, labels)
            training_seconds = time.monotonic() - start_time
            self._save(student, journal)
            journal.remove()
        timed_texts = [sentence.text for sentence in (*silver, *held_out)[:_TIMED_SENTENCES]]
        with closing(student):
            student_rate = measure_speed(student, timed_texts)
        return DistillationResult(
            sentences=len(silver),
            failed=sum(sentence.id not in mentions_by_id for sentence in (*held_out, *sentences)),
            pool=len(examples),
            held_back=len(held_out),
            teacher_f1=exact_f1(held_out, [mentions_by_id.get(sentence.id, ()) for sentence in held_out]),
            student_f1=student_f1,
            teacher_rate=teacher_rate,
            student_rate=student_rate,
            training_seconds=training_seconds,
        )

    def _check_output(self) -> None:
        output = self.options.output
        if output.exists() and not self.options.replace:
            raise DataError("exists already; choose another name, or pass --replace", output)
        if output.exists() and not (output / STUDENT_FILE).is_file():
            raise DataError("is not a student, so it is not replaced; choose another name", output)

    def _split_pool(self) -> tuple[list[Document], list[Document]]:
        """The pool's sentences, shuffled: examples for both to learn from, and those to score both on."""
        pool_path = self.settings.pool.path
        if pool_path is None:
            raise ConfigError("distillation needs a --pool: to train on, and to score teacher and student on")
        purpose = "a pool needs sentences with mentions to show"
        pool = read_annotated(pool_path, self.settings.pool.format, self.settings.language, purpose)
        shuffled = random.Random(self.settings.seed).sample(pool, len(pool))
        held_out_count = max(1, round(HELD_OUT_SHARE * len(shuffled)))
        held_out = shuffled[:held_out_count]
        held_out_keys = self._text_keys(held_out)
        examples = [
            sentence for sentence in shuffled[held_out_count:] if held_out_keys.isdisjoint(self._text_keys([sentence]))
        ]
        if not any(sentence.mentions for sentence in examples) or not any(sentence.mentions for sentence in held_out):
            raise DataError("too few annotated sentences: some are needed to train on, and others to score", pool_path)
        return examples, [replace(sentence, id=f"held back {index}") for index, sentence in enumerate(held_out)]

    def _unique_sentences(self, texts: Iterable[Document], held_out: Sequence[Document]) -> list[Document]:
        """The sentences of the texts, each once, without those that are held out."""
        held_out_keys = self._text_keys(held_out)
        by_key: dict[str, Document] = {}
        for document in texts:
            for sentence in split_document(without_mentions(document), language=self.settings.language):
                key = same_text_key(sentence.text)
                if key and key not in held_out_keys:
                    by_key.setdefault(key, sentence)
        return list(by_key.values())

    def _text_keys(self, sentences: Sequence[Document]) -> set[str]:
        return text_keys(sentences, sentence_splitter(self.settings.language))

    def _annotate(
        self,
        sentences: Sequence[Document],
        examples: Sequence[Document],
        held_out: Sequence[Document],
        journal: Journal,
    ) -> tuple[dict[str, tuple[Mention, ...]], LabelSet, float | None] | None:
        """The teacher's mentions by sentence id, its labels and sentences per second; `None` if it was stopped."""
        of_pool = sorted({mention.label for sentence in (*examples, *held_out) for mention in sentence.mentions})
        settings = self.settings.model_copy(update={"labels": self.settings.labels or dict.fromkeys(of_pool, "")})
        ensemble = Ensemble(
            settings,
            environment=self.environment,
            examples=examples,
            held_out=held_out,
            progress=self.progress,
        )
        mentions_by_id: dict[str, tuple[Mention, ...]] = {}
        with ensemble:
            ensemble.prepare(sentences)
            if self._stopping.is_set():
                return None
            journal.begin(ensemble.fingerprints)
            self._run = ensemble.run([*held_out, *sentences], journal=journal)
            if self._stopping.is_set():
                self._run.stop()
            annotated_now, start_time = 0, time.monotonic()
            for number, result in enumerate(self._run, 1):
                self.progress.on_step("annotating", number, len(held_out) + len(sentences))
                if isinstance(result, Extracted):
                    mentions_by_id[result.document.id] = result.document.mentions
                    annotated_now += not result.from_journal
            labels = ensemble.labels
            rate = annotated_now / (time.monotonic() - start_time) if annotated_now else None
        return None if self._stopping.is_set() else (mentions_by_id, labels, rate)

    def _train(self, gold: Sequence[Document], silver: Sequence[Document], labels: LabelSet) -> Student:
        kind, on_step = self.options.student, self.progress.on_step
        return train_student(kind, gold, silver, labels, seed=self.settings.seed, on_step=on_step)

    def _save(self, student: Student, journal: Journal) -> None:
        try:
            with replacing(self.options.output, lock=journal.lock) as folder:
                write_folder(student, folder)
        except OSError as error:
            raise DataError(f"cannot be written ({error.strerror})", self.options.output) from error
