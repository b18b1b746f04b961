"""Which sentences have the words that matter for the labels in common: DEER's retrieval (arXiv 2505.23722).

What a word matters is counted in the pool: how often it stands inside a mention, within two words of one, or elsewhere.
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

_INSIDE, _NEAR, _ELSEWHERE = 1.0, 1.0, 0.01
"""What a place counts, as in the authors' scripts."""

_AROUND = 2
"""Words before and after a mention that are near it."""

_UNSEEN = 1.0
"""What a word counts that the pool has nowhere: it may be a name."""

_COMMON = 0.1
"""A word in more of the pool's sentences than this, and in more than one, makes no two sentences alike. The authors
leave out English stop words; this leaves out the like in any language."""


class LabelGuidedIndex:
    """The sentences of a pool by the words that matter in them.

    Args:
        documents: annotated sentences.
        words: encodes the pool's words; may keep what it encoded.
        encoder: encodes those of a query.
    """

    def __init__(self, documents: Sequence[Document], words: Encoder, encoder: Encoder) -> None:
        self._encoder = encoder
        places: defaultdict[str, float] = defaultdict(float)
        times: Counter[str] = Counter()
        self._holding: dict[str, list[int]] = {}
        own: list[list[str]] = []
        for i, document in enumerate(documents):
            told = _weighed(document)
            own.append([word for word, _ in told])
            for word, weight in told:
                places[word] += weight
                times[word] += 1
            for word in dict.fromkeys(own[-1]):
                self._holding.setdefault(word, []).append(i)
        self._count = len(documents)
        self._weights = {word: places[word] / n for word, n in times.items()}
        known = words.encode(list(times))
        self._vectors = dict(zip(times, known, strict=True))
        size = known.shape[1] if times else 1
        rows = [self._mean(some, self._vectors) if some else np.zeros(size) for some in own]
        self._sentences = np.array(rows, dtype=np.float32).reshape(len(rows), size)

    def similarities(self, text: str) -> Scores:
        """Of a sentence to each of the pool, [n]: the weights of the words in common, and the means' cosine."""
        asked = [span.slice(text) for span in word_spans(text)]
        scores = np.zeros(self._count, dtype=np.float32)
        for word in dict.fromkeys(asked):
            holding = self._holding.get(word, [])
            if _is_word(word) and len(holding) <= max(1, _COMMON * self._count):
                scores[holding] += self._weights.get(word, 0.0)
        if not (asked and self._vectors):
            return scores
        strange = [word for word in dict.fromkeys(asked) if word not in self._vectors]
        vectors = dict(zip(strange, self._encoder.encode(strange), strict=True)) if strange else {}
        return np.asarray(
            scores + self._sentences @ self._mean(asked, ChainMap(vectors, self._vectors)), dtype=np.float32
        )

    def _mean(self, words: Sequence[str], vectors: Mapping[str, Vectors]) -> npt.NDArray[np.float32]:
        """The words' weighted mean, of unit length."""
        weights = np.array([self._weights.get(word, _UNSEEN) for word in words], dtype=np.float32)
        mean = weights @ np.stack([vectors[word] for word in words])
        return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), dtype=np.float32)


def _weighed(document: Document) -> list[tuple[str, float]]:
    """The words of a sentence, and what the place of each counts."""
    spans = word_spans(document.text)
    inside = [any(span.overlaps(m.span) for m in document.mentions) for span in spans]
    near = [any(inside[max(0, i - _AROUND) : i + _AROUND + 1]) for i in range(len(spans))]
    return [
        (span.slice(document.text), _INSIDE if within else _NEAR if beside else _ELSEWHERE)
        for span, within, beside in zip(spans, inside, near, strict=True)
    ]


def _is_word(token: str) -> bool:
    return any(c.isalnum() for c in token)
