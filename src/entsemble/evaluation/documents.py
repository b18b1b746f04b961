"""Pairing of gold documents with predicted ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest

from entsemble.errors import DataError
from entsemble.types import Document, Mention

_EXCERPT_LENGTH = 20  # characters of each text in a message


@dataclass(frozen=True, slots=True)
class DocumentPair:
    """A gold document and its prediction.

    Attributes:
        gold: the gold document.
        predicted: the predicted document with the same id, `None` if there is none.
    """

    gold: Document
    predicted: Document | None

    @property
    def predicted_mentions(self) -> tuple[Mention, ...]:
        """Predicted mentions; none without a predicted document, so that all gold mentions count as missed."""
        return () if self.predicted is None else self.predicted.mentions


def stream_pairs(gold: Iterable[Document], predicted: Iterable[Document]) -> Iterator[tuple[int, DocumentPair]]:
    """Pair documents by id, each pair as soon as both are read, with the position of the gold document.

    Documents are held until their counterpart is read: of two inputs in the same order, hardly any. The gold documents
    without a prediction come last.

    Raises:
        DataError: an id occurs twice, a predicted id is not among the gold ones, or two texts with one id differ.
    """
    positions: dict[str, int] = {}
    unpaired_gold: dict[str, Document] = {}
    unpaired_predicted: dict[str, Document] = {}
    for pair in zip_longest(gold, predicted):
        gold_document, predicted_document = pair
        if gold_document is not None:
            if gold_document.id in positions:
                raise _repeated_id(gold_document, "gold")
            positions[gold_document.id] = len(positions)
            unpaired_gold[gold_document.id] = gold_document
        if predicted_document is not None:
            document_id = predicted_document.id
            is_paired = document_id in positions and document_id not in unpaired_gold
            if is_paired or document_id in unpaired_predicted:
                raise _repeated_id(predicted_document, "predicted")
            unpaired_predicted[document_id] = predicted_document
        for document_id in dict.fromkeys(document.id for document in pair if document is not None):
            if document_id in unpaired_gold and document_id in unpaired_predicted:
                complete = DocumentPair(unpaired_gold.pop(document_id), unpaired_predicted.pop(document_id))
                _check_same_text(complete)
                yield positions[document_id], complete
    if unpaired_predicted:
        raise DataError(
            f"the predicted document {next(iter(unpaired_predicted))!r} is not among the gold documents "
            f"({len(unpaired_predicted)} such); score predictions of the same documents"
        )
    for document_id, document in unpaired_gold.items():
        yield positions[document_id], DocumentPair(document, None)


def with_gold_ids(gold: Iterable[Document], predicted: Iterable[Document]) -> Iterator[Document]:
    """Predicted documents with the gold ids, by position: for formats without ids. Both are read one at a time.

    Raises:
        DataError: the numbers of documents differ; raised when the shorter one ends.
    """
    gold_documents, predicted_documents = iter(gold), iter(predicted)
    for position, (gold_document, predicted_document) in enumerate(zip_longest(gold_documents, predicted_documents)):
        if gold_document is None or predicted_document is None:
            gold_count = position + (gold_document is not None) + sum(1 for _ in gold_documents)
            predicted_count = position + (predicted_document is not None) + sum(1 for _ in predicted_documents)
            raise DataError(
                f"{gold_count} gold and {predicted_count} predicted documents cannot be paired by position; "
                "give them ids, or score files of the same documents"
            )
        yield replace(predicted_document, id=gold_document.id)


def _repeated_id(document: Document, side: str) -> DataError:
    return DataError(f"the id {document.id!r} occurs twice in the {side} documents; ids must be unique")


def _check_same_text(pair: DocumentPair) -> None:
    gold, predicted = pair.gold, pair.predicted
    if predicted is None or gold.text == predicted.text:
        return
    offset = first_difference(gold.text, predicted.text)
    excerpt = slice(offset, offset + _EXCERPT_LENGTH)
    raise DataError(
        f"document {gold.id!r}: gold and predicted text differ from offset {offset} on "
        f"({gold.text[excerpt]!r} and {predicted.text[excerpt]!r}); mentions can be compared on the same text only"
    )


def first_difference(first: str, second: str) -> int:
    """Offset of the first differing character; the length of the shorter text if it is a prefix of the longer one."""
    for offset, (first_character, second_character) in enumerate(zip(first, second, strict=False)):
        if first_character != second_character:
            return offset
    return min(len(first), len(second))
