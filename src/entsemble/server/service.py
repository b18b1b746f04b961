"""Extraction for requests: models that stay loaded, the current pool, and an ensemble for both."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from entsemble._lib.cancellation import WorkCancelledError, cancellable, check_cancelled
from entsemble.assembly import ProgressCallbacks, expert_store
from entsemble.assembly.model_pool import ModelPool
from entsemble.data.windows import split_document, split_windows
from entsemble.ensemble import Ensemble, Run
from entsemble.errors import EntsembleError, ModelUnavailableError
from entsemble.experts.store import Expert
from entsemble.scoring.model import StackingModel
from entsemble.server.built_ensemble import BuiltEnsemble, settings_key
from entsemble.server.learned import Learned, LearnedStore, is_outdated, learns_from, voices_learn
from entsemble.server.learning import learn_in_process
from entsemble.server.pool_file import PoolFile
from entsemble.settings import Environment, Settings
from entsemble.types import Document

SettingsFactory = Callable[[Mapping[str, Any]], Settings]
"""From the values of a request, nested as in TOML, to its settings."""

_LOG = logging.getLogger("entsemble.server")
_MAX_LOADED = 2
"""Sets of models that stay loaded: those for the pool, and those of the last selection of experts."""


@dataclass(frozen=True, slots=True)
class ExtractionRequest:
    """Documents and what to extract from them.

    Attributes:
        documents: to extract from; their own mentions are ignored.
        labels: name -> definition; if empty, the server's.
        threshold, nested: as in the settings; `None` keeps the server's.
    """

    documents: tuple[Document, ...]
    labels: Mapping[str, str]
    threshold: float | None = None
    nested: bool | None = None


@dataclass(slots=True)
class _LoadedModels:
    """One set of models, and the ensemble that was last built with it.

    Attributes:
        models: in memory.
        build_lock: held while the ensemble is built.
        ensemble: the last one that was built.
        users: requests that use it now.
        last_used: logical time of its last use.
    """

    models: ModelPool
    build_lock: threading.Lock = field(default_factory=threading.Lock)
    ensemble: BuiltEnsemble | None = None
    users: int = 0
    last_used: int = 0


class ExtractionService:
    """Answers requests from any number of threads.

    Args:
        settings_factory: makes the settings of a request.
        environment: where models and experts are stored.
        pool: gives the demonstrations once it has a mention with a requested label.

    Attributes:
        schedule_learning: called when requests could be answered better after `learn`.
        learned_sentences: of the pool, that the last ensemble has learned from.
    """

    def __init__(self, settings_factory: SettingsFactory, environment: Environment, pool: PoolFile) -> None:
        self._settings_factory, self._environment, self.pool = settings_factory, environment, pool
        self.schedule_learning: Callable[[], None] = lambda: None
        self._defaults = settings_factory({})
        self._lock = threading.Lock()
        self._loaded: dict[str, _LoadedModels] = {}
        self._clock = 0
        self._learned = LearnedStore(environment, pool.path)
        self._unlearnable: set[tuple[str, int]] = set()
        self.learned_sentences = 0
        self._last_request: ExtractionRequest | None = None
        self._stopping = threading.Event()

    @property
    def is_stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """Cancel preparations, such as learning from the pool, at their next step."""
        self._stopping.set()

    def close(self) -> None:
        """Unload all models."""
        with self._lock:
            for loaded in self._loaded.values():
                loaded.models.close()
            self._loaded.clear()

    def labels(self) -> dict[str, str]:
        """The labels that the server was started with, then those of the pool; name -> definition."""
        _, documents = self.pool.snapshot()
        default_labels = self._defaults.labels
        pool_labels = {mention.label for document in documents for mention in document.mentions}
        return {**default_labels, **dict.fromkeys(sorted(pool_labels - default_labels.keys()), "")}

    def experts(self) -> list[Expert]:
        """All intact experts; broken ones are logged."""
        intact, broken = expert_store(self._environment).load_intact()
        for name, error in broken.items():
            _LOG.error("the expert %s: %s", name, error)
        return intact

    def sentence_offsets(self, document: Document) -> list[tuple[int, int]]:
        """Start and end of each sentence, as the models see them."""
        sentences = split_windows(document, language=self._defaults.language)
        return [(sentence.start, sentence.start + len(sentence.text)) for sentence in sentences]

    def warm_up(self, request: ExtractionRequest | None = None) -> None:
        """Load the models that requests need with the current pool, so that the first one does not wait for them.

        What the pool teaches is learned in the background, unless an earlier server has. If the texts of a request
        select the experts, nothing is loaded in advance.

        Args:
            request: one such request; by default with the server's labels.

        Raises:
            EntsembleError: a model is not available.
        """
        self._last_request = request or ExtractionRequest((), self.labels() or {"name": ""})
        version, pool_documents, settings = self._current()
        if any(isinstance(member.experts, str) for member in settings.members):  # known only with the texts
            if self._new_ensemble(settings, pool_documents).trains_on_examples:
                _LOG.warning("vote weights are not learned ([stacking]): each request selects its own experts")
            return
        with _until_stopped(), cancellable(self._stopping.is_set), self._ensemble(settings, version, pool_documents):
            self._schedule_learning(settings, version, pool_documents)

    def can_learn(self) -> bool:
        """Whether the pool teaches what has not been learned yet, for requests like the last one.

        Raises:
            EntsembleError: a model is not available.
        """
        version, pool_documents, settings = self._current()
        return self._can_learn(settings, version, pool_documents)

    def learn(self) -> None:
        """Learn from the pool as it is, for requests like the last one.

        It takes seconds to minutes, in a process of its own. Requests are answered meanwhile, with what was learned
        before if anything was. What was learned stays in the cache on disk, for the next start.

        Raises:
            EntsembleError: a model is not available, or the process failed.
            WorkCancelledError: the server is stopping.
        """
        version, pool_documents, settings = self._current()
        try:
            weights = learn_in_process(settings, self._environment, pool_documents, self._stopping.is_set)
        except EntsembleError:
            self._unlearnable.add((settings_key(settings), version))  # the next version of the pool is tried again
            raise
        with self._models(settings) as loaded:
            self._learned.put(settings, loaded.models, Learned(pool_documents, weights, len(pool_documents)))
            loaded.ensemble = self._build(settings, loaded.models, version, pool_documents)

    def _schedule_learning(self, settings: Settings, version: int, pool_documents: Sequence[Document]) -> None:
        if self._can_learn(settings, version, pool_documents):
            self.schedule_learning()

    def _can_learn(self, settings: Settings, version: int, pool_documents: Sequence[Document]) -> bool:
        """Whether the pool teaches what has not been learned yet; loads the models if it might."""
        is_enough = learns_from(settings, pool_documents) or learns_from(settings, self._sentences(pool_documents))
        if not is_enough or (settings_key(settings), version) in self._unlearnable:
            return False
        with self._models(settings) as loaded, loaded.build_lock:
            learned = self._learned.get(settings, loaded.models, pool_documents)
        return learned is None or is_outdated(learned, settings, pool_documents)

    @contextmanager
    def extraction(
        self,
        request: ExtractionRequest,
        on_sentence: Callable[[], None] = lambda: None,
    ) -> Iterator[Run]:
        """The results of a request as they become available; a surrounding `cancellable` block can end them early.

        Args:
            request: with at least one document.
            on_sentence: called after each sentence.

        Raises:
            ConfigError: no labels, or invalid ones.
            EntsembleError: a model is not available.
            WorkCancelledError: the results are no longer wanted.
        """
        labels = dict(request.labels) or self.labels()
        self._last_request = replace(request, labels=labels, documents=())
        version, pool_documents = self._pool_for(labels)
        settings = self._settings_for(self._last_request, pool_documents)
        selecting = self._new_ensemble(settings, pool_documents)
        selecting.select_experts(request.documents)
        check_cancelled()
        with self._ensemble(selecting.settings, version, pool_documents) as ensemble:
            self._schedule_learning(settings, version, pool_documents)
            yield ensemble.run(request.documents, on_sentence=on_sentence)

    def _current(self) -> tuple[int, tuple[Document, ...], Settings]:
        """The pool's version, its documents, and the settings, for requests like the last one."""
        request = self._last_request or ExtractionRequest((), self.labels() or {"name": ""})
        version, pool_documents = self._pool_for(request.labels)
        return version, pool_documents, self._settings_for(request, pool_documents)

    def _settings_for(self, request: ExtractionRequest, pool_documents: Sequence[Document]) -> Settings:
        settings = self._settings_factory(
            {
                "labels": dict(request.labels),
                "nested": request.nested,
                "classification": {"threshold": request.threshold},
                "pool": {"path": self.pool.path if pool_documents else None},
            }
        )
        thresholds = {name: value for name, value in settings.rules.thresholds.items() if name in settings.labels}
        rules = settings.rules.model_copy(update={"thresholds": thresholds})  # a request need not have all labels
        return settings.model_copy(update={"rules": rules})

    def _pool_for(self, labels: Mapping[str, str]) -> tuple[int, tuple[Document, ...]]:
        """The pool's version, and its documents with only the mentions of these labels; none if there are none."""
        version, documents = self.pool.snapshot()
        filtered = tuple(
            replace(document, mentions=tuple(mention for mention in document.mentions if mention.label in labels))
            for document in documents
        )
        return version, filtered if any(document.mentions for document in filtered) else ()

    @contextmanager
    def _ensemble(self, settings: Settings, version: int, pool_documents: Sequence[Document]) -> Iterator[Ensemble]:
        """The ensemble for these settings and this version of the pool, built if either has changed."""
        with self._models(settings) as loaded:
            with loaded.build_lock:  # one thread builds it, the others wait and use it
                built = loaded.ensemble
                if built is None or built.key != settings_key(settings):
                    built = loaded.ensemble = self._build(settings, loaded.models, version, pool_documents)
                elif built.version != version:
                    sentences = self._sentences(pool_documents)
                    if built.stays and voices_learn(settings, sentences):
                        built.answer_from(version, sentences, self._defaults.language)
                    else:
                        built = loaded.ensemble = self._build(settings, loaded.models, version, pool_documents)
            yield built.ensemble

    def _build(
        self, settings: Settings, models: ModelPool, version: int, pool_documents: Sequence[Document]
    ) -> BuiltEnsemble:
        """An ensemble with what has been learned so far; nothing is learned here."""
        sentences = self._sentences(pool_documents)
        learned = self._learned.get(settings, models, pool_documents) if learns_from(settings, sentences) else None
        has_learners = voices_learn(settings, sentences)
        stays = has_learners and learned is not None
        examples = learned.documents if learned and has_learners else pool_documents
        ensemble = self._new_ensemble(
            settings.without_learning() if has_learners and not learned else settings.without_training(),
            examples,
            models=models,
            weights=learned.weights if learned else None,
        )
        ensemble.prepare()
        built = BuiltEnsemble(settings_key(settings), version, ensemble, stays)
        if examples != pool_documents:
            built.answer_from(version, sentences, self._defaults.language)
        self.learned_sentences = learned.size if learned else 0
        return built

    def _sentences(self, documents: Sequence[Document]) -> list[Document]:
        return [part for document in documents for part in split_document(document, language=self._defaults.language)]

    def _new_ensemble(
        self,
        settings: Settings,
        pool_documents: Sequence[Document],
        *,
        models: ModelPool | None = None,
        weights: StackingModel | None = None,
    ) -> Ensemble:
        return Ensemble(
            settings,
            environment=self._environment,
            examples=pool_documents,
            progress=ProgressCallbacks(on_step=self._check_stopping),
            models=models,
            weights=weights,
        )

    def _check_stopping(self, *_: object) -> None:
        check_cancelled()
        if self._stopping.is_set():
            raise ModelUnavailableError("the server is stopping")

    @contextmanager
    def _models(self, settings: Settings) -> Iterator[_LoadedModels]:
        """The models of these settings, loaded once; afterwards, the least recently used idle ones are unloaded."""
        names = {"members", "voices", "patterns", "encoder", "cache", "threads", "workers"}
        key = settings.model_dump_json(include=names)
        with self._lock:
            if key not in self._loaded:
                self._loaded[key] = _LoadedModels(ModelPool(settings, self._environment, ProgressCallbacks()))
            loaded = self._loaded[key]
            loaded.users += 1
            self._clock += 1
            loaded.last_used = self._clock
        try:
            yield loaded
        finally:
            with self._lock, ExitStack() as closing:
                loaded.users -= 1
                idle = sorted((other.last_used, name) for name, other in self._loaded.items() if other.users == 0)
                for _, name in idle[: max(0, len(self._loaded) - _MAX_LOADED)]:
                    closing.callback(self._loaded.pop(name).models.close)


@contextmanager
def _until_stopped() -> Iterator[None]:
    try:
        yield
    except WorkCancelledError as error:
        raise ModelUnavailableError("the server is stopping") from error
