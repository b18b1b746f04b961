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
        member_mentions: member name -> what it would have answered alone.
        candidate_spans, voted_labels, verifications: as in `Result`, for the report.
        ledger: what became of everything proposed.
        demonstration_ids: for each window, the ids of the pool sentences shown.
        costs: by stage and member.
        sentence_count: windows run.
        absent_members: member name -> why it did not answer every sentence; the quorum allowed its absence.
        from_journal: whether the result is from an earlier run, and cost this one nothing.
    """

    document: Document
    member_mentions: dict[str, tuple[Mention, ...]]
    candidate_spans: tuple[Span, ...]
    voted_labels: dict[Span, str | None]
    verifications: dict[Span, bool]
    ledger: tuple[LedgerEntry, ...]
    demonstration_ids: tuple[tuple[str, ...], ...]
    costs: Costs
    sentence_count: int
    absent_members: Mapping[str, str] = field(default_factory=dict)
    from_journal: bool = False


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
    members = dict.fromkeys(name for _, result in pieces for name in result.member_mentions)
    return Extracted(
        document=replace(document, mentions=tuple(m.shifted(at) for at, r in pieces for m in r.mentions)),
        member_mentions={
            name: tuple(m.shifted(at) for at, r in pieces for m in r.member_mentions.get(name, ())) for name in members
        },
        candidate_spans=tuple(span.shifted(at) for at, r in pieces for span in r.candidate_spans),
        voted_labels={span.shifted(at): label for at, r in pieces for span, label in r.voted_labels.items()},
        verifications={span.shifted(at): kept for at, r in pieces for span, kept in r.verifications.items()},
        ledger=tuple(
            replace(entry, span=entry.span.shifted(at) if entry.span else None)
            for at, r in pieces
            for entry in r.ledger
        ),
        demonstration_ids=tuple(r.demonstration_ids for _, r in pieces),
        costs=tuple(cost for _, r in pieces for cost in r.costs),
        sentence_count=len(pieces),
        absent_members={name: why for _, r in pieces for name, why in r.absent_members.items()},
    )
