"""Sums over many documents, in memory that hardly grows with them: counts by label, by document, and scores."""

from __future__ import annotations

from array import array
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from entsemble.evaluation.counts import Counts, LabelCounts


class LabelTally:
    """Sums counts by label; the cost of a document does not depend on the labels of the others."""

    def __init__(self) -> None:
        self._sums: dict[str, list[int]] = {}

    def add(self, counts: LabelCounts) -> None:
        """Add the counts of a document."""
        for label, label_counts in counts.items():
            sums = self._sums.setdefault(label, [0, 0, 0])
            sums[0] += label_counts.tp
            sums[1] += label_counts.fp
            sums[2] += label_counts.fn

    @property
    def counts(self) -> LabelCounts:
        """The sum."""
        return LabelCounts({label: Counts(*sums) for label, sums in self._sums.items()})


class DocumentTally:
    """Counts of each document, added in any order."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._positions, self._counts = array("q"), array("q")

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, position: int, document_id: str, counts: Counts) -> None:
        """Add the counts of the document at a position."""
        self._ids.append(document_id)
        self._positions.append(position)
        self._counts.extend((counts.tp, counts.fp, counts.fn))

    @property
    def by_id(self) -> dict[str, Counts]:
        """The counts by document id, in the order of the positions."""
        counts = self._counts
        return {
            self._ids[index]: Counts(*counts[3 * index : 3 * index + 3])
            for index in _stable_order(self._positions).tolist()
        }


class ScoreTally:
    """Scores of predictions, whether these are correct, and the positions of their documents, added in any order."""

    def __init__(self) -> None:
        self._scores, self._correct, self._positions = array("d"), array("b"), array("q")

    def __len__(self) -> int:
        return len(self._scores)

    def add(self, position: int, scored: Iterable[tuple[float, bool]]) -> None:
        """Add the predictions of the document at a position."""
        for score, is_correct in scored:
            self._scores.append(score)
            self._correct.append(is_correct)
            self._positions.append(position)

    @property
    def columns(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
        """Scores, whether correct, and positions: [predictions] each, in the order of the positions."""
        order = _stable_order(self._positions)
        positions = np.array(self._positions, dtype=np.int64)
        return np.array(self._scores)[order], np.array(self._correct, dtype=np.bool_)[order], positions[order]


def _stable_order(positions: array[int]) -> npt.NDArray[np.int64]:
    return np.argsort(np.array(positions, dtype=np.int64), kind="stable")
