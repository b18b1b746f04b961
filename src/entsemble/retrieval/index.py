"""The pool's index: which annotated sentences to show for a given one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from entsemble._lib.text import same_text_key
from entsemble.errors import UnknownNameError
from entsemble.protocols import Encoder, PosTagger, Vectors
from entsemble.retrieval.label_guided import LabelGuidedIndex
from entsemble.retrieval.similarity import sentence_similarity, span_similarity, span_weight, top_indices
from entsemble.types import Document, Span

Similarity = Literal["span", "sentence", "label-guided", "random"]
SIMILARITIES: tuple[Similarity, ...] = ("span", "sentence", "label-guided", "random")


@dataclass(frozen=True, slots=True)
class Query:
    """A sentence to find demonstrations for; `spans` are its pre-extracted spans, empty where there are none."""

    text: str
    spans: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """Why a demonstration was chosen: the query's span, its weight, and the pool sentence's span nearest to it."""

    query_surface: str
    weight: float
    pool_surface: str
    cosine: float


@dataclass(frozen=True, slots=True)
class Hit:
    """A pool sentence, the score that chose it, and the matches behind a span-level score."""

    document: Document
    score: float
    matches: tuple[Match, ...] = ()


@dataclass(frozen=True, slots=True)
class PoolVectors:
    """All vectors of a pool.

    Attributes:
        sentences: [n, d].
        surfaces: the distinct span surfaces of the pool.
        spans: [u, d], one row a distinct surface.
        sentence_span_indices: for each sentence, indices into `surfaces`.
    """

    sentences: Vectors
    surfaces: tuple[str, ...]
    spans: Vectors
    sentence_span_indices: tuple[tuple[int, ...], ...]


class PoolIndex:
    """Searches a pool.

    Args:
        documents: annotated sentences.
        vectors: of the same documents, in order.
        encoder: the one that made the vectors.
        pos_tagger: weighs the query's spans.
        similarity: `span` (EL4NER's), `sentence`, `label-guided` (DEER's) or `random`.
        seed: for `random`.
        label_guided: of the same documents, in order; what `label-guided` needs.
        find_leaking: of a text, the numbers of the documents that are not shown for it, besides those of the same text.
    """

    def __init__(
        self,
        documents: Sequence[Document],
        vectors: PoolVectors,
        *,
        encoder: Encoder,
        pos_tagger: PosTagger,
        similarity: Similarity = "span",
        seed: int = 0,
        label_guided: LabelGuidedIndex | None = None,
        find_leaking: Callable[[str], Sequence[int]] | None = None,
    ) -> None:
        if similarity not in SIMILARITIES:
            raise UnknownNameError("similarity", similarity, SIMILARITIES)
        if similarity == "label-guided" and label_guided is None:
            raise ValueError("a label-guided search needs `label_guided`")
        self.documents, self._vectors = tuple(documents), vectors
        self._encoder, self.pos_tagger, self.similarity, self._seed = encoder, pos_tagger, similarity, seed
        self._guided = label_guided if similarity == "label-guided" else None
        self._keys, self._copies = np.array([same_text_key(d.text) for d in documents]), find_leaking
        counts = [len(spans) for spans in vectors.sentence_span_indices]
        self._starts: npt.NDArray[np.int64] = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        self._flat = np.array([i for spans in vectors.sentence_span_indices for i in spans], dtype=np.int64)
        self._first_of_text = np.zeros(len(documents), dtype=bool)
        self._first_of_text[np.unique(self._keys, return_index=True)[1]] = True

    def search(self, query: Query, k: int) -> list[Hit]:
        """The `k` most similar pool sentences, best first; fewer where the pool is smaller.

        A sentence never retrieves itself, documents that `find_leaking` returns for it, or two copies of one text; case
        and whitespace do not distinguish texts. A span-level search without a span of positive weight falls back to
        sentence similarity.
        """
        allowed = self._first_of_text & (self._keys != same_text_key(query.text))
        if self._copies:
            allowed[self._copies(query.text)] = False
        if k <= 0 or not allowed.any():
            return []
        if self.similarity == "random":
            return [Hit(self.documents[i], 0.0) for i in self._random(query, k, allowed)]
        by_sentence = sentence_similarity(self._encoder.encode([query.text])[0], self._vectors.sentences)
        if self._guided:
            scores = self._guided.similarities(query.text)
            return [Hit(self.documents[i], float(scores[i])) for i in top_indices(scores, by_sentence, k, allowed)]
        weighed = self._weigh(query) if self.similarity == "span" and self._flat.size else []
        if not weighed:
            return [
                Hit(self.documents[i], float(by_sentence[i])) for i in top_indices(by_sentence, by_sentence, k, allowed)
            ]
        spans = self._encoder.encode([surface for surface, _ in weighed])
        distinct = spans @ self._vectors.spans.T
        scores = span_similarity(distinct[:, self._flat], [w for _, w in weighed], self._starts)
        chosen = top_indices(scores, by_sentence, k, allowed)
        return [Hit(self.documents[i], float(scores[i]), self._explain(weighed, distinct, int(i))) for i in chosen]

    def _weigh(self, query: Query) -> list[tuple[str, float]]:
        """Distinct surfaces of the query's spans with a positive weight."""
        tags = self.pos_tagger.tag_spans(query.text, query.spans)
        weighed = {span.slice(query.text): span_weight(tag) for span, tag in zip(query.spans, tags, strict=True)}
        return [(surface, weight) for surface, weight in weighed.items() if weight > 0]

    def _explain(self, weighed: Sequence[tuple[str, float]], distinct: Vectors, i: int) -> tuple[Match, ...]:
        own = np.array(self._vectors.sentence_span_indices[i], dtype=np.int64)
        if not own.size:
            return ()
        best = own[np.argmax(distinct[:, own], axis=1)]
        return tuple(
            Match(surface, weight, self._vectors.surfaces[j], float(distinct[row, j]))
            for row, ((surface, weight), j) in enumerate(zip(weighed, best, strict=True))
        )

    def _random(self, query: Query, k: int, allowed: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """A draw that depends on the seed and the query alone, not on what was asked before."""
        digest = hashlib.sha256(f"{self._seed}\0{query.text}".encode()).digest()
        candidates = np.flatnonzero(allowed)
        drawn = np.random.default_rng(int.from_bytes(digest[:8], "big")).permutation(candidates)[:k]
        return np.asarray(drawn, dtype=np.int64)


def encode_pool(documents: Sequence[Document], spans: Sequence[Sequence[str]], encoder: Encoder) -> PoolVectors:
    """Encode a pool: its sentences, and each distinct span surface once.

    Args:
        documents: the pool.
        spans: the span surfaces of each document: gold mentions, or what members pre-extracted.
        encoder: any.
    """
    surfaces = tuple(dict.fromkeys(surface for own in spans for surface in own))
    number = {surface: i for i, surface in enumerate(surfaces)}
    return PoolVectors(
        encoder.encode([d.text for d in documents]),
        surfaces,
        encoder.encode(surfaces),
        tuple(tuple(dict.fromkeys(number[s] for s in own)) for own in spans),
    )
