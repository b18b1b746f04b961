"""What a surface is like: the pool's names that are nearest to it, and what they were annotated as.

A gazetteer is silent about a name that the pool never saw. Its neighbours are not: nearest-neighbour typing, as in
kNN-NER (Wang et al., 2022, arXiv 2203.17103), on the surface alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from entsemble._lib.text import one_line
from entsemble.pool.leakage import Copies
from entsemble.protocols import Encoder
from entsemble.types import Document, LabelSet

_NEIGHBOURS = 16
_WARMTH = 0.1
"""Difference of cosine that makes a neighbour count e times less than the nearest."""


@dataclass(frozen=True, slots=True)
class Alike:
    """The neighbours of a surface.

    Attributes:
        shares: label -> how much of the neighbours was annotated so; they add up to 1.
        cosine: of the nearest.
        annotated: the labels that the pool has names of.
    """

    shares: dict[str, float]
    cosine: float
    annotated: frozenset[str]


class Likeness:
    """The names of a pool by likeness.

    Args:
        documents: annotated sentences.
        labels: that are asked for.
        names: encodes the pool's names; may keep what it encoded.
        encoder: encodes what is asked for.
        language: of the texts, for their sentence boundaries.
    """

    def __init__(
        self, documents: Sequence[Document], labels: LabelSet, names: Encoder, encoder: Encoder, language: str = "en"
    ) -> None:
        self._labels, self._encoder = labels.names, encoder
        column = {label: i for i, label in enumerate(self._labels)}
        row: dict[str, int] = {}
        every: Counter[tuple[int, int]] = Counter()
        self._told: list[Counter[tuple[int, int]]] = []
        for document in documents:
            told = Counter((row.setdefault(one_line(m.text), len(row)), column[m.label]) for m in document.mentions)
            every.update(told)
            self._told.append(told)
        self._copies = Copies(documents, language)
        self._counts = np.zeros((len(row), len(self._labels)))
        for at, times in every.items():
            self._counts[at] = times
        self._vectors = names.encode(list(row))

    def of(self, text: str, surfaces: Sequence[str]) -> list[Alike | None]:
        """The neighbours of surfaces of a text, those aside that only this very text has; `None` without any."""
        if not surfaces:
            return []
        counts = self._counts.copy()
        for i in self._copies.at(text):
            for at, times in self._told[i].items():
                counts[at] -= times
        there = np.flatnonzero(counts.sum(axis=1) > 0)
        if not there.size:
            return [None] * len(surfaces)
        once = {surface: row for row, surface in enumerate(dict.fromkeys(surfaces))}
        cosines = (self._encoder.encode([*once]) @ self._vectors.T)[[once[surface] for surface in surfaces]]
        annotated = frozenset(x for x, times in zip(self._labels, counts.sum(axis=0), strict=True) if times > 0)
        return [self._alike(row[there], counts[there], annotated) for row in cosines]

    def _alike(self, cosines: np.ndarray, counts: np.ndarray, annotated: frozenset[str]) -> Alike:
        nearest = np.argsort(-cosines, kind="stable")[:_NEIGHBOURS]
        near = np.exp((cosines[nearest] - cosines[nearest[0]]) / _WARMTH)
        shares = counts[nearest] / counts[nearest].sum(axis=1, keepdims=True)
        told = (near[:, None] * shares).sum(axis=0) / near.sum()
        return Alike(dict(zip(self._labels, told.tolist(), strict=True)), float(cosines[nearest[0]]), annotated)
