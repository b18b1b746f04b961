"""The index of a pool: finds the annotated sentences most similar to a query."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from entsemble._lib.text import same_text_digest
from entsemble.errors import UnknownNameError
from entsemble.protocols import Encoder, PosTagger, Vectors
from entsemble.retrieval.label_guided import LabelGuidedIndex
from entsemble.retrieval.similarity import Scores, sentence_similarity, span_similarity, span_weight, top_indices
from entsemble.types import Document, Span

Similarity = Literal["span", "sentence", "label-guided", "random"]
SIMILARITIES: tuple[Similarity, ...] = ("span", "sentence", "label-guided", "random")

Mask = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Query:
    """A sentence to find demonstrations for.

    Attributes:
        text: the sentence.
        spans: pre-extracted from it; only a span-level search uses them.
    """

    text: str
    spans: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """A span of the query and the most similar span of a pool sentence.

    Attributes:
        query_surface: of the query's span.
        weight: of the query's span.
        pool_surface: of the pool sentence's span.
        cosine: of the two.
    """

    query_surface: str
    weight: float
    pool_surface: str
    cosine: float


@dataclass(frozen=True, slots=True)
class Hit:
    """A pool sentence, its similarity to the query, and the matches behind a span-level similarity."""

    document: Document
    score: float
    matches: tuple[Match, ...] = ()


@dataclass(frozen=True, slots=True)
class PoolVectors:
    """All embeddings of a pool.

    Attributes:
        sentences: [sentences, dimensions].
        surfaces: the distinct span surfaces of the pool.
        spans: [surfaces, dimensions].
        sentence_span_indices: for each sentence, indices of its spans in `surfaces`.
    """

    sentences: Vectors
    surfaces: tuple[str, ...]
    spans: Vectors
    sentence_span_indices: tuple[tuple[int, ...], ...]


class PoolIndex:
    """Searches a pool.

    Args:
        documents: annotated sentences.
        vectors: embeddings of the documents, in the same order.
        encoder: computed the vectors.
        pos_tagger: tags the query's spans, to weight them.
        similarity: `span` (EL4NER), `sentence`, `label-guided` (DEER) or `random`.
        seed: of a random search.
        label_guided: index of the same documents, in the same order; required for `label-guided`.
        find_leaking: text -> indices of documents that give its annotation away, and are never returned for it. The
            same text is never returned in any case.

    Raises:
        UnknownNameError: there is no such similarity.
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
        self.documents, self.pos_tagger, self.similarity = tuple(documents), pos_tagger, similarity
        self._vectors, self._encoder, self._seed = vectors, encoder, seed
        self._label_guided = label_guided if similarity == "label-guided" else None
        self._find_leaking = find_leaking
        span_counts = [len(indices) for indices in vectors.sentence_span_indices]
        self._span_starts: Indices = np.concatenate([[0], np.cumsum(span_counts, dtype=np.int64)])
        self._all_span_indices = np.array(
            [index for indices in vectors.sentence_span_indices for index in indices], dtype=np.int64
        )
        self._first_copies: dict[bytes, int] = {}
        """Digest of a text -> index of the first document with that text."""
        for index, document in enumerate(documents):
            self._first_copies.setdefault(same_text_digest(document.text), index)
        self._is_first_copy: Mask = np.zeros(len(documents), dtype=bool)
        self._is_first_copy[[*self._first_copies.values()]] = True

    def search(self, query: Query, limit: int) -> list[Hit]:
        """The `limit` most similar pool sentences, best first; fewer if the pool is smaller.

        A sentence never retrieves itself, documents that `find_leaking` returns for it, or two copies of one text; case
        and whitespace do not distinguish texts. A span-level search without a span of positive weight falls back to
        sentence similarity.
        """
        allowed = self._allowed(query.text)
        if limit <= 0 or not allowed.any():
            return []
        if self.similarity == "random":
            return [Hit(self.documents[sentence_index], 0.0) for sentence_index in self._sample(query, limit, allowed)]
        by_sentence = sentence_similarity(self._encoder.encode([query.text])[0], self._vectors.sentences)
        if self._label_guided:
            by_label = self._label_guided.similarities(query.text)
            return self._plain_hits(by_label, top_indices(by_label, by_sentence, limit, allowed))
        uses_spans = self.similarity == "span" and self._all_span_indices.size
        surface_weights = self._span_weights(query) if uses_spans else {}
        if not surface_weights:
            return self._plain_hits(by_sentence, top_indices(by_sentence, by_sentence, limit, allowed))
        surface_cosines = self._encoder.encode([*surface_weights]) @ self._vectors.spans.T
        by_span = span_similarity(
            surface_cosines[:, self._all_span_indices], [*surface_weights.values()], self._span_starts
        )
        return [
            Hit(
                self.documents[sentence_index],
                float(by_span[sentence_index]),
                self._matches(surface_weights, surface_cosines, sentence_index),
            )
            for sentence_index in top_indices(by_span, by_sentence, limit, allowed).tolist()
        ]

    def _allowed(self, text: str) -> Mask:
        """[sentences]: whether a sentence may be returned for `text`."""
        allowed: Mask = self._is_first_copy.copy()
        if (same_text := self._first_copies.get(same_text_digest(text))) is not None:
            allowed[same_text] = False
        if self._find_leaking:
            allowed[[*self._find_leaking(text)]] = False
        return allowed

    def _plain_hits(self, scores: Scores, sentence_indices: Indices) -> list[Hit]:
        return [
            Hit(self.documents[sentence_index], float(scores[sentence_index])) for sentence_index in sentence_indices
        ]

    def _span_weights(self, query: Query) -> dict[str, float]:
        """The query's distinct span surfaces with a positive weight -> weight."""
        tags = self.pos_tagger.tag_spans(query.text, query.spans)
        surface_weights = {
            span.slice(query.text): span_weight(tag) for span, tag in zip(query.spans, tags, strict=True)
        }
        return {surface: weight for surface, weight in surface_weights.items() if weight > 0}

    def _matches(
        self, surface_weights: dict[str, float], surface_cosines: Vectors, sentence_index: int
    ) -> tuple[Match, ...]:
        """For each query span, the nearest span of a pool sentence.

        Args:
            surface_weights: query surface -> weight.
            surface_cosines: [query surfaces, pool surfaces].
            sentence_index: of the pool sentence.
        """
        span_indices = np.array(self._vectors.sentence_span_indices[sentence_index], dtype=np.int64)
        if not span_indices.size:
            return ()
        nearest = span_indices[np.argmax(surface_cosines[:, span_indices], axis=1)]
        return tuple(
            Match(surface, weight, self._vectors.surfaces[pool_index], float(surface_cosines[row, pool_index]))
            for row, ((surface, weight), pool_index) in enumerate(zip(surface_weights.items(), nearest, strict=True))
        )

    def _sample(self, query: Query, limit: int, allowed: Mask) -> Indices:
        """A random sample that depends on the seed and the query alone, not on earlier searches."""
        digest = hashlib.sha256(f"{self._seed}\0{query.text}".encode()).digest()
        generator = np.random.default_rng(int.from_bytes(digest[:8], "big"))
        return np.asarray(generator.permutation(np.flatnonzero(allowed))[:limit], dtype=np.int64)


def encode_pool(documents: Sequence[Document], spans: Sequence[Sequence[str]], encoder: Encoder) -> PoolVectors:
    """Encode a pool: its sentences, and each distinct span surface once.

    Args:
        documents: the pool.
        spans: span surfaces of each document: gold mentions, or pre-extracted by members.
        encoder: of both.
    """
    surfaces = tuple(dict.fromkeys(surface for sentence_spans in spans for surface in sentence_spans))
    indices = {surface: index for index, surface in enumerate(surfaces)}
    return PoolVectors(
        encoder.encode([document.text for document in documents]),
        surfaces,
        encoder.encode(surfaces),
        tuple(tuple(dict.fromkeys(indices[surface] for surface in sentence_spans)) for sentence_spans in spans),
    )
