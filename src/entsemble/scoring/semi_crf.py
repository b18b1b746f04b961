"""All the ways in which some of a text's spans can stand side by side, and how probable each span is among them.

Two names cannot share a word, unless one lies within the other where they nest. So what speaks for one span speaks
against those that it excludes. Flat arrangements are the segmentations of a semi-Markov conditional random field
(S. Sarawagi and W. W. Cohen, NIPS 2004), over the spans that were proposed in the place of all; nested ones are the
trees of a parser (J. R. Finkel and C. D. Manning, "Nested named entity recognition", EMNLP 2009). What may stand
together is the same as in `overlap.resolve`.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from entsemble._lib.math import log_add
from entsemble.types import Span


@dataclass(frozen=True, slots=True)
class Marginals:
    """How probable each span is.

    Attributes:
        chosen: that it is one of those that stand there.
        enclosed: that it is, and stands within another.
        log_total: logarithm of what all arrangements are worth together.
    """

    chosen: list[float]
    enclosed: list[float]
    log_total: float


class Arrangements:
    """All the ways in which some of these spans can stand together.

    Args:
        spans: of a text, each once.
        nested: whether one may lie within another.
    """

    def __init__(self, spans: Sequence[Span], *, nested: bool) -> None:
        self._count = len(spans)
        self._groups = [_Group(spans, own, nested=nested) for own in _touching(spans)]

    def marginals(self, worth: Sequence[float], nesting: float) -> Marginals:
        """How probable each span is, where an arrangement is as probable as `exp` of what its spans are worth.

        Args:
            worth: of each span, the log-odds that it would have if it excluded none.
            nesting: what is added to that where it stands within another.
        """
        chosen, enclosed = [0.0] * self._count, [0.0] * self._count
        totals = [group.into(chosen, enclosed, worth, nesting) for group in self._groups]
        return Marginals(chosen, enclosed, math.fsum(totals))


class _Group:
    """Spans that overlap, one with the next, and no other span."""

    def __init__(self, spans: Sequence[Span], own: Sequence[int], *, nested: bool) -> None:
        self._outermost = _Chain(spans, own)
        self._by_length = sorted(own, key=lambda i: len(spans[i]))
        self._inner: dict[int, _Chain] = {}
        for i in own if nested else ():
            if inside := [j for j in own if j != i and spans[i].contains(spans[j])]:
                self._inner[i] = _Chain(spans, inside)

    def into(self, chosen: list[float], enclosed: list[float], worth: Sequence[float], nesting: float) -> float:
        """Write the spans' probabilities; the logarithm of what their arrangements are worth together."""
        whole = {i: worth[i] for i in self._by_length}  # with all that may stand within it
        within: dict[int, float] = {}
        totals: dict[int, list[float]] = {}
        for i in self._by_length:
            if i in self._inner:
                totals[i] = self._inner[i].totals(within)
                whole[i] += totals[i][-1]
            within[i] = whole[i] + nesting
        outermost = self._outermost.totals(whole)
        for i, share in self._outermost.shares(whole, outermost):
            chosen[i] = share
        for i in reversed(self._by_length):
            if i in self._inner:
                for j, share in self._inner[i].shares(within, totals[i]):
                    enclosed[j] += chosen[i] * share
                    chosen[j] += chosen[i] * share
        return outermost[-1]


class _Chain:
    """Spans of which those that are chosen follow one another."""

    def __init__(self, spans: Sequence[Span], own: Iterable[int]) -> None:
        self._order = sorted(own, key=lambda i: (spans[i].end, -spans[i].start))
        ends = [spans[i].end for i in self._order]
        self._before = [bisect_right(ends, spans[i].start) for i in self._order]

    def totals(self, worth: dict[int, float]) -> list[float]:
        """For each beginning of the order, the logarithm of what all choices from it are worth together."""
        told = [0.0]
        for i, before in zip(self._order, self._before, strict=True):
            told.append(log_add(told[-1], told[before] + worth[i]))
        return told

    def shares(self, worth: dict[int, float], totals: Sequence[float]) -> Iterator[tuple[int, float]]:
        """Each span and the part of the total that has it: the derivative of the last total, backwards."""
        reached = [0.0] * len(self._order) + [1.0]
        for at in range(len(self._order) - 1, -1, -1):
            i, before = self._order[at], self._before[at]
            share = reached[at + 1] * math.exp(min(0.0, totals[before] + worth[i] - totals[at + 1]))
            reached[before] += share
            reached[at] += reached[at + 1] - share
            yield i, share


def _touching(spans: Sequence[Span]) -> list[list[int]]:
    """The spans by number, in groups that overlap."""
    groups: list[list[int]] = []
    end = 0
    for i in sorted(range(len(spans)), key=lambda i: spans[i].start):
        if not groups or spans[i].start >= end:
            groups.append([])
        groups[-1].append(i)
        end = max(end, spans[i].end)
    return groups
