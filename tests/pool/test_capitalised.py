from __future__ import annotations

import pytest

from entsemble.pool.capitalised import NAME, are_mostly_capitalised, capitalised_spans
from entsemble.types import Document, mention_at
from entsemble.voting.candidates import Candidate, add_proposals


@pytest.mark.parametrize(
    ("text", "expected"),
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
def test_runs_of_words_with_capitals(text: str, expected: tuple[str, ...]) -> None:
    assert capitalised_spans(text) == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [(["Ann Berg", "Oslo"], True), (["Ann", "Oslo"], False), (["Ann Berg", "Oslo", "wept"], True), ([], False)],
)
def test_whether_names_usually_are_whole_runs(names: list[str], expected: bool) -> None:
    text = "Ann Berg left Oslo and wept"
    mentions = [mention_at(text, text.index(name), text.index(name) + len(name), "x") for name in names]
    assert are_mostly_capitalised([Document("a", text, tuple(mentions)), Document("b", "rain")]) is expected


def test_what_somebody_proposed_is_not_proposed_again() -> None:
    text = "Ann Berg left Oslo for Bergen, and Oslo wept"
    found = add_proposals(
        text, [Candidate("Ann", ("a",)), Candidate("Oslo", ("a", "b"))], capitalised_spans(text), NAME
    )
    assert found == [
        Candidate("Ann Berg", (NAME,)),
        Candidate("Ann", ("a",)),
        Candidate("Oslo", ("a", "b")),
        Candidate("Bergen", (NAME,)),
    ]
    assert add_proposals("rain", [], capitalised_spans("rain"), NAME) == []
