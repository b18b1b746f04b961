from __future__ import annotations

from dataclasses import replace

import pytest

from entsemble.scoring.examples import ScoredSentence
from entsemble.types import Document, LabelSet, Mention, Span
from entsemble.voting.rules import soft_vote
from tests.factories import sentence
from tests.scoring.scoring_factories import ballot

VERDICT = soft_vote([ballot("right", "LOC", 0.5)])


def test_a_candidate_over_a_line_break_matches_its_annotation(places: LabelSet) -> None:
    document = Document("d", "in New\nYork", (Mention(3, 11, "LOC", "New\nYork"),))
    scored = ScoredSentence(document, {Span(3, 11): VERDICT}, ())
    assert scored.surfaces == ["New York"]
    assert [targets.tolist() for targets in scored.targets(places)] == [[0, 1]]


def test_enclosed_mentions_are_counted_if_both_are_candidates_of_a_nested_label_set(places: LabelSet) -> None:
    document = sentence("New York City Hall", ("New York City Hall", "LOC"), ("New York", "LOC"), ("Hall", "PER"))
    spans = [Span(0, 18), Span(0, 8), Span(4, 8)]
    scored = ScoredSentence(document, dict.fromkeys(spans, VERDICT), ())
    assert scored.to_example(replace(places, nested=True)).enclosed_count == 1, "Hall was not proposed"
    assert scored.to_example(places).enclosed_count == 0


@pytest.mark.parametrize(
    ("nested", "names", "expected"),
    [
        (False, ["New York", "York"], [1, 0, 0]),
        (True, ["New York", "York"], [1, 1, 0]),
        (True, ["New York", "York City"], [0, 0, 1]),
    ],
)
def test_of_annotated_candidates_that_exclude_each_other_the_longer_one_is_the_target(
    places: LabelSet, nested: bool, names: list[str], expected: list[int]
) -> None:
    document = sentence("New York City", *((name, "LOC") for name in names))
    scored = ScoredSentence(document, dict.fromkeys([Span(0, 8), Span(4, 8), Span(4, 13)], VERDICT), ())
    example = scored.to_example(replace(places, nested=nested))
    assert [int(targets.any()) for targets in example.targets] == expected
    assert example.enclosed_count == max(0, sum(expected) - 1)
