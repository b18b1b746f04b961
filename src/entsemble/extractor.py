"""A wired ensemble, ready for documents: windows in, the pipeline on each, mentions of whole documents out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from entsemble.data.windows import windows
from entsemble.ensemble.document import Extracted, Failed, extract_documents
from entsemble.ensemble.pipeline import Pipeline
from entsemble.ensemble.record import from_record, key_of, to_record
from entsemble.running.journal import Journal, resumed
from entsemble.running.local import LocalMapper
from entsemble.types import Document


@dataclass(frozen=True, slots=True)
class Extractor:
    """The pipeline, and where and how its sentences are run.

    Attributes:
        pipeline: the four stages.
        mapper: where sentences run.
        language: of the texts, for their sentence boundaries.
        configuration: all that shapes the results, by name; what a journal is kept for.
    """

    pipeline: Pipeline
    mapper: LocalMapper
    language: str
    configuration: Mapping[str, str]

    def extract(self, documents: Iterable[Document], journal: Journal | None = None) -> Iterator[Extracted | Failed]:
        """Find the mentions of each document, in order.

        Args:
            documents: taken in as they are needed.
            journal: begun with `configuration`; what it holds is not done again, and what is done is recorded, unless
                a member was absent, so that a later run does it whole.
        """
        if journal is None:
            return self._run(documents)

        def recorded(pending: Iterator[Document]) -> Iterator[Extracted | Failed]:
            for result in self._run(pending):
                if isinstance(result, Extracted) and not result.absent:
                    journal.append(key_of(result.document), to_record(result))
                yield result

        def known(document: Document) -> Extracted | Failed | None:
            record = journal.get(key_of(document))
            return None if record is None else from_record(document, record)

        return resumed(documents, known, recorded)

    def stop(self) -> None:
        """Begin nothing more; what is being worked on is finished, and then the results end."""
        self.mapper.stop()

    def _run(self, documents: Iterable[Document]) -> Iterator[Extracted | Failed]:
        def split(document: Document) -> list[tuple[int, str]]:
            return [(w.start, w.text) for w in windows(document, language=self.language)]

        return extract_documents(documents, split, self.pipeline.run, self.mapper)
