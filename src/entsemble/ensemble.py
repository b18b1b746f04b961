"""An ensemble, ready for texts: experts selected, models loaded, and documents processed when they are needed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Literal, overload

from entsemble import settings as configuration
from entsemble.assembly import (
    Assembly,
    ProgressCallbacks,
    Selection,
    SelectionInputs,
    adapt_to_documents,
    without_mentions,
)
from entsemble.data.inputs import as_documents
from entsemble.errors import ConfigError
from entsemble.execution.journal import Journal
from entsemble.execution.threads import LocalMapper
from entsemble.extractor import Extractor, LocalExtractor, RayExtractor
from entsemble.ner.documents import Extracted, Failed
from entsemble.ner.pipeline import Pipeline
from entsemble.ner.stages.retrieve import Retrieval, retrieve
from entsemble.settings import Environment, Settings
from entsemble.types import Document, LabelSet

if TYPE_CHECKING:
    from typing_extensions import Self

    from entsemble.assembly.model_pool import ModelPool
    from entsemble.scoring.model import StackingModel

Runner = Literal["local", "ray"]
"""Where documents are processed: in this process, or on the actors of a Ray cluster."""


@dataclass(frozen=True, slots=True)
class PreparedPool:
    """A pool of examples whose vectors are computed.

    Attributes:
        documents: the examples, in sentences.
        labels: those of the settings, or else of the examples.
        is_complete: False if what the members answer on the pool's sentences waits for texts that select the experts.
    """

    documents: tuple[Document, ...]
    labels: LabelSet
    is_complete: bool


class Run(Iterator["Extracted | Failed"]):
    """Documents in progress. Iterate over it for the results, in the order of the documents."""

    def __init__(self, extractor: Extractor, results: Iterator[Extracted | Failed]) -> None:
        self._extractor, self._results = extractor, results

    def __next__(self) -> Extracted | Failed:
        return next(self._results)

    def stop(self) -> None:
        """Start no more sentences. Those in progress are finished, then the results end. Any thread may call this."""
        self._extractor.stop()

    def close(self) -> None:
        """Discard the results that are left."""
        close = getattr(self._results, "close", None)
        if close is not None:
            close()


class Ensemble:
    """Finds the mentions of texts with several small language models; made by `load`.

    Models are loaded with the first text, and stay in memory until `close`, or until the end of a `with` block; a text
    after that loads them again. Any number of threads may extract at once.

    If the settings leave the choice of experts to the texts, as the preset `experts` does, experts are selected once:
    by the text of the first `extract`, or by the first texts of the first `extract_many` or `run`. Call
    `select_experts` with typical texts to select them beforehand, or again.

    Args:
        settings: of the ensemble; `load` makes them.
        environment: where models and experts are kept; by default as the environment variables say.
        examples: annotated documents, instead of the file that the settings name.
        held_out: documents to be scored: never selected by, nor trained on, even if the examples hold them.
        progress: called as models are downloaded and prepared.
        runner: where documents are processed.
        models: loaded models of the same members to share; whoever loaded them closes them.
        weights: of the votes, trained before with the same members and labels; nothing is trained then.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        environment: Environment | None = None,
        examples: Sequence[Document] | None = None,
        held_out: Sequence[Document] = (),
        progress: ProgressCallbacks | None = None,
        runner: Runner = "local",
        models: ModelPool | None = None,
        weights: StackingModel | None = None,
    ) -> None:
        self.environment = environment or configuration.environment()
        self._initial_settings = self.settings = settings
        self._examples, self._held_out, self._runner = examples, held_out, runner
        self._progress, self._models, self._weights = progress or ProgressCallbacks(), models, weights
        self.selection: Selection | None = None
        self._selects_experts = any(isinstance(member.experts, str) for member in settings.members)
        self._assembly: Assembly | None = None
        self._extractor: Extractor | None = None
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def extract(self, text: str | Document) -> Document:
        """The mentions of one text, each with its label, score and votes.

        Args:
            text: of any length; the mentions of a document are ignored.

        Raises:
            EntsembleError: models that cannot be loaded, or a text that they cannot process.
        """
        [document] = self.extract_many([text])
        return document

    @overload
    def extract_many(
        self, texts: Iterable[str | Document], *, on_error: Literal["raise"] = "raise"
    ) -> Iterator[Document]: ...

    @overload
    def extract_many(
        self, texts: Iterable[str | Document], *, on_error: Literal["yield"]
    ) -> Iterator[Document | Failed]: ...

    def extract_many(
        self, texts: Iterable[str | Document], *, on_error: Literal["raise", "yield"] = "raise"
    ) -> Iterator[Document | Failed]:
        """The mentions of many texts, in order, as they become ready. Much faster than one text after the other.

        Args:
            texts: read as they are needed; texts that are not documents are numbered from 1.
            on_error: what to do with a text that cannot be processed: raise its error, or yield a `Failed`, which
                holds the text and the error, and go on.

        Raises:
            EntsembleError: models that cannot be loaded, or a text that they cannot process.
        """
        if on_error not in {"raise", "yield"}:
            raise ConfigError(f'on_error must be "raise" or "yield", not {on_error!r}')
        return self._extracted(texts, raises=on_error == "raise")

    def _extracted(self, texts: Iterable[str | Document], *, raises: bool) -> Iterator[Document | Failed]:
        with closing(self.run(as_documents(texts))) as run:
            for result in run:
                if isinstance(result, Failed):
                    if raises:
                        raise result.error
                    yield result
                else:
                    yield result.document

    def run(
        self,
        documents: Iterable[Document],
        *,
        journal: Journal | None = None,
        on_sentence: Callable[[], None] = lambda: None,
    ) -> Run:
        """Process documents, with all details of each: mentions, votes, what was rejected and why, and the costs.

        Args:
            documents: read as they are needed; their mentions are ignored.
            journal: begun with `fingerprints`: documents in it are not processed again, and new ones are added, unless
                a member was absent.
            on_sentence: called after each sentence, on the thread that processed it; not on a Ray cluster.

        Raises:
            EntsembleError: models that cannot be loaded.
        """
        with self._lock:
            if self._selects_experts and self.selection is None:
                documents = self._select(documents)
            extractor = self._prepared()
        if isinstance(extractor, LocalExtractor):  # a mapper of its own, so that `Run.stop` stops this run alone
            extractor = replace(extractor, mapper=LocalMapper(extractor.mapper.workers), on_sentence=on_sentence)
        elif isinstance(extractor, RayExtractor):
            extractor = replace(extractor)
        return Run(extractor, extractor.extract(map(without_mentions, documents), journal))

    def select_experts(self, texts: Iterable[str | Document]) -> Selection | None:
        """Select experts by typical texts, if the settings leave them to the texts.

        Only the first sentences are read, as many as the setting `[experts] target_sentences` says. Runs in progress
        must be finished first: models that are no longer needed are closed.

        Returns:
            Which experts were selected and why; `None` if the settings name them, or if there is no text.

        Raises:
            ConfigError: no experts for the members' model.
            EntsembleError: models that cannot be loaded.
        """
        self._select(as_documents(texts))
        return self.selection

    def prepare(self, documents: Iterable[Document] = ()) -> Iterator[Document]:
        """Select experts by the first documents, if the settings leave them to the texts, and load the models.

        Returns:
            All the documents, for `run`.

        Raises:
            EntsembleError: models that cannot be loaded, or a pool that cannot be read.
        """
        documents = self._select(documents)
        self._prepared()
        return documents

    def _select(self, documents: Iterable[Document]) -> Iterator[Document]:
        with self._lock:
            inputs = SelectionInputs(
                self._initial_settings, self.environment, self._progress, self._held_out, self._examples
            )
            settings, documents, selection = adapt_to_documents(inputs, documents)
            if settings != self.settings:
                self.close()
            self.settings, self.selection = settings, selection
        return documents

    def _prepared(self) -> Extractor:
        with self._lock:
            if self._extractor is None:
                assembly = self._open()
                self._extractor = assembly.ray_extractor() if self._runner == "ray" else assembly.extractor()
            return self._extractor

    def _open(self) -> Assembly:
        with self._lock:
            if self._assembly is None:
                self._assembly = Assembly(
                    self.settings,
                    self.environment,
                    self._progress,
                    models=self._models,
                    examples=self._examples,
                    held_out=self._held_out,
                    weights=self._weights,
                )
            return self._assembly

    def close(self) -> None:
        """Free the models' memory."""
        with self._lock:
            if self._assembly is not None:
                self._assembly.close()
            self._assembly = self._extractor = None

    @property
    def labels(self) -> LabelSet:
        """The labels of the settings, or else of the examples."""
        assembly = self._open()
        return assembly.pool.labels(assembly.pool.documents())

    @property
    def fingerprints(self) -> Mapping[str, str]:
        """What results depend on: name -> hash, for a journal."""
        return self._prepared().configuration

    @property
    def pipeline(self) -> Pipeline:
        """The four stages, with the members and the trained weights.

        Raises:
            ConfigError: they are on a Ray cluster.
        """
        extractor = self._prepared()
        if not isinstance(extractor, LocalExtractor):
            raise ConfigError("the pipeline is on a Ray cluster, not in this process")
        return extractor.pipeline

    @property
    def trains_on_examples(self) -> bool:
        """Whether the weights of the votes are trained on the examples, and not only pre-trained."""
        assembly = self._open()
        return assembly.trains_on_pool(assembly.pool.documents())

    @property
    def parameters(self) -> int | None:
        """Weights of all loaded models, each counted once; `None` if a server does not tell."""
        return self._open().models.parameters

    def demonstrations(self, text: str) -> Retrieval:
        """The examples that the models are shown for a sentence, and why.

        Raises:
            ConfigError: there are no examples.
            EntsembleError: a model, or the examples, cannot be loaded.
        """
        assembly = self._open()
        documents = assembly.pool.documents()
        if not documents:
            raise ConfigError("there are no examples to show; give some")
        labels = assembly.pool.labels(documents)
        members = assembly.members() if self.settings.pool.similarity == "span" else []
        pool_index = assembly.pool.index(assembly.pool.leakage_guard(documents), labels, members)
        return retrieve(text, members, labels, pool_index, assembly.pool.demonstration_limits(documents))

    def build_pool(self) -> PreparedPool:
        """Compute and cache on disk what runs need of the examples: vectors, spans and vote weights.

        A build that was interrupted resumes. If the settings leave experts to the texts, spans and vote weights wait
        for the texts.

        Raises:
            EntsembleError: a model, or the examples, cannot be loaded.
        """
        assembly = self._open()
        documents = assembly.pool.documents()
        labels = assembly.pool.labels(documents)
        settings = self.settings.pool
        is_waiting = self._selects_experts and self.selection is None
        pre_extracts = settings.spans == "members" and settings.similarity == "span"
        needs_members = pre_extracts or assembly.trains_on_pool(documents)
        if needs_members and not is_waiting:
            self._prepared()
        else:
            leakage_guard = assembly.pool.leakage_guard(documents)
            assembly.pool.index(leakage_guard, labels, [])
            assembly.pool.neighbours(leakage_guard, labels)
        return PreparedPool(tuple(documents), labels, is_complete=not (needs_members and is_waiting))
