"""The label reader that comes with entsemble, and readers that cannot be loaded."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from entsemble._lib.cancellation import WorkCancelledError, cancellable
from entsemble.backends.label_reader.model import (
    BUNDLED_READER,
    MAX_LABELS,
    NETWORK,
    LabelReader,
    describe_unclear_labels,
    group_labels,
)
from entsemble.errors import ModelUnavailableError
from entsemble.types import Label, LabelSet, Span
from tests.factories import label_set

pytest.importorskip("onnxruntime")
pytest.importorskip("tokenizers")

TEXT = "Margaret Oyelaran flew from Leeds to Szczecin for the Red Cross."
LABELS = label_set("person", "location", "organisation")


@pytest.fixture(scope="module")
def reader() -> LabelReader:
    return LabelReader("label-reader", BUNDLED_READER)


def best_labels(reader: LabelReader, text: str, minimum: float = 0.2) -> dict[str, str]:
    [scored] = reader.score_spans([text], LABELS, minimum)
    return {s.span.slice(text): s.top_label for s in scored}


def test_plain_names_are_typed(reader: LabelReader) -> None:
    labels = best_labels(reader, TEXT)
    assert labels["Margaret Oyelaran"] == "person"
    assert labels["Leeds"] == labels["Szczecin"] == "location"


def test_emoji_are_not_read(reader: LabelReader) -> None:
    plain = "Ann Lee met Bob."
    with_emoji = "👩\u200d🚀Ann Lee\u2060 met ❤\ufe0fBob\u200b."
    assert best_labels(reader, with_emoji) == best_labels(reader, plain)
    assert reader.score_spans(["👩\u200d🚀 ❤\ufe0f"], LABELS, 0.0) == [[]]


def test_reading_is_abandoned_between_groups_of_labels(reader: LabelReader) -> None:
    labels = label_set(*(f"label {number}" for number in range(3 * MAX_LABELS)))
    checks = iter((False, True))
    with cancellable(lambda: next(checks)), pytest.raises(WorkCancelledError):
        reader.score_spans([TEXT], labels, 0.1)


def test_probabilities_do_not_depend_on_the_other_texts(reader: LabelReader) -> None:
    texts = [TEXT, "Ann.", "", "   ", f"{TEXT} " * 12]
    together = reader.score_spans(texts, LABELS, 0.1)
    for text, scored in zip(texts, together, strict=True):
        [alone] = reader.score_spans([text], LABELS, 0.1)
        assert [s.span for s in alone] == [s.span for s in scored]
        for one, other in zip(alone, scored, strict=True):
            assert one.probabilities == pytest.approx(other.probabilities, abs=1e-4)
    assert together[2] == together[3] == []


def test_a_long_text_is_read_to_its_end(reader: LabelReader) -> None:
    text = "Nothing happened on that day. " * 60 + TEXT
    assert best_labels(reader, text)["Margaret Oyelaran"] == "person"


def test_many_labels_are_read_in_groups_and_all_of_them_are_scored(reader: LabelReader) -> None:
    labels = label_set(*(f"thing {number}" for number in range(99)), "person")
    groups = group_labels(labels)
    assert max(map(len, groups)) <= 20
    assert sorted(label.name for group in groups for label in group) == sorted(labels.names)
    [scored] = reader.score_spans([TEXT], labels, 0.05)
    person = next(s for s in scored if s.span == Span(0, 17))
    assert set(person.probabilities) == set(labels.names)


def test_definitions_of_any_length_are_read(reader: LabelReader) -> None:
    labels = label_set(person="someone with a name " * 100, place="towns, rivers and countries")
    [scored] = reader.score_spans([TEXT], labels, 0.0)
    assert scored[-1].span.end == len(TEXT)


def test_labels_of_another_language_are_read_by_their_definitions(reader: LabelReader) -> None:
    labels = LabelSet((Label("人", "人", "person"), Label("场所", "场所", "location")))
    [scored] = reader.score_spans([TEXT], labels, 0.2)
    found = {s.span.slice(TEXT): s.top_label for s in scored}
    assert (found["Margaret Oyelaran"], found["Leeds"], found["Szczecin"]) == ("人", "场所", "场所")
    assert describe_unclear_labels(labels) == []


def test_labels_that_the_reader_cannot_read_or_tell_apart_are_named() -> None:
    labels = label_set("人", "persona", "Größe", "№ 5", "location", "123")
    [advice] = describe_unclear_labels(labels)
    assert "what these mean: 人, № 5; define them in English" in advice
    [advice] = describe_unclear_labels(label_set("Work", "place", "work"))
    assert "cannot tell these labels apart: Work, work;" in advice
    assert describe_unclear_labels(label_set(Work="a book", work="a job")) == []
    assert describe_unclear_labels(label_set("persona", "Größe", "Łódź", "123")) == []


@pytest.mark.parametrize("damage", ["no folder", "no network", "damaged network"])
def test_a_reader_that_cannot_be_loaded_says_so(damage: str, tmp_path: Path) -> None:
    folder = tmp_path / "reader"
    if damage != "no folder":
        shutil.copytree(BUNDLED_READER, folder)
        (folder / NETWORK).unlink()
    if damage == "damaged network":
        (folder / NETWORK).write_bytes(b"not a network")
    with pytest.raises(ModelUnavailableError, match=str(folder)):
        LabelReader("label-reader", folder)
