"""One-to-one pairing of overlapping mentions, maximum and deterministic."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Collection, Sequence

Triple = tuple[int, int, str]
"""Start, end and label: the identity of a mention within a document."""


def shared_length(first: Triple, second: Triple) -> int:
    """The number of characters that two mentions share."""
    return max(0, min(first[1], second[1]) - max(first[0], second[0]))


def largest_pairing(
    gold: Collection[Triple], predicted: Collection[Triple], compatible: Callable[[Triple, Triple], bool]
) -> list[tuple[Triple, Triple]]:
    """A largest one-to-one pairing of overlapping, compatible mentions.

    Greedy pairing can be smaller: a long prediction over two gold mentions may take the one that a short prediction
    needs.

    Args:
        gold: gold mentions, without duplicates.
        predicted: predicted mentions, without duplicates.
        compatible: whether a gold mention and a predicted one that overlaps it may be paired.

    Returns:
        Pairs of a gold and a predicted mention; each mention is in one pair at most.
    """
    gold_sorted, predicted_sorted = sorted(gold), sorted(predicted)
    matching = maximum_matching(_neighbours(gold_sorted, predicted_sorted, compatible))
    return [(gold_sorted[left], predicted_sorted[right]) for left, right in matching]


def _neighbours(
    gold: Sequence[Triple], predicted: Sequence[Triple], compatible: Callable[[Triple, Triple], bool]
) -> list[list[int]]:
    """For each gold mention, indices of the predicted ones it may be paired with, largest overlap first."""
    starts = [start for start, _, _ in predicted]
    longest = max((end - start for start, end, _ in predicted), default=0)
    neighbours = []
    for mention in gold:
        # A mention that starts more than the longest length before this one cannot reach it.
        nearby = range(bisect_right(starts, mention[0] - longest), bisect_left(starts, mention[1]))
        ranked = [
            (-shared_length(mention, predicted[index]), index)
            for index in nearby
            if shared_length(mention, predicted[index]) and compatible(mention, predicted[index])
        ]
        neighbours.append([index for _, index in sorted(ranked)])
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
