from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from entsemble.data.conll import tags
from entsemble.data.conll.tags import TokenRange
from entsemble.errors import DataError, UnknownNameError

LABELS = st.sampled_from(["PER", "creative-work", "Multi-tissue_structure", "PER.NAM", "ф"])


@st.composite
def flat_ranges(draw: st.DrawFn) -> tuple[list[TokenRange], int]:
    parts = draw(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4), LABELS), max_size=8))
    ranges, position = [], 0
    for gap, length, label in parts:
        ranges.append(TokenRange(position + gap, position + gap + length, label))
        position += gap + length
    return ranges, position + draw(st.integers(0, 2))


@given(flat_ranges(), st.sampled_from(sorted(tags.SCHEMES)))
def test_every_scheme_round_trips(case: tuple[list[TokenRange], int], scheme: str) -> None:
    ranges, length = case
    written = tags.encode(ranges, length, scheme)
    assert len(written) == length
    assert tags.decode(written) == ranges
    assert tags.decode(written, scheme) == ranges


@given(st.lists(st.one_of(st.just("O"), st.builds("{}-{}".format, st.sampled_from("BI"), LABELS)), max_size=12))
def test_iob_tags_in_any_order_read_as_seqeval_reads_them(sequence: list[str]) -> None:
    theirs = [TokenRange(first, last + 1, label) for label, first, last in get_entities(sequence)]
    assert tags.decode(sequence) == theirs


@pytest.mark.parametrize(
    ("sequence", "expected"),
    [
        (["I-PER", "I-PER", "B-PER", "O"], [(0, 2, "PER"), (2, 3, "PER")]),
        (["O", "I-PER", "I-LOC"], [(1, 2, "PER"), (2, 3, "LOC")]),
        (["B-A", "E-A", "E-A", "S-A", "I-A"], [(0, 2, "A"), (2, 3, "A"), (3, 4, "A"), (4, 5, "A")]),
        (["B-A", "M-A", "E-A", "W-B", "o"], [(0, 3, "A"), (3, 4, "B")]),
        (["B-A", "L-A", "U-A"], [(0, 2, "A"), (2, 3, "A")]),
        ([], []),
    ],
)
def test_decoding_is_as_lenient_as_conlleval(sequence: list[str], expected: list[tuple[int, int, str]]) -> None:
    assert tags.decode(sequence) == expected


def test_only_the_first_hyphen_separates_role_and_label() -> None:
    assert tags.parse_tag("B-creative-work") == ("B", "creative-work")
    assert tags.parse_tag("I-PER.NAM") == ("I", "PER.NAM")


@pytest.mark.parametrize("invalid", ["", "B", "B-", "X-PER", "b-PER", "-O", "OO", "B_PER", "B- "])
def test_an_invalid_tag_is_an_error(invalid: str) -> None:
    assert not tags.is_tag(invalid)
    with pytest.raises(DataError, match="not a valid tag"):
        tags.parse_tag(invalid)


def test_a_named_scheme_rejects_the_letters_of_other_schemes() -> None:
    with pytest.raises(DataError, match="scheme iob2"):
        tags.decode(["O", "S-PER"], "iob2")
    with pytest.raises(UnknownNameError, match="iobes"):
        tags.decode(["O"], "iob3")


@pytest.mark.parametrize("ranges", [[(0, 2, "A"), (1, 3, "A")], [(1, 1, "A")], [(2, 4, "A")]])
def test_overlapping_or_empty_ranges_cannot_be_encoded(ranges: list[tuple[int, int, str]]) -> None:
    with pytest.raises(ValueError, match="overlaps"):
        tags.encode(ranges, 3)
