"""Nearest-neighbour typing: labels of the pool's most similar names.

A gazetteer knows nothing of a name that the pool does not have; the name's neighbours in embedding space do. As in
kNN-NER (Wang et al., 2022, arXiv 2203.17103), but on the surface alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from entsemble._lib.math import FloatArray
from entsemble._lib.text import one_line
from entsemble.pool.leakage import LeakageGuard, Split
from entsemble.protocols import Encoder
from entsemble.types import Document, LabelSet

_NEIGHBOURS = 16
_TEMPERATURE = 0.1
"""Softmax temperature over cosine similarities."""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The names of the pool that are nearest to a surface.

    Attributes:
        label_shares: label -> its share of the neighbours' mentions, weighted by similarity; they sum to 1.
        cosine: similarity of the nearest name.
        pool_labels: the labels that the pool has names of.
    """

    label_shares: dict[str, float]
    cosine: float
    pool_labels: frozenset[str]


class NeighbourIndex:
    """The names of a pool by similarity.

    Args:
        documents: annotated sentences.
        labels: that are asked for.
        name_encoder: encodes the pool's names; may cache their vectors.
        encoder: encodes the surfaces that are looked up.
        split: cuts a text into sentences.
    """

    def __init__(
        self, documents: Sequence[Document], labels: LabelSet, name_encoder: Encoder, encoder: Encoder, split: Split
    ) -> None:
        self._labels, self._encoder = labels.names, encoder
        columns = {label: column for column, label in enumerate(self._labels)}
        rows: dict[str, int] = {}
        pool_counts: Counter[tuple[int, int]] = Counter()
        self._document_counts: list[Counter[tuple[int, int]]] = []
        for document in documents:
            counts = Counter(
                (rows.setdefault(one_line(mention.text), len(rows)), columns[mention.label])
                for mention in document.mentions
            )
            pool_counts.update(counts)
            self._document_counts.append(counts)
        self._leakage = LeakageGuard(documents, split)
        self._counts = np.zeros((len(rows), len(self._labels)))  # [names, labels], mentions
        for cell, count in pool_counts.items():
            self._counts[cell] = count
        self._vectors = name_encoder.encode(list(rows))

    def neighbours_for(self, text: str, surfaces: Sequence[str]) -> list[Neighbours | None]:
        """The neighbours of surfaces of a text; `None` if the pool has no names.

        Mentions in documents that would leak the text's annotation are not counted.
        """
        if not surfaces:
            return []
        counts = self._counts.copy()
        for index in self._leakage.leaking_indices(text):
            for cell, count in self._document_counts[index].items():
                counts[cell] -= count
        named_rows = np.flatnonzero(counts.sum(axis=1) > 0)
        if not named_rows.size:
            return [None] * len(surfaces)
        positions = {surface: position for position, surface in enumerate(dict.fromkeys(surfaces))}
        cosines = self._encoder.encode([*positions]) @ self._vectors.T
        pool_labels = frozenset(
            label for label, count in zip(self._labels, counts.sum(axis=0), strict=True) if count > 0
        )
        return [
            self._nearest(surface_cosines[named_rows], counts[named_rows], pool_labels)
            for surface_cosines in cosines[[positions[surface] for surface in surfaces]]
        ]

    def _nearest(self, cosines: FloatArray, counts: FloatArray, pool_labels: frozenset[str]) -> Neighbours:
        """The nearest names, by their cosines [names] and their mentions [names, labels]."""
        nearest = np.argsort(-cosines, kind="stable")[:_NEIGHBOURS]
        weights = np.exp((cosines[nearest] - cosines[nearest[0]]) / _TEMPERATURE)
        name_shares = counts[nearest] / counts[nearest].sum(axis=1, keepdims=True)
        label_shares = (weights[:, None] * name_shares).sum(axis=0) / weights.sum()
        shares = dict(zip(self._labels, label_shares.tolist(), strict=True))
        return Neighbours(shares, float(cosines[nearest[0]]), pool_labels)
