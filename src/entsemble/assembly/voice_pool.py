"""What voices learn from a pool: a sequence tagger, and the label reader adapted to the pool's labels."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property

from entsemble.backends.label_reader.adapt import AdaptedReader, ReaderAdapter, fit_adapter, read_pool
from entsemble.backends.label_reader.model import MAX_LABELS, LabelReader, SpanTable
from entsemble.backends.tagger import SequenceTagger, train_tagger
from entsemble.retrieval.embedding_cache import PoolCache
from entsemble.types import Document, LabelSet

CACHE_VERSION = "voices/3"
"""Part of the key of what is cached; increase it whenever training changes."""

_MAX_READER_SENTENCES = 400
"""Sentences of the pool that the reader is adapted to; reading one takes some 50 ms."""


class VoicePool:
    """The sentences of a pool, and what was trained on them or on parts of them, which is cached.

    Args:
        documents: the sentences; none if there is no pool.
        seed: of the sample of a large pool that a reader is adapted to.
        cache: of trained voices.
        on_step: called with what is done, how much of it, and of how much.
    """

    def __init__(
        self, documents: Sequence[Document], seed: int, cache: PoolCache, on_step: Callable[[str, int, int], None]
    ) -> None:
        self._documents, self._seed, self._cache, self._on_step = documents, seed, cache, on_step
        self._tables: dict[tuple[str, LabelSet], dict[int, SpanTable | None]] = {}

    @property
    def size(self) -> int:
        """Number of sentences."""
        return len(self._documents)

    def tagger(self, indices: Sequence[int], labels: LabelSet) -> SequenceTagger:
        """A tagger that was trained on the sentences at these indices."""
        documents = [self._documents[index] for index in indices]
        key = _key("tagger", documents, labels)
        if content := self._cache.get(key, [""]).get(""):
            with suppress(ValueError):  # of another version, or damaged
                return SequenceTagger.from_bytes(content)
        self._on_step("training the tagger", 0, 1)
        tagger = train_tagger(documents, labels.names)
        self._on_step("training the tagger", 1, 1)
        self._cache.put(key, {"": tagger.to_bytes()})
        return tagger

    def adapted_reader(self, reader: LabelReader, indices: Sequence[int], labels: LabelSet) -> AdaptedReader | None:
        """The reader adapted to the sentences at these indices; `None` if there is nothing that it can learn.

        Args:
            reader: as it is.
            indices: of sentences.
            labels: as the reader sees them.
        """
        if len(labels.names) > MAX_LABELS:
            return None
        included = set(indices)
        chosen = [index for index in self._sample if index in included]
        documents = [self._documents[index] for index in chosen]
        key = _key(f"reader:{reader.fingerprint}", documents, labels)
        if content := self._cache.get(key, [""]).get(""):
            with suppress(ValueError):
                return AdaptedReader(reader, ReaderAdapter.from_bytes(content))
        tables = self._read(reader, labels)
        adapter = fit_adapter(documents, [tables[index] for index in chosen], labels)
        if adapter is None:
            return None
        self._cache.put(key, {"": adapter.to_bytes()})
        return AdaptedReader(reader, adapter)

    @cached_property
    def _sample(self) -> list[int]:
        """Indices of the sentences that a reader is adapted to, ascending."""
        return sorted(random.Random(self._seed).sample(range(self.size), min(self.size, _MAX_READER_SENTENCES)))

    def _read(self, reader: LabelReader, labels: LabelSet) -> dict[int, SpanTable | None]:
        """What a reader says of each sentence of the sample; read once, for the pool and all its folds."""
        key = reader.fingerprint, labels
        if key not in self._tables:
            documents = [self._documents[index] for index in self._sample]
            tables = read_pool(
                reader, documents, labels, lambda done: self._on_step("reading the pool", done, len(documents))
            )
            self._tables[key] = dict(zip(self._sample, tables, strict=True))
        return self._tables[key]


def _key(kind: str, documents: Sequence[Document], labels: LabelSet) -> str:
    label_values = [[label.name, label.readable, label.definition] for label in labels]
    sentences = [[document.text, [[m.start, m.end, m.label] for m in document.mentions]] for document in documents]
    digest = hashlib.sha256(json.dumps([label_values, sentences]).encode()).hexdigest()
    return f"{CACHE_VERSION}:{kind}:{digest}"
