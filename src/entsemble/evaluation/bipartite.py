"""One-to-one pairing of overlapping mentions: as many pairs as there can be, the same ones every time."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Collection, Sequence

Triple = tuple[int, int, str]
"""Start, end and label of a mention: what makes two mentions of one document the same."""


def shared_length(first: Triple, second: Triple) -> int:
    """How many characters two mentions share."""
    return max(0, min(first[1], second[1]) - max(first[0], second[0]))


def largest_pairing(
    gold: Collection[Triple], predicted: Collection[Triple], agree: Callable[[Triple, Triple], bool]
) -> list[tuple[Triple, Triple]]:
    """The largest one-to-one pairing of overlapping mentions that `agree`.

    Each gold and each predicted mention is in one pair at most. A greedy choice can be smaller: a long prediction over
    two gold mentions would take the one that a short prediction needs.

    Args:
        gold: gold mentions, without duplicates.
        predicted: predicted mentions, without duplicates.
        agree: whether a gold and a predicted mention that overlap may be paired.
    """
    left, right = sorted(gold), sorted(predicted)
    chosen = maximum_matching(_candidates(left, right, agree))
    return [(left[i], right[j]) for i, j in chosen]


def _candidates(
    left: Sequence[Triple], right: Sequence[Triple], agree: Callable[[Triple, Triple], bool]
) -> list[list[int]]:
    """For each of `left`, the indices in `right` that it may be paired with, most shared characters first."""
    starts = [x[0] for x in right]
    longest = max((x[1] - x[0] for x in right), default=0)
    found = []
    for one in left:
        # what begins longer before `one` than any mention is long cannot reach it
        near = range(bisect_right(starts, one[0] - longest), bisect_left(starts, one[1]))
        fitting = [
            (-shared_length(one, right[j]), j) for j in near if shared_length(one, right[j]) and agree(one, right[j])
        ]
        found.append([j for _, j in sorted(fitting)])
    return found


def maximum_matching(neighbours: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """A maximum matching of a bipartite graph by augmenting paths, earlier neighbours tried first.

    Source: H. W. Kuhn, "The Hungarian method for the assignment problem", 1955, for unweighted graphs; each search is
    breadth first, so long chains of mentions need no recursion.

    Args:
        neighbours: for each node on the left, the nodes on the right that it may be matched with.

    Returns:
        Pairs of a left and a right node, sorted.
    """
    right_of: dict[int, int] = {}
    left_of: dict[int, int] = {}
    for root in range(len(neighbours)):
        _augment(root, neighbours, left_of, right_of)
    return sorted(right_of.items())


def _augment(root: int, neighbours: Sequence[Sequence[int]], left_of: dict[int, int], right_of: dict[int, int]) -> None:
    """Match `root` too, by moving others along the shortest path to a free node, where there is one."""
    reached_from: dict[int, int] = {}
    queue = deque([root])
    while queue:
        left = queue.popleft()
        for right in neighbours[left]:
            if right in reached_from:
                continue
            reached_from[right] = left
            if right not in left_of:
                _flip(right, reached_from, left_of, right_of)
                return
            queue.append(left_of[right])


def _flip(last: int, reached_from: dict[int, int], left_of: dict[int, int], right_of: dict[int, int]) -> None:
    """Match along the path that ends in `last`, from its end to its root."""
    right: int | None = last
    while right is not None:
        left = reached_from[right]
        left_of[right], right_of[left], right = left, right, right_of.get(left)
