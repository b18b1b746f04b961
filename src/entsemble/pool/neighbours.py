"""Nearest-neighbour typing: labels of the pool's most similar names.

A gazetteer knows nothing of a name that the pool does not have; the name's neighbours in embedding space do. As in
kNN-NER (Wang et al., 2022, arXiv 2203.17103), but on the surface alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from entsemble._lib.math import FloatArray
from entsemble._lib.text import one_line
from entsemble.pool.leakage import LeakageGuard
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
        leakage_guard: the annotated sentences, and which of them a text must not use.
        labels: that are asked for.
        name_encoder: encodes the pool's names; may cache their vectors.
        encoder: encodes the surfaces that are looked up.
    """

    def __init__(self, leakage_guard: LeakageGuard, labels: LabelSet, name_encoder: Encoder, encoder: Encoder) -> None:
        self._labels, self._encoder, self._leakage_guard = labels.names, encoder, leakage_guard
        self._columns = {label: column for column, label in enumerate(self._labels)}
        self._rows: dict[str, int] = {}
        for document in leakage_guard.documents:
            for mention in document.mentions:
                self._rows.setdefault(one_line(mention.text), len(self._rows))
        self._counts = np.zeros((len(self._rows), len(self._labels)))  # [names, labels], mentions
        self._add_mentions(self._counts, leakage_guard.documents, 1)
        self._vectors = name_encoder.encode(list(self._rows))

    def neighbours_for(self, text: str, surfaces: Sequence[str]) -> list[Neighbours | None]:
        """The neighbours of surfaces of a text; `None` if the pool has no names.

        Mentions in documents that would leak the text's annotation are not counted.
        """
        if not surfaces:
            return []
        counts = self._counts.copy()
        self._add_mentions(counts, self._leakage_guard.leaking_documents(text), -1)
        named_rows = np.flatnonzero(counts.sum(axis=1) > 0)
        if not named_rows.size:
            return [None] * len(surfaces)
        positions = {surface: position for position, surface in enumerate(dict.fromkeys(surfaces))}
        cosines = self._encoder.encode([*positions]) @ self._vectors.T
        pool_labels = frozenset(
            label for label, count in zip(self._labels, counts.sum(axis=0), strict=True) if count > 0
        )
        named_counts = counts[named_rows]
        return [
            self._nearest(surface_cosines[named_rows], named_counts, pool_labels)
            for surface_cosines in cosines[[positions[surface] for surface in surfaces]]
        ]

    def _add_mentions(self, counts: FloatArray, documents: Iterable[Document], sign: int) -> None:
        """Add the documents' mentions to counts [names, labels], or subtract them if `sign` is -1."""
        for document in documents:
            for mention in document.mentions:
                counts[self._rows[one_line(mention.text)], self._columns[mention.label]] += sign

    def _nearest(self, cosines: FloatArray, counts: FloatArray, pool_labels: frozenset[str]) -> Neighbours:
        """The nearest names, by their cosines [names] and their mentions [names, labels]."""
        nearest = _largest(cosines, _NEIGHBOURS)
        weights = np.exp((cosines[nearest] - cosines[nearest[0]]) / _TEMPERATURE)
        name_shares = counts[nearest] / counts[nearest].sum(axis=1, keepdims=True)
        label_shares = (weights[:, None] * name_shares).sum(axis=0) / weights.sum()
        shares = dict(zip(self._labels, label_shares.tolist(), strict=True))
        return Neighbours(shares, float(cosines[nearest[0]]), pool_labels)


def _largest(values: FloatArray, limit: int) -> npt.NDArray[np.int64]:
    """Indices of the largest values, largest first, equal ones by position: a sort of all but in linear time."""
    if values.size <= limit:
        return np.argsort(-values, kind="stable")
    candidates = np.flatnonzero(values >= np.partition(values, -limit)[-limit])
    return candidates[np.argsort(-values[candidates], kind="stable")[:limit]]
