"""Label-guided retrieval (DEER, arXiv 2505.23722): similarity by the words that matter for the labels.

A word's weight is estimated from the pool: how often it occurs inside a mention, within two words of one, or elsewhere.
"""

from __future__ import annotations

from collections import ChainMap, Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from entsemble._lib.text import word_spans
from entsemble.protocols import Encoder, Vectors
from entsemble.retrieval.similarity import Scores
from entsemble.types import Document

_INSIDE, _NEARBY, _ELSEWHERE = 1.0, 1.0, 0.01
"""Weight of an occurrence of a word by its position relative to mentions, as in the authors' scripts."""

_WINDOW = 2
"""Words before and after a mention that are nearby."""

_UNSEEN_WEIGHT = 1.0
"""Weight of a word that the pool does not contain: it may be a name."""

_MAX_DOCUMENT_FREQUENCY = 0.1
"""A word that occurs in more than this share of the pool's sentences, and in more than one, does not make two sentences
similar. It stands in for the authors' list of English stop words, in any language."""


class LabelGuidedIndex:
    """Similarity of a text to the sentences of a pool, by weighted words.

    Args:
        documents: annotated sentences.
        pool_encoder: encodes the pool's words; may cache their embeddings.
        query_encoder: encodes the words of a query that the pool lacks.
    """

    def __init__(self, documents: Sequence[Document], pool_encoder: Encoder, query_encoder: Encoder) -> None:
        self._query_encoder = query_encoder
        self._sentence_count = len(documents)
        weight_sums: defaultdict[str, float] = defaultdict(float)
        word_counts: Counter[str] = Counter()
        self._sentences_with: defaultdict[str, list[int]] = defaultdict(list)
        sentence_words: list[list[str]] = []
        for sentence_index, document in enumerate(documents):
            weighted_words = _weight_words(document)
            sentence_words.append([word for word, _ in weighted_words])
            for word, weight in weighted_words:
                weight_sums[word] += weight
                word_counts[word] += 1
            for word in dict.fromkeys(sentence_words[-1]):
                self._sentences_with[word].append(sentence_index)
        self._word_weights = {word: weight_sums[word] / count for word, count in word_counts.items()}
        word_vectors = pool_encoder.encode(list(word_counts))
        self._word_vectors = dict(zip(word_counts, word_vectors, strict=True))
        dimension = word_vectors.shape[1] if word_counts else 1
        sentence_means = [
            self._mean(words, self._word_vectors) if words else np.zeros(dimension) for words in sentence_words
        ]
        self._sentence_vectors = np.array(sentence_means, dtype=np.float32).reshape(len(sentence_means), dimension)

    def similarities(self, text: str) -> Scores:
        """[sentences]: the summed weights of the words in common, plus the cosine of the weighted mean embeddings."""
        words = [span.slice(text) for span in word_spans(text)]
        distinct_words = [*dict.fromkeys(words)]
        scores = np.zeros(self._sentence_count, dtype=np.float32)
        max_sentences = max(1, _MAX_DOCUMENT_FREQUENCY * self._sentence_count)
        for word in distinct_words:
            sentence_indices = self._sentences_with.get(word, [])
            if any(map(str.isalnum, word)) and len(sentence_indices) <= max_sentences:
                scores[sentence_indices] += self._word_weights.get(word, 0.0)
        if not (words and self._word_vectors):
            return scores
        unseen = [word for word in distinct_words if word not in self._word_vectors]
        unseen_vectors = dict(zip(unseen, self._query_encoder.encode(unseen), strict=True)) if unseen else {}
        mean = self._mean(words, ChainMap(unseen_vectors, self._word_vectors))
        return np.asarray(scores + self._sentence_vectors @ mean, dtype=np.float32)

    def _mean(self, words: Sequence[str], vectors: Mapping[str, Vectors]) -> npt.NDArray[np.float32]:
        """[dimensions]: the weighted mean of the words' embeddings, normalised."""
        weights = np.array([self._word_weights.get(word, _UNSEEN_WEIGHT) for word in words], dtype=np.float32)
        mean = weights @ np.stack([vectors[word] for word in words])
        return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), dtype=np.float32)


def _weight_words(document: Document) -> list[tuple[str, float]]:
    """The words of a sentence, each with the weight of its position."""
    spans = word_spans(document.text)
    is_inside = [any(span.overlaps(mention.span) for mention in document.mentions) for span in spans]
    weighted_words = []
    for word_index, span in enumerate(spans):
        is_nearby = any(is_inside[max(0, word_index - _WINDOW) : word_index + _WINDOW + 1])
        weight = _INSIDE if is_inside[word_index] else _NEARBY if is_nearby else _ELSEWHERE
        weighted_words.append((span.slice(document.text), weight))
    return weighted_words
