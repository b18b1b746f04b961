"""What a server works with: models, loaded once, and the pool as it is now; an ensemble for each request."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from entsemble.assembly import Assembly, ProgressCallbacks, adapt, expert_store
from entsemble.assembly.model_pool import Models
from entsemble.data.windows import windows
from entsemble.errors import ModelUnavailableError
from entsemble.execution.threads import LocalMapper
from entsemble.experts.store import Expert
from entsemble.extractor import LocalExtractor
from entsemble.ner.documents import Extracted, Failed
from entsemble.scoring.model import StackingModel
from entsemble.server.pool_file import PoolFile
from entsemble.settings import Environment, Settings
from entsemble.types import Document

MakeSettings = Callable[[Mapping[str, Any]], Settings]
"""What a request and the pool say, as in TOML -> settings, over those that the server was started with."""

_LOG = logging.getLogger("entsemble.server")
_LOADED = 2
"""Sets of models that stay loaded: those of the pool, and those of the last choice of experts."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of some documents.

    Attributes:
        documents: whose mentions are wanted; their own are not looked at.
        labels: name -> definition; none takes the server's.
        threshold, nested: as in the settings; `None` leaves them.
    """

    documents: tuple[Document, ...]
    labels: Mapping[str, str]
    threshold: float | None = None
    nested: bool | None = None


@dataclass(slots=True)
class _Loaded:
    models: Models
    building: threading.Lock = field(default_factory=threading.Lock)
    made: tuple[str, LocalExtractor] | None = None
    users: int = 0
    used: int = 0


class Workbench:
    """Answers requests; any number of threads may ask.

    Args:
        settings: makes a request's settings.
        environment: where models and experts are.
        pool: what demonstrations come from, as soon as it holds a mention of a label that is asked for.
    """

    def __init__(self, settings: MakeSettings, environment: Environment, pool: PoolFile) -> None:
        self._settings, self._environment, self.pool = settings, environment, pool
        self._usual = settings({})
        self._turn = threading.Lock()
        self._loaded: dict[str, _Loaded] = {}
        self._clock = 0
        self._weights: dict[str, StackingModel] = {}
        self._stopping = threading.Event()

    def stop(self) -> None:
        """End what is prepared, such as learning from the pool, at the next step."""
        self._stopping.set()

    def close(self) -> None:
        """Give back the models' memory."""
        with self._turn:
            for loaded in self._loaded.values():
                loaded.models.close()
            self._loaded.clear()

    def labels(self) -> dict[str, str]:
        """Those that the server was started with, then those of the pool; name -> definition."""
        _, documents = self.pool.texts()
        own = self._usual.labels
        found = sorted({m.label for d in documents for m in d.mentions} - own.keys())
        return {**own, **dict.fromkeys(found, "")}

    def experts(self) -> list[Expert]:
        """All that are whole."""
        found, broken = expert_store(self._environment).whole()
        for name, error in broken.items():
            _LOG.error("the expert %s: %s", name, error)
        return found

    def sentences(self, document: Document) -> list[tuple[int, int]]:
        """Start and end of each sentence, as the ensemble is shown them."""
        return [(w.start, w.start + len(w.text)) for w in windows(document, language=self._usual.language)]

    def warm(self) -> None:
        """Load the models that the pool as it is now needs, so that the first request need not wait for them.

        What the pool teaches about the votes is learnt here alone, and serves while labels and members stay the same.
        It takes minutes, and requests wait for it now, at the start, rather than after each correction. Where the texts
        of a request choose the experts, nothing is loaded or learnt beforehand.

        Raises:
            EntsembleError: they cannot be had.
        """
        version, shown = self._shown(self.labels())
        settings = self._asked(Request((), self.labels() or {"name": ""}), shown)
        if any(isinstance(m.experts, str) for m in settings.members):  # which, and so which models, the texts say
            if Assembly(settings, self._environment, pool=shown).learns(shown):
                _LOG.warning("votes are not learnt here ([stacking]): each request's texts choose its experts anew")
            return
        with self._ensemble(settings, version, shown, learn=True):
            return

    @contextmanager
    def answering(
        self, request: Request, told: Callable[[], None] = lambda: None, stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[tuple[LocalExtractor, Iterator[Extracted | Failed]]]:
        """What answers a request, whose `stop` ends it early, and its answers as they come.

        Args:
            request: at least one document.
            told: called after each sentence.
            stopped: whether nobody waits any more; asked before models are loaded.

        Raises:
            ConfigError: labels that cannot be asked for, or none at all.
            EntsembleError: models that cannot be had.
        """
        labels = dict(request.labels) or self.labels()
        version, shown = self._shown(labels)
        settings = self._asked(replace(request, labels=labels), shown)
        settings, documents, _ = adapt(settings, self._environment, request.documents, pool=shown)
        if stopped():
            raise ModelUnavailableError("nobody waits for the answer any more")
        with self._ensemble(settings, version, shown) as made:
            extractor = replace(made, mapper=LocalMapper(made.mapper.workers), on_sentence=told)
            yield extractor, extractor.extract(documents)

    def _asked(self, request: Request, shown: Sequence[Document]) -> Settings:
        return self._settings(
            {
                "labels": dict(request.labels),
                "nested": request.nested,
                "classification": {"threshold": request.threshold},
                "pool": {"path": self.pool.path if shown else None},
            }
        )

    def _shown(self, labels: Mapping[str, str]) -> tuple[int, tuple[Document, ...]]:
        """The pool's version, and its texts with the mentions of these labels alone; none where it has none of them."""
        version, documents = self.pool.texts()
        shown = tuple(replace(d, mentions=tuple(m for m in d.mentions if m.label in labels)) for d in documents)
        return version, shown if any(d.mentions for d in shown) else ()

    @contextmanager
    def _ensemble(
        self, settings: Settings, version: int, shown: Sequence[Document], *, learn: bool = False
    ) -> Iterator[LocalExtractor]:
        """One ensemble for as long as neither the settings nor the pool change."""
        key = f"{version}:{settings.model_dump_json()}"
        with self._models(settings) as loaded:
            with loaded.building:  # one loads, the others find it loaded
                unlearnt = learn and loaded.made is not None and not _learnt(loaded.made[1])
                if loaded.made is None or loaded.made[0] != key or unlearnt:
                    asked = settings if learn else settings.without_training()
                    known = settings.model_dump_json(include={"members", "nested"}) + str(
                        sorted(settings.labels.items())
                    )
                    assembly = Assembly(
                        asked,
                        self._environment,
                        ProgressCallbacks(on_step=self._going_on),
                        models=loaded.models,
                        pool=shown,
                        weights=self._weights.get(known),
                    )
                    loaded.made = key, assembly.extractor()
                    if weights := _learnt(loaded.made[1]):
                        self._weights[known] = weights
                made = loaded.made[1]
            yield made

    def _going_on(self, *_: object) -> None:
        if self._stopping.is_set():
            raise ModelUnavailableError("the server is stopping")

    @contextmanager
    def _models(self, settings: Settings) -> Iterator[_Loaded]:
        """The models of these members, loaded once; the longest unused are closed when nobody works with them."""
        key = settings.model_dump_json(include={"members", "encoder", "cache", "threads", "workers"})
        with self._turn:
            loaded = self._loaded.setdefault(key, _Loaded(Models(settings, self._environment, ProgressCallbacks())))
            loaded.users += 1
            self._clock += 1
            loaded.used = self._clock
        try:
            yield loaded
        finally:
            with self._turn, ExitStack() as closing:
                loaded.users -= 1
                idle = sorted((o.used, name) for name, o in self._loaded.items() if o.users == 0)
                for _, name in idle[: max(0, len(self._loaded) - _LOADED)]:
                    closing.callback(self._loaded.pop(name).models.close)


def _learnt(made: LocalExtractor) -> StackingModel | None:
    """What the pool taught it, and not other corpora alone."""
    stacking = made.pipeline.scorer
    return stacking.model if stacking and stacking.model.training_sentences else None
