"""A wired ensemble, ready for documents: windows in, the pipeline on each, mentions of whole documents out."""

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
from entsemble.ner.results import SentenceResult
from entsemble.ner.serialize import document_key, from_record, to_record
from entsemble.types import Document

Results = Iterator[Extracted | Failed]


class Extractor(Protocol):
    """Finds the mentions of documents, here or elsewhere.

    Attributes:
        configuration: all that shapes the results, by name; what a journal is kept for.
    """

    @property
    def configuration(self) -> Mapping[str, str]:
        """See the class."""
        ...

    def extract(self, documents: Iterable[Document], journal: Journal | None = None) -> Results:
        """Find the mentions of each document, in order.

        Args:
            documents: taken in as they are needed.
            journal: begun with `configuration`; what it holds is not done again, and what is done is recorded, unless
                a member was absent, so that a later run does it whole.
        """
        ...

    def stop(self) -> None:
        """Begin nothing more; what is being worked on is finished, and then the results end."""
        ...


@dataclass(frozen=True, slots=True)
class LocalExtractor:
    """The pipeline on this machine.

    Attributes:
        pipeline: the four stages.
        mapper: where sentences run.
        language: of the texts, for their sentence boundaries.
        configuration: see `Extractor`.
        on_sentence: called after each sentence, on the thread that did it.
    """

    pipeline: Pipeline
    mapper: LocalMapper
    language: str
    configuration: Mapping[str, str]
    on_sentence: Callable[[], None] = lambda: None

    def extract(self, documents: Iterable[Document], journal: Journal | None = None) -> Results:
        """See `Extractor.extract`."""
        return _through(journal, self._run, documents)

    def stop(self) -> None:
        """See `Extractor.stop`."""
        self.mapper.stop()

    def _run(self, documents: Iterable[Document]) -> Results:
        def split(document: Document) -> list[tuple[int, str]]:
            return [(w.start, w.text) for w in split_windows(document, language=self.language)]

        def run(text: str) -> SentenceResult:
            try:
                return self.pipeline.run(text)
            finally:
                self.on_sentence()

        return extract_documents(documents, split, run, self.mapper)


@dataclass(slots=True)
class RayExtractor:
    """The pipeline on the actors of a Ray cluster.

    Attributes:
        build: makes an actor's own local extractor.
        cluster: where the actors run.
        configuration: see `Extractor`.
    """

    build: Callable[[], LocalExtractor]
    cluster: RayCluster
    configuration: Mapping[str, str]
    _stopping: bool = field(default=False, init=False)

    def extract(self, documents: Iterable[Document], journal: Journal | None = None) -> Results:
        """See `Extractor.extract`."""
        return _through(journal, self._run, documents, INPUTS_PER_EXECUTION)

    def stop(self) -> None:
        """See `Extractor.stop`. What the actors were given and did not finish is left to a later run."""
        self._stopping = True

    def _run(self, documents: Iterable[Document]) -> Results:
        waiting: deque[Document] = deque()

        def written() -> Iterator[str]:
            for document in documents:
                if self._stopping:
                    return
                waiting.append(document)
                yield json.dumps(to_json(document))

        build = self.build  # the actors are sent this alone
        for told in self.cluster.map(lambda: _work(build()), written()):
            document, value = waiting.popleft(), json.loads(told)
            if "failed" in value:
                yield Failed(document, ModelError(value["failed"]))
            else:
                yield from_record(document, value)
            if self._stopping:
                return


def _work(extractor: LocalExtractor) -> Work:
    """Documents as JSON -> records as JSON, on an actor."""

    def work(batch: list[str]) -> list[str]:
        documents = [from_json(json.loads(line), "") for line in batch]
        return [
            json.dumps({"failed": str(result.error)} if isinstance(result, Failed) else to_record(result))
            for result in extractor.extract(documents)
        ]

    return work


def _through(
    journal: Journal | None,
    run: Callable[[Iterable[Document]], Results],
    documents: Iterable[Document],
    ahead: int = 256,
) -> Results:
    """Run what the journal does not hold, and record it."""
    if journal is None:
        return run(documents)

    def recorded(pending: Iterator[Document]) -> Results:
        for result in run(pending):
            if isinstance(result, Extracted) and not result.absent_members:
                journal.append(document_key(result.document), to_record(result))
            yield result

    def known(document: Document) -> Extracted | Failed | None:
        record = journal.get(document_key(document))
        return None if record is None else replace(from_record(document, record), from_journal=True)

    return resume(documents, known, recorded, ahead)
