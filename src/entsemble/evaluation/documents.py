"""Pairing of gold documents with predicted ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

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


def pair_documents(gold: Iterable[Document], predicted: Iterable[Document]) -> tuple[DocumentPair, ...]:
    """Pair documents by id, in the order of the gold ones.

    Raises:
        DataError: an id occurs twice, a predicted id is not among the gold ones, or two texts with one id differ.
    """
    gold_by_id, predicted_by_id = _index_by_id(gold, "gold"), _index_by_id(predicted, "predicted")
    unmatched = [document_id for document_id in predicted_by_id if document_id not in gold_by_id]
    if unmatched:
        raise DataError(
            f"the predicted document {unmatched[0]!r} is not among the gold documents ({len(unmatched)} such); "
            "score predictions of the same documents"
        )
    for document_id, document in predicted_by_id.items():
        _check_same_text(gold_by_id[document_id], document)
    return tuple(
        DocumentPair(document, predicted_by_id.get(document_id)) for document_id, document in gold_by_id.items()
    )


def with_gold_ids(gold: Sequence[Document], predicted: Sequence[Document]) -> tuple[Document, ...]:
    """Predicted documents with the gold ids, by position: for formats without ids.

    Raises:
        DataError: the numbers of documents differ.
    """
    if len(gold) != len(predicted):
        raise DataError(
            f"{len(gold)} gold and {len(predicted)} predicted documents cannot be paired by position; "
            "give them ids, or score files of the same documents"
        )
    return tuple(
        replace(predicted_document, id=gold_document.id)
        for gold_document, predicted_document in zip(gold, predicted, strict=True)
    )


def _index_by_id(documents: Iterable[Document], side: str) -> dict[str, Document]:
    by_id: dict[str, Document] = {}
    for document in documents:
        if document.id in by_id:
            raise DataError(f"the id {document.id!r} occurs twice in the {side} documents; ids must be unique")
        by_id[document.id] = document
    return by_id


def _check_same_text(gold: Document, predicted: Document) -> None:
    if gold.text == predicted.text:
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
