"""What a server has learned from its pool: kept in memory, and in the cache for the next start."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from entsemble import __version__
from entsemble.assembly.example_pool import pool_cache
from entsemble.assembly.model_pool import ModelPool
from entsemble.assembly.stacking import trains_on_pool, uses_stacking
from entsemble.assembly.voice_pool import CACHE_VERSION
from entsemble.backends.voice_spec import TAGGER, parse_voice
from entsemble.scoring.model import StackingModel
from entsemble.settings import Environment, Settings
from entsemble.types import Document

_MIN_GROWTH = 1.25
"""The pool must have grown by so much for language models to learn again: that takes minutes, and what they learn, the
weights of their votes, hardly changes with one sentence more. Corrections are demonstrations for them meanwhile."""


@dataclass(frozen=True, slots=True)
class Learned:
    """What was learned from a pool.

    Attributes:
        documents: the pool. What voices have learned from it is in the cache by its sentences.
        weights: of the votes; `None` for the pre-trained ones.
        size: of that pool. After a start, `documents` is empty if the pool does not have all of them any more.
    """

    documents: tuple[Document, ...]
    weights: StackingModel | None
    size: int


class LearnedStore:
    """What was last learned from a pool, for each kind of ensemble.

    Args:
        environment: where the cache is.
        pool_path: of the pool.
    """

    def __init__(self, environment: Environment, pool_path: Path) -> None:
        self._cache, self._pool_path = pool_cache(environment), str(pool_path.resolve())
        self._values: dict[str, Learned | None] = {}

    def get(self, settings: Settings, models: ModelPool, pool: Sequence[Document]) -> Learned | None:
        """What was learned last, by this server or by one before it; `None` if nothing was.

        Args:
            settings: of the ensemble.
            models: of the settings; loaded if this has not been asked for before.
            pool: as it is now. What voices have learned is of use only while it has all that they learned from.
        """
        key = _learned_key(settings)
        if key not in self._values:
            content = self._cache.get(self._owner(settings, models), [""]).get("") if settings.cache.replies else None
            learned = _from_bytes(content, pool) if content else None
            self._values[key] = learned if learned and (learned.documents or not settings.voices) else None
        return self._values[key]

    def put(self, settings: Settings, models: ModelPool, learned: Learned) -> None:
        """Keep what was learned, in place of what was learned before."""
        self._values[_learned_key(settings)] = learned
        self._cache.put(self._owner(settings, models), {"": _to_bytes(learned)})

    def _owner(self, settings: Settings, models: ModelPool) -> str:
        """Of the entry in the cache: no other models, pool or version of entsemble may use it."""
        members = [models.language_model(member).fingerprint for member in settings.members]
        specs = [parse_voice(voice.model) for voice in settings.all_voices]
        voices = [models.voice(spec).fingerprint for spec in specs if spec.kind != TAGGER]
        dependencies = [__version__, CACHE_VERSION, _learned_key(settings), self._pool_path, members, voices]
        return f"learned/1:{hashlib.sha256(json.dumps(dependencies).encode()).hexdigest()}"


def voices_learn(settings: Settings, sentences: Sequence[Document]) -> bool:
    """Whether voices learn from a pool of these sentences."""
    return bool(settings.voices) and uses_stacking(settings, sentences)


def learns_from(settings: Settings, sentences: Sequence[Document]) -> bool:
    """Whether an ensemble learns from a pool of these sentences; not if each text selects its own experts."""
    if any(isinstance(member.experts, str) for member in settings.members):
        return False
    return voices_learn(settings, sentences) or (bool(settings.members) and trains_on_pool(settings, sentences))


def is_outdated(learned: Learned, settings: Settings, documents: Sequence[Document]) -> bool:
    """Whether the pool has changed so much that it is learned from again: voices follow each change."""
    if settings.voices:
        return learned.documents != tuple(documents)
    return len(documents) >= _MIN_GROWTH * learned.size


def _learned_key(settings: Settings) -> str:
    """What makes useless what was learned, apart from the pool and the models' files."""
    labels = sorted(settings.labels.items())
    included = {"members", "voices", "patterns", "nested", "stacking"}
    return settings.model_dump_json(include=included) + str(labels)


def _to_bytes(learned: Learned) -> bytes:
    """The cache has no sentences, only their hashes."""
    weights = learned.weights and learned.weights.to_json()
    return json.dumps({"documents": list(map(_digest, learned.documents)), "weights": weights}).encode()


def _from_bytes(content: bytes, pool: Sequence[Document]) -> Learned:
    values = json.loads(content)
    digests = values["documents"]
    weights = values["weights"] and StackingModel.from_json(values["weights"])
    return Learned(_documents_of(digests, pool), weights, len(digests))


def _documents_of(digests: Sequence[str], pool: Sequence[Document]) -> tuple[Document, ...]:
    """Those of the pool with these hashes, of which several may be the same; none if it does not have all."""
    by_digest: dict[str, list[Document]] = {}
    for document in reversed(pool):
        by_digest.setdefault(_digest(document), []).append(document)
    documents = [candidates.pop() for digest in digests if (candidates := by_digest.get(digest))]
    return tuple(documents) if len(documents) == len(digests) else ()


def _digest(document: Document) -> str:
    mentions = [(mention.start, mention.end, mention.label) for mention in document.mentions]
    return hashlib.sha256(json.dumps([document.text, mentions]).encode()).hexdigest()
