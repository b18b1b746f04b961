"""One-to-one pairing of overlapping mentions, maximum and deterministic."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from heapq import heappop, heappush

Triple = tuple[int, int, str]
"""Start, end and label: the identity of a mention within a document."""


def shared_length(first: Triple, second: Triple) -> int:
    """The number of characters that two mentions share."""
    return max(0, min(first[1], second[1]) - max(first[0], second[0]))


def largest_pairing(gold: Iterable[Triple], predicted: Iterable[Triple]) -> list[tuple[Triple, Triple]]:
    """A largest one-to-one pairing of overlapping mentions.

    Greedy pairing can be smaller: a long prediction over two gold mentions may take the one that a short prediction
    needs.

    Args:
        gold: gold mentions, without duplicates.
        predicted: predicted mentions, without duplicates.

    Returns:
        Pairs of a gold and a predicted mention; each mention is in one pair at most.
    """
    gold_sorted, predicted_sorted = sorted(gold), sorted(predicted)
    matching = maximum_matching(_neighbours(gold_sorted, predicted_sorted))
    return [(gold_sorted[left], predicted_sorted[right]) for left, right in matching]


def pair_same_boundaries(gold: Iterable[Triple], predicted: Iterable[Triple]) -> list[tuple[Triple, Triple]]:
    """A largest one-to-one pairing of mentions with the same start and end, in the order of their labels.

    Args:
        gold: gold mentions, without duplicates.
        predicted: predicted mentions, without duplicates.
    """
    predicted_by_range: defaultdict[tuple[int, int], deque[Triple]] = defaultdict(deque)
    for mention in sorted(predicted):
        predicted_by_range[mention[:2]].append(mention)
    return [
        (mention, predicted_by_range[mention[:2]].popleft())
        for mention in sorted(gold)
        if predicted_by_range.get(mention[:2])
    ]


def pair_same_label(gold: Iterable[Triple], predicted: Iterable[Triple]) -> list[tuple[Triple, Triple]]:
    """A largest one-to-one pairing of overlapping mentions of the same label; see `largest_pairing`."""
    gold_by_label, predicted_by_label = _by_label(gold), _by_label(predicted)
    return [
        pair
        for label, mentions in gold_by_label.items()
        if label in predicted_by_label
        for pair in largest_pairing(mentions, predicted_by_label[label])
    ]


def _by_label(mentions: Iterable[Triple]) -> dict[str, list[Triple]]:
    by_label: defaultdict[str, list[Triple]] = defaultdict(list)
    for mention in mentions:
        by_label[mention[2]].append(mention)
    return dict(by_label)


def _neighbours(gold: Sequence[Triple], predicted: Sequence[Triple]) -> list[list[int]]:
    """For each gold mention, indices of the predicted ones that overlap it, largest overlap first.

    A sweep over the starts: the time grows with the number of overlaps, however long a mention is.

    Args:
        gold: sorted.
        predicted: sorted.
    """
    starts = [start for start, _, _ in predicted]
    running: list[tuple[int, int]] = []
    """A heap of (end, index): the predicted mentions that have started and not ended where the gold mention starts."""
    next_index = 0
    neighbours = []
    for mention in gold:
        while next_index < len(predicted) and starts[next_index] <= mention[0]:
            heappush(running, (predicted[next_index][1], next_index))
            next_index += 1
        while running and running[0][0] <= mention[0]:
            heappop(running)
        overlapping = [index for _, index in running]
        overlapping += range(next_index, bisect_left(starts, mention[1], lo=next_index))
        neighbours.append(sorted(overlapping, key=lambda index: (-shared_length(mention, predicted[index]), index)))
    return neighbours


def maximum_matching(neighbours: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """A maximum matching of a bipartite graph by augmenting paths; earlier neighbours are preferred.

    Source: H. W. Kuhn, "The Hungarian method for the assignment problem", 1955, for unweighted graphs. The search is
    breadth-first, so long chains of mentions need no recursion.

    Args:
        neighbours: for each left node, the right nodes that it may be matched with.

    Returns:
        Pairs of a left and a right node, sorted.
    """
    right_by_left: dict[int, int] = {}
    left_by_right: dict[int, int] = {}
    for root in range(len(neighbours)):
        _augment(root, neighbours, left_by_right, right_by_left)
    return sorted(right_by_left.items())


def _augment(
    root: int, neighbours: Sequence[Sequence[int]], left_by_right: dict[int, int], right_by_left: dict[int, int]
) -> None:
    """Match the left node `root`, re-matching others along a shortest augmenting path, if there is one."""
    predecessors: dict[int, int] = {}
    queue = deque([root])
    while queue:
        left = queue.popleft()
        for right in neighbours[left]:
            if right in predecessors:
                continue
            predecessors[right] = left
            if right not in left_by_right:
                _flip_path(right, predecessors, left_by_right, right_by_left)
                return
            queue.append(left_by_right[right])


def _flip_path(
    free_node: int, predecessors: dict[int, int], left_by_right: dict[int, int], right_by_left: dict[int, int]
) -> None:
    """Match along the augmenting path that ends in the right node `free_node`, back to its root."""
    right: int | None = free_node
    while right is not None:
        left = predecessors[right]
        left_by_right[right], right_by_left[left], right = left, right, right_by_left.get(left)
