from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entsemble.types import Mention
from entsemble.voting.overlaps import resolve_overlaps

TEXT = "abcdefghijkl"


def at(start: int, end: int, score: float, label: str = "X") -> Mention:
    return Mention(start, end, label, TEXT[start:end], score)


MENTIONS = st.lists(
    st.tuples(st.integers(0, 8), st.integers(1, 4), st.sampled_from([0.2, 0.5, 0.5, 0.9]), st.sampled_from("XY")).map(
        lambda m: at(m[0], m[0] + m[1], m[2], m[3])
    ),
    unique_by=lambda m: (m.start, m.end, m.label),
    max_size=8,
)


def share_a_character(a: Mention, b: Mention) -> bool:
    return bool(set(range(a.start, a.end)) & set(range(b.start, b.end)))


def conflict(a: Mention, b: Mention, nested: bool) -> bool:
    ours, theirs = set(range(a.start, a.end)), set(range(b.start, b.end))
    if not nested:
        return bool(ours & theirs)
    return ours == theirs or (bool(ours & theirs) and not ours <= theirs and not theirs <= ours)


@given(MENTIONS, st.booleans())
def test_nothing_kept_conflicts_and_nothing_is_lost_without_a_rival(mentions: list[Mention], nested: bool) -> None:
    kept, lost = resolve_overlaps(mentions, nested=nested)
    assert not any(conflict(a, b, nested) for i, a in enumerate(kept) for b in kept[i + 1 :])
    for mention, rival in lost:
        assert rival in kept
        assert conflict(mention, rival, nested)
        assert (rival.score or 0) >= (mention.score or 0)
    every = [*kept, *(mention for mention, _ in lost)]
    assert sorted(every, key=repr) == sorted(mentions, key=repr)
    assert kept == sorted(kept, key=lambda m: (m.start, -m.end))


@given(MENTIONS, st.booleans(), st.randoms())
def test_the_order_of_the_proposals_does_not_matter(mentions: list[Mention], nested: bool, random: object) -> None:
    assert resolve_overlaps(mentions[::-1], nested=nested)[0] == resolve_overlaps(mentions, nested=nested)[0]


@pytest.mark.parametrize("nested", [True, False])
def test_the_rule(nested: bool) -> None:
    crossing = [at(0, 5, 0.5), at(3, 6, 0.7)]
    assert resolve_overlaps(crossing, nested=nested) == ([crossing[1]], [(crossing[0], crossing[1])])
    equal = [at(0, 3, 0.5), at(2, 6, 0.5)]
    assert resolve_overlaps(equal, nested=nested)[0] == [equal[1]]
    same = [at(0, 3, 0.5, "Y"), at(0, 3, 0.5, "X")]
    assert resolve_overlaps(same, nested=nested)[0] == [same[1]]
    side_by_side = [at(0, 3, 0.5), at(3, 6, 0.4)]
    assert resolve_overlaps(side_by_side, nested=nested) == (side_by_side, [])


def test_nested_mentions_stay_where_they_may() -> None:
    outer, inner = at(0, 6, 0.4), at(2, 4, 0.9)
    assert resolve_overlaps([inner, outer], nested=True) == ([outer, inner], [])
    assert resolve_overlaps([inner, outer], nested=False) == ([inner], [(outer, inner)])
