"""Extractors: the pipeline on documents, on this machine or on a Ray cluster."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from entsemble.data.jsonl import from_json, to_json
from entsemble.data.windows import split_windows
from entsemble.errors import ModelError
from entsemble.execution.journal import Journal, resume
from entsemble.execution.ray import INPUTS_PER_EXECUTION, RayCluster, Work
from entsemble.execution.threads import LocalMapper
from entsemble.ner.documents import Extracted, Failed, extract_documents
from entsemble.ner.pipeline import Pipeline
from entsemble.ner.same_answer import unify_answers
from entsemble.ner.serialize import document_key, from_record, to_record
from entsemble.types import Document

Results = Iterator[Extracted | Failed]

_LOCAL_LOOKAHEAD = 256
"""Journaled results that may wait in memory for a pending document before them."""


class Extractor(Protocol):
    """Finds the mentions of documents, wherever the pipeline runs.

    Attributes:
        configuration: all that affects the results, by name; identifies the run in a journal.
    """

    @property
    def configuration(self) -> Mapping[str, str]:
        """See the class."""
        ...

    def extract(self, documents: Iterable[Document], journal: Journal | None = None) -> Results:
        """Find the mentions of each document, in order.

        Args:
            documents: read lazily.
            journal: begun with `configuration`. Documents that it holds are not run again. New results are recorded
                unless a member was absent, so that a later run completes them.
        """
        ...

    def stop(self) -> None:
        """Start no more work; the results end after what is in progress."""
        ...


@dataclass(frozen=True, slots=True)
class LocalExtractor:
    """The pipeline on this machine.

    Attributes:
        pipeline: the four stages.
        mapper: runs the sentences.
        language: of the texts, for sentence boundaries.
        configuration: see `Extractor`.
        on_sentence: called after each sentence, on the thread that ran it.
    """

    pipeline: Pipeline
    mapper: LocalMapper
    language: str
    configuration: Mapping[str, str]
    on_sentence: Callable[[], None] = lambda: None

    def extract(self, documents: Iterable[Document], journal: Journal | None = None) -> Results:
        """See `Extractor.extract`."""
        return _extract_missing(documents, self._run_documents, journal, _LOCAL_LOOKAHEAD)

    def stop(self) -> None:
        """See `Extractor.stop`."""
        self.mapper.stop()

    def _run_documents(self, documents: Iterable[Document]) -> Results:
        split, run = self._split_into_windows, self.pipeline.run
        results = extract_documents(documents, split, run, self.mapper, self.on_sentence)
        return map(_with_same_answers, results) if self.pipeline.rules.user.same_answer else results

    def _split_into_windows(self, document: Document) -> list[tuple[int, str]]:
        return [(window.start, window.text) for window in split_windows(document, language=self.language)]


@dataclass(slots=True)
class RayExtractor:
    """The pipeline on the actors of a Ray cluster.

    Attributes:
        build: creates the local extractor of an actor.
        cluster: where the actors run.
        configuration: see `Extractor`.
    """

    build: Callable[[], LocalExtractor]
    cluster: RayCluster
    configuration: Mapping[str, str]
    _is_stopping: bool = field(default=False, init=False)

    def extract(self, documents: Iterable[Document], journal: Journal | None = None) -> Results:
        """See `Extractor.extract`."""
        return _extract_missing(documents, self._run_documents, journal, INPUTS_PER_EXECUTION)

    def stop(self) -> None:
        """See `Extractor.stop`. Documents that the actors have not finished are left to a later run."""
        self._is_stopping = True

    def _run_documents(self, documents: Iterable[Document]) -> Results:
        pending: deque[Document] = deque()

        def serialize() -> Iterator[str]:
            for document in documents:
                if self._is_stopping:
                    return
                pending.append(document)
                yield json.dumps(to_json(document))

        build = self.build  # so that only this is sent to the actors
        for output in self.cluster.map(lambda: _actor_work(build()), serialize()):
            document, record = pending.popleft(), json.loads(output)
            if "failed" in record:
                yield Failed(document, ModelError(record["failed"]))
            else:
                yield from_record(document, record)
            if self._is_stopping:
                return


def _with_same_answers(result: Extracted | Failed) -> Extracted | Failed:
    if isinstance(result, Failed):
        return result
    return replace(result, document=unify_answers(result.document))


def _actor_work(extractor: LocalExtractor) -> Work:
    """The work of an actor: documents as JSON -> records as JSON."""

    def work(batch: list[str]) -> list[str]:
        documents = [from_json(json.loads(line), "") for line in batch]
        return [
            json.dumps({"failed": str(result.error)} if isinstance(result, Failed) else to_record(result))
            for result in extractor.extract(documents)
        ]

    return work


def _extract_missing(
    documents: Iterable[Document], run: Callable[[Iterable[Document]], Results], journal: Journal | None, lookahead: int
) -> Results:
    """Run the documents that the journal does not hold; see `resume`."""
    if journal is None:
        return run(documents)
    results = _ResultJournal(journal)
    return resume(documents, results.get, lambda missing: results.record(run(missing)), lookahead)


@dataclass(frozen=True, slots=True)
class _ResultJournal:
    """The results in a journal, by document."""

    journal: Journal

    def get(self, document: Document) -> Extracted | Failed | None:
        """The recorded result of a document."""
        record = self.journal.get(document_key(document))
        return None if record is None else replace(from_record(document, record), from_journal=True)

    def record(self, results: Results) -> Results:
        """Pass results on, after recording those of documents that every member answered."""
        for result in results:
            if isinstance(result, Extracted) and not result.absent_members:
                self.journal.append(document_key(result.document), to_record(result))
            yield result
