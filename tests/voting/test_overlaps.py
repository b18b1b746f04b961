from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entsemble.types import Mention
from entsemble.voting.overlaps import resolve_overlaps

TEXT = "abcdefghijkl"


def mention(start: int, end: int, score: float, label: str = "X") -> Mention:
    return Mention(start, end, label, TEXT[start:end], score)


MENTIONS = st.lists(
    st.builds(
        lambda start, length, score, label: mention(start, start + length, score, label),
        st.integers(0, 8),
        st.integers(1, 4),
        st.sampled_from([0.2, 0.5, 0.5, 0.9]),
        st.sampled_from("XY"),
    ),
    unique_by=lambda built: (built.start, built.end, built.label),
    max_size=8,
)


def are_in_conflict(first: Mention, second: Mention, nested: bool) -> bool:
    """The definition, character by character."""
    first_offsets, second_offsets = set(range(first.start, first.end)), set(range(second.start, second.end))
    if not first_offsets & second_offsets:
        return False
    return not nested or not (first_offsets < second_offsets or second_offsets < first_offsets)


@given(MENTIONS, st.booleans())
def test_selected_mentions_are_compatible_and_every_rejected_one_has_a_better_rival(
    mentions: list[Mention], nested: bool
) -> None:
    selected, rejected = resolve_overlaps(mentions, nested=nested)
    pairs = [(first, second) for index, first in enumerate(selected) for second in selected[index + 1 :]]
    assert not any(are_in_conflict(first, second, nested) for first, second in pairs)
    for loser, rival in rejected:
        assert rival in selected
        assert are_in_conflict(loser, rival, nested)
        assert (rival.score or 0) >= (loser.score or 0)
    everything = [*selected, *(loser for loser, _ in rejected)]
    assert sorted(everything, key=repr) == sorted(mentions, key=repr)
    assert selected == sorted(selected, key=lambda survivor: (survivor.start, -survivor.end))


@given(MENTIONS, st.booleans())
def test_the_order_of_the_input_does_not_matter(mentions: list[Mention], nested: bool) -> None:
    assert resolve_overlaps(mentions[::-1], nested=nested)[0] == resolve_overlaps(mentions, nested=nested)[0]


@pytest.mark.parametrize("nested", [True, False])
def test_the_higher_score_wins(nested: bool) -> None:
    crossing = [mention(0, 5, 0.5), mention(3, 6, 0.7)]
    assert resolve_overlaps(crossing, nested=nested) == ([crossing[1]], [(crossing[0], crossing[1])])


@pytest.mark.parametrize("nested", [True, False])
def test_at_equal_scores_the_longer_wins_then_the_first_label(nested: bool) -> None:
    crossing = [mention(0, 3, 0.5), mention(2, 6, 0.5)]
    assert resolve_overlaps(crossing, nested=nested)[0] == [crossing[1]]
    equal_spans = [mention(0, 3, 0.5, "Y"), mention(0, 3, 0.5, "X")]
    assert resolve_overlaps(equal_spans, nested=nested)[0] == [equal_spans[1]]


@pytest.mark.parametrize("nested", [True, False])
def test_adjacent_mentions_do_not_overlap(nested: bool) -> None:
    adjacent = [mention(0, 3, 0.5), mention(3, 6, 0.4)]
    assert resolve_overlaps(adjacent, nested=nested) == (adjacent, [])


def test_a_mention_inside_another_is_selected_if_nesting_is_allowed() -> None:
    outer, inner = mention(0, 6, 0.4), mention(2, 4, 0.9)
    assert resolve_overlaps([inner, outer], nested=True) == ([outer, inner], [])
    assert resolve_overlaps([inner, outer], nested=False) == ([inner], [(outer, inner)])
