"""Span marginals under a semi-Markov CRF (flat) or a tree-structured CRF (nested).

Two mentions cannot share a word, unless one lies within the other where mentions nest. Evidence for one span is thus
evidence against those that it excludes. The flat model is a semi-Markov conditional random field (S. Sarawagi and W. W.
Cohen, NIPS 2004) whose segments are the candidate spans only; it needs the forward-backward algorithm. The nested model
is the tree model of J. R. Finkel and C. D. Manning ("Nested named entity recognition", EMNLP 2009); it needs the
inside-outside algorithm. Which spans exclude each other is decided as in `voting/overlaps.py`.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from entsemble._lib.math import FloatArray, log_add
from entsemble.types import Span


@dataclass(frozen=True, slots=True)
class Marginals:
    """Probabilities of spans, in the order of the spans.

    Attributes:
        selected: [spans], probability that the span is a mention.
        enclosed: [spans], probability that it is a mention within another mention.
        log_partition: logarithm of the summed weights of all compatible sets of spans.
    """

    selected: FloatArray
    enclosed: FloatArray
    log_partition: float


class SpanCrf:
    """A distribution over the sets of compatible spans.

    The weight of a set is `exp` of the sum of its spans' log-potentials. Three spans of "New York, Hall", of which the
    second lies within the first:

    >>> spans = [Span(0, 8), Span(4, 8), Span(10, 14)]
    >>> log_potentials = [math.log(2), 0.0, 0.0]

    Flat, the first two exclude each other: {}, {0} and {1} weigh 1, 2 and 1. The third span is independent of them.

    >>> SpanCrf(spans, nested=False).marginals(log_potentials, 0.0).selected.round(3).tolist()
    [0.5, 0.25, 0.5]

    Nested, the set {0, 1} is possible too and weighs 2 * 1 * exp(nesting_log_potential), here 2:

    >>> nested = SpanCrf(spans, nested=True).marginals(log_potentials, 0.0)
    >>> nested.selected.round(3).tolist(), nested.enclosed.round(3).tolist()
    ([0.667, 0.5, 0.5], [0.0, 0.333, 0.0])

    Args:
        spans: unique spans of one text.
        nested: whether a mention may lie within another.
    """

    def __init__(self, spans: Sequence[Span], *, nested: bool) -> None:
        self._span_count = len(spans)
        self._components = [_Component(spans, indices, nested=nested) for indices in _overlapping_groups(spans)]

    def marginals(self, log_potentials: Sequence[float], nesting_log_potential: float) -> Marginals:
        """The probability of each span.

        Args:
            log_potentials: [spans], the log-odds that each span would have if it excluded no other.
            nesting_log_potential: added to the log-potential of a span that lies within a selected one.
        """
        selected, enclosed = np.zeros(self._span_count), np.zeros(self._span_count)
        log_partitions = []
        for component in self._components:
            marginals = component.marginals(log_potentials, nesting_log_potential)
            selected[component.indices] = marginals.selected
            enclosed[component.indices] = marginals.enclosed
            log_partitions.append(marginals.log_partition)
        return Marginals(selected, enclosed, math.fsum(log_partitions))


class _Component:
    """Spans that are connected by overlaps; it is independent of all other spans of the text."""

    def __init__(self, spans: Sequence[Span], indices: Sequence[int], *, nested: bool) -> None:
        self.indices = list(indices)
        self._outermost = _Chain(spans, indices)
        self._by_length = sorted(indices, key=lambda index: len(spans[index]))
        self._inner: dict[int, _Chain] = {}
        for index in indices if nested else ():
            inner = [other for other in indices if other != index and spans[index].contains(spans[other])]
            if inner:
                self._inner[index] = _Chain(spans, inner)

    def marginals(self, log_potentials: Sequence[float], nesting_log_potential: float) -> Marginals:
        """Marginals of this component's spans, in the order of `indices`."""
        outer_scores, inner_scores, inner_sums = self._inside(log_potentials, nesting_log_potential)
        outermost_sums = self._outermost.forward(outer_scores)
        selected = self._outermost.backward(outer_scores, outermost_sums)
        enclosed = self._outside(selected, inner_scores, inner_sums)
        return Marginals(
            np.array([selected[index] for index in self.indices]),
            np.array([enclosed[index] for index in self.indices]),
            outermost_sums[-1],
        )

    def _inside(
        self, log_potentials: Sequence[float], nesting_log_potential: float
    ) -> tuple[dict[int, float], dict[int, float], dict[int, list[float]]]:
        """Inside pass, from short spans to long ones.

        Returns:
            The log-score of each span together with all that can lie within it: as an outermost span, and as an
            enclosed one; and the forward sums of the spans within it.
        """
        outer_scores = {index: log_potentials[index] for index in self._by_length}
        inner_scores: dict[int, float] = {}
        inner_sums: dict[int, list[float]] = {}
        for index in self._by_length:
            if index in self._inner:
                inner_sums[index] = self._inner[index].forward(inner_scores)
                outer_scores[index] += inner_sums[index][-1]
            inner_scores[index] = outer_scores[index] + nesting_log_potential
        return outer_scores, inner_scores, inner_sums

    def _outside(
        self,
        selected: dict[int, float],
        inner_scores: Mapping[int, float],
        inner_sums: Mapping[int, Sequence[float]],
    ) -> dict[int, float]:
        """Outside pass, from long spans to short ones.

        Args:
            selected: probability of each span as an outermost mention; becomes its probability as any mention.
            inner_scores: of `_inside`.
            inner_sums: of `_inside`.

        Returns:
            The probability of each span as an enclosed mention.
        """
        enclosed = dict.fromkeys(self.indices, 0.0)
        for index in reversed(self._by_length):
            if index in self._inner:
                shares = self._inner[index].backward(inner_scores, inner_sums[index])
                for inner, share in shares.items():
                    enclosed[inner] += selected[index] * share
                    selected[inner] += selected[index] * share
        return enclosed


class _Chain:
    """Spans of which no two that overlap are selected together, ordered by their ends."""

    def __init__(self, spans: Sequence[Span], indices: Sequence[int]) -> None:
        self._order = sorted(indices, key=lambda index: (spans[index].end, -spans[index].start))
        ends = [spans[index].end for index in self._order]
        self._predecessors = [bisect_right(ends, spans[index].start) for index in self._order]
        """Position of each span in the order -> how many spans end before it starts."""

    def forward(self, scores: Mapping[int, float]) -> list[float]:
        """The log-sum over all selections from each prefix of the order; the last is the log-partition."""
        log_sums = [0.0]
        for index, predecessors in zip(self._order, self._predecessors, strict=True):
            log_sums.append(log_add(log_sums[-1], log_sums[predecessors] + scores[index]))
        return log_sums

    def backward(self, scores: Mapping[int, float], log_sums: Sequence[float]) -> dict[int, float]:
        """The probability of each span, given the result of `forward`: the gradient of the log-partition."""
        prefix_probabilities = [0.0] * len(self._order) + [1.0]
        probabilities: dict[int, float] = {}
        for position in range(len(self._order) - 1, -1, -1):
            index, predecessors = self._order[position], self._predecessors[position]
            log_share = log_sums[predecessors] + scores[index] - log_sums[position + 1]
            probability = prefix_probabilities[position + 1] * math.exp(min(0.0, log_share))
            prefix_probabilities[predecessors] += probability
            prefix_probabilities[position] += prefix_probabilities[position + 1] - probability
            probabilities[index] = probability
        return probabilities


def _overlapping_groups(spans: Sequence[Span]) -> list[list[int]]:
    """Indices of the spans, in groups that are connected by overlaps."""
    groups: list[list[int]] = []
    group_end = 0
    for index in sorted(range(len(spans)), key=lambda index: spans[index].start):
        if not groups or spans[index].start >= group_end:
            groups.append([])
        groups[-1].append(index)
        group_end = max(group_end, spans[index].end)
    return groups
