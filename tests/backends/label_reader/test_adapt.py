"""The label reader adapted to a pool."""

from __future__ import annotations

import pytest

from entsemble.backends.label_reader.adapt import AdaptedReader, ReaderAdapter, fit_adapter, read_pool
from entsemble.backends.label_reader.model import BUNDLED_READER, LabelReader
from entsemble.types import Document
from tests.factories import document, label_set

for package in ("onnxruntime", "scipy", "tokenizers"):
    pytest.importorskip(package)

LABELS = label_set("alpha", "beta")
"""Names that say nothing of what they stand for, so that only examples can."""

ANIMALS, TOWNS = (
    ("a horse", "a cow", "a goat", "a sheep", "a hen", "a dog"),
    ("Oslo", "Rome", "Riga", "Lima", "Bern", "Kiel"),
)


def pool() -> list[Document]:
    return [
        document(f"We saw {animal} near {town} today.", (animal, "alpha"), (town, "beta"))
        for animal, town in zip(ANIMALS, TOWNS, strict=True)
    ]


@pytest.fixture(scope="module")
def reader() -> LabelReader:
    return LabelReader("label-reader", BUNDLED_READER)


def labels_of(scorer: LabelReader | AdaptedReader, text: str, minimum: float = 0.5) -> dict[str, str]:
    [scored] = scorer.score_spans([text], LABELS, minimum)
    return {s.span.slice(text): s.top_label for s in scored}


def test_six_sentences_teach_what_two_labels_mean(reader: LabelReader) -> None:
    text = "We saw a pig near Turin today."
    assert labels_of(reader, text) == {}
    adapter = fit_adapter(pool(), read_pool(reader, pool(), LABELS), LABELS)
    assert adapter is not None
    assert labels_of(AdaptedReader(reader, adapter), text) == {"a pig": "alpha", "Turin": "beta"}


def test_an_adapter_survives_being_stored(reader: LabelReader) -> None:
    adapter = fit_adapter(pool(), read_pool(reader, pool(), LABELS), LABELS)
    assert adapter is not None
    stored = AdaptedReader(reader, ReaderAdapter.from_bytes(adapter.to_bytes()))
    assert stored.fingerprint == AdaptedReader(reader, adapter).fingerprint != reader.fingerprint
    assert labels_of(stored, "We saw a pig near Turin today.") == {"a pig": "alpha", "Turin": "beta"}
    with pytest.raises(ValueError, match="not an adapted label reader"):
        ReaderAdapter.from_bytes(b"PK\x05\x06" + bytes(18))


def test_nothing_is_learned_from_texts_without_words(reader: LabelReader) -> None:
    empty = [document(""), document("  ")]
    assert fit_adapter(empty, read_pool(reader, empty, LABELS), LABELS) is None


def test_more_labels_than_are_read_together_are_refused(reader: LabelReader) -> None:
    with pytest.raises(ValueError, match="21 labels, and 20 can be read together"):
        read_pool(reader, pool(), label_set(*(f"label {number}" for number in range(21))))
