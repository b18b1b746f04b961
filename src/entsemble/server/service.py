"""Extraction for requests: models that stay loaded, the current pool, and an ensemble for both."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

from entsemble._lib.cancellation import WorkCancelledError, cancellable, check_cancelled
from entsemble.assembly import ProgressCallbacks, expert_store
from entsemble.assembly.model_pool import ModelPool
from entsemble.assembly.stacking import uses_stacking
from entsemble.data.windows import split_document, split_windows
from entsemble.ensemble import Ensemble, Run
from entsemble.errors import EntsembleError, ModelUnavailableError
from entsemble.experts.store import Expert
from entsemble.scoring.model import StackingModel
from entsemble.server.built_ensemble import BuiltEnsemble, learned_weights, settings_key, weights_key
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
        schedule_learning: called when a request could be answered better after `learn`.
    """

    def __init__(self, settings_factory: SettingsFactory, environment: Environment, pool: PoolFile) -> None:
        self._settings_factory, self._environment, self.pool = settings_factory, environment, pool
        self.schedule_learning: Callable[[], None] = lambda: None
        self._defaults = settings_factory({})
        self._lock = threading.Lock()
        self._loaded: dict[str, _LoadedModels] = {}
        self._clock = 0
        self._weights: dict[str, StackingModel | None] = {}
        self._unlearned: set[tuple[str, int]] = set()
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

        Only here do members learn the votes' weights from the pool; requests reuse them as long as labels and members
        stay the same. That takes minutes, so requests wait for it once, at the start, and not after each correction.
        If the texts of a request select the experts, nothing is loaded or learned in advance.

        Args:
            request: one such request; by default with the server's labels.

        Raises:
            EntsembleError: a model is not available.
        """
        request = self._last_request = request or ExtractionRequest((), self.labels() or {"name": ""})
        version, pool_documents = self._pool_for(request.labels)
        settings = self._settings_for(request, pool_documents)
        if self._learns_in_background(settings, pool_documents):
            with _until_stopped():
                self.learn()
            return
        if any(isinstance(member.experts, str) for member in settings.members):  # known only with the texts
            if self._new_ensemble(settings, pool_documents).trains_on_examples:
                _LOG.warning("vote weights are not learned ([stacking]): each request selects its own experts")
            return
        with (
            _until_stopped(),
            cancellable(self._stopping.is_set),
            self._ensemble(settings, version, pool_documents, learn=True),
        ):
            return

    def learn(self) -> None:
        """Learn from the pool as it is, for requests like the last one, where only voices answer.

        It takes seconds to minutes, in a process of its own. Requests use what was learned before until it is done;
        the first ones wait for it. What was learned stays in the cache on disk. Members learn at the start alone.

        Raises:
            EntsembleError: a model is not available, or the process failed.
            WorkCancelledError: the server is stopping.
        """
        request = self._last_request or ExtractionRequest((), self.labels() or {"name": ""})
        version, pool_documents = self._pool_for(request.labels)
        settings = self._settings_for(request, pool_documents)
        if not self._learns_in_background(settings, pool_documents):
            return
        key = settings_key(settings)
        with self._models(settings) as loaded, nullcontext() if loaded.ensemble else loaded.build_lock:
            built = loaded.ensemble
            if built and built.is_learned and (built.key, built.version) == (key, version):
                return
            try:
                weights = learn_in_process(settings, self._environment, pool_documents, self._stopping.is_set)
            except EntsembleError:
                self._unlearned.add((key, version))  # requests do not wait for this version any longer
                raise
            self._weights[weights_key(settings)] = weights
            ensemble = self._build(settings, loaded.models, pool_documents, learn=False)
            loaded.ensemble = BuiltEnsemble(key, version, ensemble, is_learned=True, answers_version=version)

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
            yield ensemble.run(request.documents, on_sentence=on_sentence)

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
    def _ensemble(
        self, settings: Settings, version: int, pool_documents: Sequence[Document], *, learn: bool = False
    ) -> Iterator[Ensemble]:
        """The ensemble for these settings and this version of the pool, built if either has changed."""
        key = settings_key(settings)
        with self._models(settings) as loaded:
            with loaded.build_lock:  # one thread builds it, the others wait and use it
                built = loaded.ensemble
                is_current = built is not None and (built.key, built.version) == (key, version)
                can_learn = (
                    not (is_current and built and built.is_learned)
                    and (key, version) not in self._unlearned
                    and self._learns_in_background(settings, pool_documents)
                )
                if can_learn:
                    self.schedule_learning()
                if can_learn and built and built.key == key:  # answers until what this pool teaches is learned
                    built.answer_from(version, self._sentences(pool_documents), self._defaults.language)
                elif not built or not is_current or (learn and not built.is_learned):
                    ensemble = self._build(settings, loaded.models, pool_documents, learn=learn)
                    is_learned = learned_weights(ensemble) is not None
                    built = loaded.ensemble = BuiltEnsemble(key, version, ensemble, is_learned, version)
            yield built.ensemble

    def _learns_in_background(self, settings: Settings, pool_documents: Sequence[Document]) -> bool:
        """Whether voices learn, and no member does: they answer in milliseconds, so that learning costs little."""
        has_learners = not settings.members and bool(settings.voices)
        return has_learners and uses_stacking(settings, self._sentences(pool_documents))

    def _sentences(self, documents: Sequence[Document]) -> list[Document]:
        return [part for document in documents for part in split_document(document, language=self._defaults.language)]

    def _build(
        self, settings: Settings, models: ModelPool, pool_documents: Sequence[Document], *, learn: bool
    ) -> Ensemble:
        ensemble = self._new_ensemble(
            settings if learn else settings.without_training(),
            pool_documents,
            models=models,
            weights=self._weights.get(weights_key(settings)),
        )
        if weights := learned_weights(ensemble):
            self._weights[weights_key(settings)] = weights
        return ensemble

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
