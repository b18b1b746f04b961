"""Which mentions may stand side by side."""

from __future__ import annotations

from collections.abc import Sequence

from entsemble.types import Mention, Span


def resolve_overlaps(
    mentions: Sequence[Mention], *, nested: bool
) -> tuple[list[Mention], list[tuple[Mention, Mention]]]:
    """Keep the best of those that cannot stand together.

    The rule: higher score first, then longer, then earlier. In a flat label set two mentions may not share a
    character; in a nested one they may lie inside one another, but not cross.

    Returns:
        The kept mentions in text order, and each lost one with the mention it lost to.
    """
    ranked = sorted(mentions, key=lambda m: (-(m.score or 0.0), -(m.end - m.start), m.start, m.label))
    kept: list[Mention] = []
    lost: list[tuple[Mention, Mention]] = []
    for mention in ranked:
        rival = next((k for k in kept if are_incompatible(mention.span, k.span, nested=nested)), None)
        if rival is None:
            kept.append(mention)
        else:
            lost.append((mention, rival))
    return sorted(kept, key=lambda m: (m.start, -m.end)), lost


def are_incompatible(a: Span, b: Span, *, nested: bool) -> bool:
    """Whether these two cannot stand together."""
    return a.crosses(b) or a == b if nested else a.overlaps(b)
