"""Which predicted document answers which gold document."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from entsemble.errors import DataError
from entsemble.types import Document, Mention

_SHOWN = 20  # characters of each text that a message shows


@dataclass(frozen=True, slots=True)
class DocumentPair:
    """A gold document and its answer.

    Attributes:
        gold: the gold document.
        predicted: the predicted document with its id, `None` where there is none.
    """

    gold: Document
    predicted: Document | None

    @property
    def predicted_mentions(self) -> tuple[Mention, ...]:
        """Predicted mentions; none where there is no document, so that all gold mentions count as missed."""
        return () if self.predicted is None else self.predicted.mentions


def pair_documents(gold: Iterable[Document], predicted: Iterable[Document]) -> tuple[DocumentPair, ...]:
    """Pair documents by id, in the order of the gold ones.

    Raises:
        DataError: an id is given twice, a predicted id is not in the gold documents, or the texts of an id differ.
    """
    wanted, found = _by_id(gold, "gold"), _by_id(predicted, "predicted")
    unknown = [x for x in found if x not in wanted]
    if unknown:
        raise DataError(
            f"the predicted document {unknown[0]!r} is not among the gold documents ({len(unknown)} such); "
            "score predictions of the same documents"
        )
    for name, document in found.items():
        _check_text(wanted[name], document)
    return tuple(DocumentPair(document, found.get(name)) for name, document in wanted.items())


def with_gold_ids(gold: Sequence[Document], predicted: Sequence[Document]) -> tuple[Document, ...]:
    """Predicted documents with the gold ids, by position: for formats that have no ids of their own.

    Raises:
        DataError: there are not as many of the one as of the other.
    """
    if len(gold) != len(predicted):
        raise DataError(
            f"{len(gold)} gold and {len(predicted)} predicted documents cannot be paired by position; "
            "give them ids, or score files of the same documents"
        )
    return tuple(replace(answer, id=document.id) for document, answer in zip(gold, predicted, strict=True))


def _by_id(documents: Iterable[Document], side: str) -> dict[str, Document]:
    found: dict[str, Document] = {}
    for document in documents:
        if document.id in found:
            raise DataError(f"the id {document.id!r} is given twice in the {side} documents; ids must be unique")
        found[document.id] = document
    return found


def _check_text(gold: Document, predicted: Document) -> None:
    if gold.text == predicted.text:
        return
    at = first_difference(gold.text, predicted.text)
    raise DataError(
        f"document {gold.id!r}: gold and predicted text differ from offset {at} on "
        f"({gold.text[at : at + _SHOWN]!r} and {predicted.text[at : at + _SHOWN]!r}); offsets can be compared on the "
        "same text only"
    )


def first_difference(first: str, second: str) -> int:
    """Offset of the first character that differs; the shorter one's length where it begins the longer one."""
    both = enumerate(zip(first, second, strict=False))
    return next((i for i, (a, b) in both if a != b), min(len(first), len(second)))
