"""Resolution of overlapping mentions."""

from __future__ import annotations

from collections.abc import Sequence

from entsemble.types import Mention, Span


def resolve_overlaps(
    mentions: Sequence[Mention], *, nested: bool
) -> tuple[list[Mention], list[tuple[Mention, Mention]]]:
    """Greedily keep the best of mutually incompatible mentions: by score, then length, then position.

    Args:
        mentions: in any order.
        nested: whether mentions may lie inside one another; see `are_incompatible`.

    Returns:
        The selected mentions in text order, and (rejected, selected) pairs: each rejected mention with the best
        selected one that it is incompatible with.
    """
    ranked = sorted(
        mentions,
        key=lambda mention: (-(mention.score or 0.0), -(mention.end - mention.start), mention.start, mention.label),
    )
    selected: list[Mention] = []
    rejected: list[tuple[Mention, Mention]] = []
    for mention in ranked:
        incompatible = (rival for rival in selected if are_incompatible(mention.span, rival.span, nested=nested))
        winner = next(incompatible, None)
        if winner is None:
            selected.append(mention)
        else:
            rejected.append((mention, winner))
    return sorted(selected, key=lambda mention: (mention.start, -mention.end)), rejected


def are_incompatible(first: Span, second: Span, *, nested: bool) -> bool:
    """Whether only one of the spans can be a mention.

    Mentions may not share a character; nested mentions may lie inside one another, but not cross or be equal.
    """
    return first.crosses(second) or first == second if nested else first.overlaps(second)
