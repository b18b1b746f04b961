"""A distilled student in a folder: a sequence tagger or an adapted label reader, with the labels that it knows.

What a folder holds is read as JSON, arrays and ONNX alone, none of which can execute anything.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from entsemble.backends.label_reader.adapt import AdaptedReader, ReaderAdapter
from entsemble.backends.label_reader.model import CONFIG, NETWORK, TOKENIZER, LabelReader
from entsemble.backends.tagger import SequenceTagger
from entsemble.errors import ModelUnavailableError
from entsemble.types import Label, LabelSet, ScoredSpan

STUDENT_FILE = "student.json"

_FORMAT = "entsemble.student/1"
_WEIGHTS, _READER = "weights.npz", "reader"

_MIN_PROBABILITY = 0.02
"""Spans that a student finds less probable are nothing that a vote could make a mention."""


@dataclass(frozen=True, slots=True)
class Student:
    """A model with labels of its own, trained on what an ensemble answered; see `protocols.SpanTagger`.

    Attributes:
        name: in votes and reports.
        label_set: that it was trained on, as its model sees them.
        scorer: the model.
    """

    name: str
    label_set: LabelSet
    scorer: SequenceTagger | AdaptedReader

    @property
    def labels(self) -> tuple[str, ...]:
        """See `SpanTagger.labels`."""
        return tuple(self.label_set.names)

    @property
    def is_exhaustive(self) -> bool:
        """See `SpanTagger.is_exhaustive`."""
        return True

    @property
    def fingerprint(self) -> str:
        """Identifies the weights and the labels."""
        return f"student:{self.scorer.fingerprint}:{json.dumps(_label_values(self.label_set))}"

    @property
    def parameters(self) -> int | None:
        """Number of weights, if known."""
        return self.scorer.parameters

    def tag(self, texts: Sequence[str]) -> list[list[ScoredSpan]]:
        """See `SpanTagger.tag`."""
        return self.scorer.score_spans(texts, self.label_set, _MIN_PROBABILITY)

    def close(self) -> None:
        """Free the model's memory."""
        if isinstance(self.scorer, AdaptedReader):
            self.scorer.reader.close()


def save_student(student: Student, folder: Path) -> None:
    """Write a student to a new folder; a label reader is written with its network, so that no other is needed.

    Raises:
        OSError: it cannot be written.
    """
    scorer = student.scorer
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(scorer, SequenceTagger):
        kind, weights = "tagger", scorer.to_bytes()
    else:
        kind, weights = "reader", scorer.adapter.to_bytes()
        (folder / _READER).mkdir()
        for file_name in (NETWORK, TOKENIZER, CONFIG):
            shutil.copyfile(scorer.reader.folder / file_name, folder / _READER / file_name)
    (folder / _WEIGHTS).write_bytes(weights)
    values = {"format": _FORMAT, "kind": kind, "labels": _label_values(student.label_set)}
    (folder / STUDENT_FILE).write_text(json.dumps(values, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def load_student(name: str, folder: Path, *, threads: int = 1) -> Student:
    """The student in a folder.

    Args:
        name: in votes and reports.
        folder: that `save_student` wrote.
        threads: CPU threads of a label reader.

    Raises:
        MissingExtraError: a library that runs it is not installed.
        ModelUnavailableError: the folder holds no student, or a damaged one.
    """
    if not (folder / STUDENT_FILE).is_file():
        raise ModelUnavailableError(
            f"{folder} is not a student: it has no {STUDENT_FILE}; `entsemble distil` makes such folders"
        )
    try:
        values = json.loads((folder / STUDENT_FILE).read_text(encoding="utf-8"))
        if values["format"] != _FORMAT:
            raise ValueError(f"its format is {values['format']}, and this version reads {_FORMAT}")
        labels = LabelSet(tuple(Label(*map(str, label)) for label in values["labels"]))
        content = (folder / _WEIGHTS).read_bytes()
        if values["kind"] == "tagger":
            return Student(name, labels, SequenceTagger.from_bytes(content))
        adapter = ReaderAdapter.from_bytes(content)
    except (KeyError, OSError, TypeError, ValueError) as error:
        raise ModelUnavailableError(f"{folder} holds no student that can be loaded: {error}") from error
    return Student(name, labels, AdaptedReader(LabelReader(name, folder / _READER, threads=threads), adapter))


def _label_values(labels: LabelSet) -> list[list[str]]:
    return [[label.name, label.readable, label.definition] for label in labels]
