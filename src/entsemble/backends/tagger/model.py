"""The sequence tagger: a linear-chain CRF that was trained on a pool, as a scorer of spans."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from entsemble._lib.arrays import pack_arrays, unpack_arrays
from entsemble._lib.math import FloatArray
from entsemble._lib.text import word_spans
from entsemble.backends.tagger.features import word_features
from entsemble.backends.tagger.marginals import span_probabilities
from entsemble.types import LabelSet, ScoredSpan, Span

_WINDOW_WORDS = 400
"""A longer text is tagged in parts; the chain remembers no more than a few words."""


@dataclass(frozen=True, slots=True)
class TaggerLayer:
    """One CRF.

    Attributes:
        features: name of a feature -> its row.
        emissions: [features, tags], weights; tags are O, then B of each label, then I of each label.
        transitions: [tags, tags], weight of each tag after another.
    """

    features: Mapping[str, int]
    emissions: npt.NDArray[np.float32]
    transitions: FloatArray

    def score(self, words: Sequence[str], max_words: int) -> FloatArray:
        """[words, K, labels]: probabilities of spans, see `span_probabilities`."""
        rows = [
            [self.features[name] for name in names if name in self.features] for names in word_features(words)
        ]  # never empty: every word has the feature "bias"
        flat = np.array([index for row in rows for index in row], dtype=np.int64)
        firsts = np.cumsum([0, *(len(row) for row in rows[:-1])])
        if not all(rows):  # a CRF that learned nothing, since its pool has one tag only
            emissions = np.zeros((len(rows), self.emissions.shape[1]))
        else:
            emissions = np.add.reduceat(self.emissions[flat], firsts, axis=0).astype(np.float64)
        return span_probabilities(emissions, self.transitions, max_words)


class SequenceTagger:
    """Scores the spans of texts for the labels that it was trained on; see `protocols.SpanScorer`.

    Args:
        labels: in the order of the layers' tags.
        layers: one, or several where mentions lie inside one another; a span has the highest probability of any layer.
        max_words: of a span.
    """

    name = "tagger"

    def __init__(self, labels: tuple[str, ...], layers: tuple[TaggerLayer, ...], max_words: int) -> None:
        self._labels, self._layers, self._max_words = labels, layers, max_words

    @property
    def fingerprint(self) -> str:
        """Identifies the weights."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(layer.emissions.size + layer.transitions.size for layer in self._layers)

    def score_spans(self, texts: Sequence[str], labels: LabelSet, minimum: float) -> list[list[ScoredSpan]]:
        """See `protocols.SpanScorer.score_spans`; labels that were not trained on have probability 0."""
        return [self._score_text(text, labels, minimum) for text in texts]

    def _score_text(self, text: str, labels: LabelSet, minimum: float) -> list[ScoredSpan]:
        every_word, zeros = word_spans(text), dict.fromkeys(labels.names, 0.0)
        scored = []
        for start in range(0, len(every_word), _WINDOW_WORDS):
            words = every_word[start : start + _WINDOW_WORDS]
            surfaces = [word.slice(text) for word in words]
            probabilities = np.max([layer.score(surfaces, self._max_words) for layer in self._layers], axis=0)
            for first, extra in np.argwhere(probabilities.max(axis=2) >= max(minimum, 1e-12)).tolist():
                by_label = dict(zip(self._labels, probabilities[first, extra].tolist(), strict=True))
                requested = {label: value for label, value in by_label.items() if label in zeros}
                span = Span(words[first].start, words[first + extra].end)
                scored.append(ScoredSpan(span, {**zeros, **requested}))
        return sorted(scored, key=lambda scored_span: scored_span.span)

    def to_bytes(self) -> bytes:
        """The tagger without loss."""
        arrays: dict[str, npt.NDArray[Any]] = {
            name: array
            for index, layer in enumerate(self._layers)
            for name, array in ((f"emissions-{index}", layer.emissions), (f"transitions-{index}", layer.transitions))
        }
        features = [list(layer.features) for layer in self._layers]
        return pack_arrays({"labels": self._labels, "max_words": self._max_words, "features": features}, arrays)

    @classmethod
    def from_bytes(cls, content: bytes) -> SequenceTagger:
        """The tagger that `to_bytes` wrote.

        Raises:
            ValueError: the content is not a tagger.
        """
        try:
            header, arrays = unpack_arrays(content)
            layers = tuple(
                TaggerLayer(
                    {name: row for row, name in enumerate(names)},
                    arrays[f"emissions-{index}"],
                    arrays[f"transitions-{index}"],
                )
                for index, names in enumerate(header["features"])
            )
            return cls(tuple(header["labels"]), layers, int(header["max_words"]))
        except (KeyError, ValueError) as error:
            raise ValueError(f"not a sequence tagger: {error}") from error

    def close(self) -> None:
        """Nothing to free."""
