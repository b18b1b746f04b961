"""From sentences to documents: windows in, mentions out, offsets of the whole text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from entsemble.errors import EntsembleError
from entsemble.ner.ledger import LedgerEntry
from entsemble.ner.pipeline import Costs, SentenceResult
from entsemble.protocols import Mapper
from entsemble.types import Document, Mention, Span

SplitDocument = Callable[[Document], Sequence[tuple[int, str]]]
"""A document -> (start, text) of each sentence window; windows do not overlap."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """What one document gave, all offsets in the document's text.

    Attributes:
        document: the input with the mentions found in place of its own.
        alone: member name -> what it would have answered alone.
        proposed, typed, verified: as in `Result`, for the report.
        ledger: what became of everything proposed.
        demonstrations: for each window, the ids of the pool sentences shown.
        costs: by stage and member.
        sentences: windows run.
        absent: member name -> why it did not answer every sentence, where the quorum allowed to go on without it.
        earlier: whether an earlier run found it, so that it cost this one nothing.
    """

    document: Document
    alone: dict[str, tuple[Mention, ...]]
    proposed: tuple[Span, ...]
    typed: dict[Span, str | None]
    verified: dict[Span, bool]
    ledger: tuple[LedgerEntry, ...]
    demonstrations: tuple[tuple[str, ...], ...]
    costs: Costs
    sentences: int
    absent: Mapping[str, str] = field(default_factory=dict)
    earlier: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """A document that could not be done, and why; the others go on."""

    document: Document
    error: EntsembleError


@dataclass(frozen=True, slots=True)
class _Part:
    document: Document
    start: int
    text: str
    last: bool


def extract_documents(
    documents: Iterable[Document], split: SplitDocument, run: Callable[[str], SentenceResult], mapper: Mapper
) -> Iterator[Extracted | Failed]:
    """Run every document, in order; each sentence window is a unit of work, so a long document uses all workers.

    Args:
        documents: taken in as they are needed.
        split: cuts a document into windows.
        run: the pipeline on one window.
        mapper: where the windows run.
    """

    def work(part: _Part) -> tuple[_Part, SentenceResult | EntsembleError | None]:
        try:
            return part, run(part.text) if part.text else None
        except EntsembleError as error:
            return part, error

    pieces: list[tuple[int, SentenceResult]] = []
    problem: EntsembleError | None = None
    for part, result in mapper.map(work, _parts(documents, split)):
        if isinstance(result, EntsembleError):
            problem = problem or result
        elif result is not None:
            pieces.append((part.start, result))
        if part.last:
            yield Failed(part.document, problem) if problem else _joined(part.document, pieces)
            pieces, problem = [], None


def _parts(documents: Iterable[Document], split: SplitDocument) -> Iterator[_Part]:
    for document in documents:
        windows = list(split(document)) or [(0, "")]
        for i, (start, text) in enumerate(windows):
            yield _Part(document, start, text, i == len(windows) - 1)


def _joined(document: Document, pieces: Sequence[tuple[int, SentenceResult]]) -> Extracted:
    members = dict.fromkeys(name for _, result in pieces for name in result.alone)
    return Extracted(
        document=replace(document, mentions=tuple(m.shifted(at) for at, r in pieces for m in r.mentions)),
        alone={name: tuple(m.shifted(at) for at, r in pieces for m in r.alone.get(name, ())) for name in members},
        proposed=tuple(span.shifted(at) for at, r in pieces for span in r.proposed),
        typed={span.shifted(at): label for at, r in pieces for span, label in r.typed.items()},
        verified={span.shifted(at): kept for at, r in pieces for span, kept in r.verified.items()},
        ledger=tuple(
            replace(entry, span=entry.span.shifted(at) if entry.span else None)
            for at, r in pieces
            for entry in r.ledger
        ),
        demonstrations=tuple(r.demonstrations for _, r in pieces),
        costs=tuple(cost for _, r in pieces for cost in r.costs),
        sentences=len(pieces),
        absent={name: why for _, r in pieces for name, why in r.absent.items()},
    )
