"""From sentences to documents: split into windows, run each, merge the results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from entsemble.errors import EntsembleError
from entsemble.ner.ledger import LedgerEntry
from entsemble.ner.results import Costs, SentenceResult
from entsemble.protocols import Mapper
from entsemble.types import Document, Mention, Span

SplitDocument = Callable[[Document], Sequence[tuple[int, str]]]
"""A document -> (start offset, text) of each sentence window; windows do not overlap."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """The result of one document, all offsets in the document's text.

    Attributes:
        document: the input document with the extracted mentions instead of its own.
        member_mentions: member name -> the mentions by its own proposals and ballots alone.
        candidate_spans: see `SentenceResult`.
        voted_labels: see `SentenceResult`.
        verifications: see `SentenceResult`.
        ledger: the fate of everything that was proposed.
        demonstration_ids: for each window, the ids of the pool sentences in its prompts.
        costs: usage by stage and member.
        sentence_count: number of windows run.
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
    """A document that failed, and why; the other documents continue.

    Attributes:
        document: the input document without its mentions, so that the caller's own are never taken for a result.
        error: of its first sentence that failed.
    """

    document: Document
    error: EntsembleError

    def __post_init__(self) -> None:
        object.__setattr__(self, "document", replace(self.document, mentions=()))


@dataclass(frozen=True, slots=True)
class _Window:
    """A sentence window of a document; the text is empty for a document without windows."""

    document: Document
    start: int
    text: str
    is_last: bool


def extract_documents(
    documents: Iterable[Document],
    split_document: SplitDocument,
    run_sentence: Callable[[str], SentenceResult],
    mapper: Mapper,
    on_sentence: Callable[[], None] = lambda: None,
) -> Iterator[Extracted | Failed]:
    """Run every document, in order.

    Each sentence window is a unit of work, so a long document uses all workers.

    Args:
        documents: read lazily.
        split_document: cuts a document into windows.
        run_sentence: the pipeline on one window.
        mapper: runs the windows.
        on_sentence: called after each window, successful or not, on the thread that ran it.
    """

    def run_window(window: _Window) -> tuple[_Window, SentenceResult | EntsembleError | None]:
        if not window.text:
            return window, None
        try:
            return window, run_sentence(window.text)
        except EntsembleError as error:
            return window, error
        finally:
            on_sentence()

    results: list[tuple[int, SentenceResult]] = []
    first_error: EntsembleError | None = None
    for window, result in mapper.map(run_window, _windows(documents, split_document)):
        if isinstance(result, EntsembleError):
            first_error = first_error or result
        elif result is not None:
            results.append((window.start, result))
        if window.is_last:
            yield Failed(window.document, first_error) if first_error else _merge(window.document, results)
            results, first_error = [], None


def _windows(documents: Iterable[Document], split_document: SplitDocument) -> Iterator[_Window]:
    for document in documents:
        windows = list(split_document(document)) or [(0, "")]
        for number, (start, text) in enumerate(windows, 1):
            yield _Window(document, start, text, number == len(windows))


def _merge(document: Document, results: Sequence[tuple[int, SentenceResult]]) -> Extracted:
    """The document's result from those of its windows, by start offset."""
    member_names = dict.fromkeys(member_name for _, result in results for member_name in result.member_mentions)
    return Extracted(
        document=replace(
            document, mentions=_shift((start_offset, result.mentions) for start_offset, result in results)
        ),
        member_mentions={
            member_name: _shift(
                (start_offset, result.member_mentions.get(member_name, ())) for start_offset, result in results
            )
            for member_name in member_names
        },
        candidate_spans=tuple(
            span.shifted(start_offset) for start_offset, result in results for span in result.candidate_spans
        ),
        voted_labels={
            span.shifted(start_offset): label
            for start_offset, result in results
            for span, label in result.voted_labels.items()
        },
        verifications={
            span.shifted(start_offset): is_confirmed
            for start_offset, result in results
            for span, is_confirmed in result.verifications.items()
        },
        ledger=tuple(
            replace(entry, span=entry.span.shifted(start_offset)) if entry.span and start_offset else entry
            for start_offset, result in results
            for entry in result.ledger
        ),
        demonstration_ids=tuple(result.demonstration_ids for _, result in results),
        costs=tuple(cost for _, result in results for cost in result.costs),
        sentence_count=len(results),
        absent_members={
            member_name: reason for _, result in results for member_name, reason in result.absent_members.items()
        },
    )


def _shift(window_mentions: Iterable[tuple[int, Sequence[Mention]]]) -> tuple[Mention, ...]:
    """Mentions of windows, with offsets in the document's text."""
    return tuple(mention.shifted(start_offset) for start_offset, mentions in window_mentions for mention in mentions)
