"""Students in folders."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from entsemble.backends.label_reader.adapt import AdaptedReader, fit_adapter, read_pool
from entsemble.backends.label_reader.model import BUNDLED_READER, LabelReader
from entsemble.backends.student import STUDENT_FILE, Student, load_student, save_student
from entsemble.backends.tagger import train_tagger
from entsemble.errors import ModelUnavailableError
from entsemble.protocols import SpanTagger
from entsemble.types import Document
from tests.factories import document, label_set

pytest.importorskip("pycrfsuite", reason="needs the extra 'embedded'")

LABELS = label_set("person", "place")
TEXT = "Then Ann left Oslo."


def sentences() -> list[Document]:
    pairs = [(name, town) for name in ("Ann", "Bob", "Eve") for town in ("Oslo", "Rome", "Riga")]
    return [document(f"Then {name} left {town}.", (name, "person"), (town, "place")) for name, town in pairs]


@pytest.fixture
def student() -> Student:
    return Student("student", LABELS, train_tagger(sentences(), LABELS.names))


def test_a_tagger_survives_being_stored(student: Student, tmp_path: Path) -> None:
    save_student(student, tmp_path)
    stored = load_student("student", tmp_path)
    assert isinstance(stored, SpanTagger)
    assert (stored.labels, stored.fingerprint) == (student.labels, student.fingerprint)
    assert stored.tag([TEXT]) == student.tag([TEXT])
    assert {s.span.slice(TEXT): s.top_label for s in stored.tag([TEXT])[0] if s.score > 0.5} == {
        "Ann": "person",
        "Oslo": "place",
    }


def test_a_reader_is_stored_with_its_network(tmp_path: Path) -> None:
    for package in ("onnxruntime", "scipy", "tokenizers"):
        pytest.importorskip(package)
    reader = LabelReader("label-reader", BUNDLED_READER)
    adapter = fit_adapter(sentences(), read_pool(reader, sentences(), LABELS), LABELS)
    assert adapter is not None
    student = Student("student", LABELS, AdaptedReader(reader, adapter))
    save_student(student, tmp_path)
    stored = load_student("student", tmp_path)
    assert stored.fingerprint == student.fingerprint
    assert stored.tag([TEXT]) == student.tag([TEXT])
    stored.close()
    (tmp_path / "reader" / "reader.onnx").unlink()
    with pytest.raises(ModelUnavailableError, match=r"it has no reader\.onnx"):
        load_student("student", tmp_path)


def test_a_folder_without_a_student_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailableError, match=r"is not a student: it has no student\.json"):
        load_student("student", tmp_path)


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        (STUDENT_FILE, "{", "holds no student that can be loaded"),
        (STUDENT_FILE, "[]", "holds no student that can be loaded"),
        (
            STUDENT_FILE,
            json.dumps({"format": "entsemble.student/2"}),
            "is entsemble.student/2, and this version",
        ),
        (STUDENT_FILE, json.dumps({"format": "entsemble.student/1", "kind": "tagger", "labels": []}), "at least one"),
        ("weights.npz", "", "holds no student that can be loaded"),
        ("weights.npz", "PK damaged", "holds no student that can be loaded"),
    ],
)
def test_a_damaged_student_is_refused(student: Student, tmp_path: Path, file: str, content: str, problem: str) -> None:
    save_student(student, tmp_path)
    (tmp_path / file).write_text(content)
    with pytest.raises(ModelUnavailableError, match=problem):
        load_student("student", tmp_path)
