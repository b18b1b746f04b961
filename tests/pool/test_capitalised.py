from __future__ import annotations

import pytest

from entsemble.pool.capitalised import CapitalisedProposer, are_mostly_capitalised, capitalised_spans
from entsemble.voting.candidates import Candidate
from tests.factories import document


@pytest.mark.parametrize(
    ("text", "surfaces"),
    [
        ("Then Ann Berg of Oslo left.", ("Then Ann Berg", "Oslo")),
        ("Ann, Bob and Cy", ("Ann", "Bob", "Cy")),
        ("Ann saw Ann", ("Ann",)),
        ("New\nYork", ("New York",)),
        ("p53 and CD28+ T cells, IL-4", ("CD28", "T", "IL-4")),
        ("@AnnBerg #Oslo2", ("AnnBerg", "Oslo2")),
        ("\u6771\u4eac\u306b\u884c\u304f", ()),
        ("nothing here. 12", ()),
        ("\u00d8yvind \u00c5s", ("\u00d8yvind \u00c5s",)),
        ("", ()),
    ],
)
def test_capitalised_spans_are_runs_of_words_with_capitals(text: str, surfaces: tuple[str, ...]) -> None:
    assert capitalised_spans(text) == surfaces


@pytest.mark.parametrize(
    ("names", "expected"),
    [(["Ann Berg", "Oslo"], True), (["Ann", "Oslo"], False), (["Ann Berg", "Oslo", "wept"], True), ([], False)],
)
def test_mentions_are_mostly_capitalised_if_more_than_half_are_whole_spans(names: list[str], expected: bool) -> None:
    annotated = document("Ann Berg left Oslo and wept", *((name, "x") for name in names))
    assert are_mostly_capitalised([annotated, document("rain")]) is expected


def test_spans_that_are_candidates_already_are_not_proposed_again() -> None:
    candidates = [Candidate("Ann", ("a",)), Candidate("Oslo", ("a", "b"))]
    assert CapitalisedProposer().propose("Ann Berg left Oslo for Bergen, and Oslo wept", candidates) == [
        Candidate("Ann Berg", ("capitalised",)),
        Candidate("Ann", ("a",)),
        Candidate("Oslo", ("a", "b")),
        Candidate("Bergen", ("capitalised",)),
    ]
    assert CapitalisedProposer().propose("rain", []) == []
