from __future__ import annotations

from collections.abc import Sequence

from entsemble.prompting.align import find_occurrences
from entsemble.voting.candidates import Candidate, Proposer, add_proposals


def test_additions_are_sorted_into_text_order_the_longer_first() -> None:
    text = "Ann Berg left Oslo for Bergen"
    candidates = [Candidate("Oslo", ("a", "b"))]
    assert add_proposals(text, candidates, ["Bergen", "Ann", "Ann Berg"], "pool") == [
        Candidate("Ann Berg", ("pool",)),
        Candidate("Ann", ("pool",)),
        Candidate("Oslo", ("a", "b")),
        Candidate("Bergen", ("pool",)),
    ]


def test_a_surface_with_an_occurrence_of_a_candidate_is_not_added() -> None:
    candidates = [Candidate("Oslo", ("a",))]
    assert add_proposals("Oslo or OSLO", candidates, ["Oslo"], "pool") == candidates


def test_surfaces_outside_the_text_are_ignored() -> None:
    assert add_proposals("rain", [], ["Oslo"], "pool") == []


def test_two_spellings_of_one_occurrence_are_added_once() -> None:
    text = "ANDRE met Andre\u0301 here"
    candidates = add_proposals(text, [], ["ANDRE", "Andre", "met"], "pool")
    assert [candidate.surface for candidate in candidates] == ["ANDRE", "met"]
    spans = [span for candidate in candidates for span in find_occurrences(text, candidate.surface)]
    assert len(spans) == len(set(spans))


def test_a_proposer_does_not_vote_unless_it_overrides_ballots() -> None:
    class Silent(Proposer):
        name = "silent"

        def propose(self, text: str, candidates: Sequence[Candidate]) -> list[Candidate]:
            return [*candidates]

    assert Silent().ballots("Ann left Oslo", [Candidate("Ann", ("a",)), Candidate("Oslo", ("a",))]) == [None, None]
