from __future__ import annotations

import pytest

from entsemble.ner.ledger import Fate
from entsemble.ner.pipeline import Pipeline
from entsemble.types import LabelSet, Span
from tests.ner.ner_factories import MemberFactory, decision_rules, fates, labelled_spans


def test_every_spelling_of_a_listed_surface_is_a_candidate(member: MemberFactory, places: LabelSet) -> None:
    text = "Acme  Corp bought ACME CORP shares."
    listing = member("a", {"ACME CORP": "organisation"}, replies={text: "acme corp"})
    result = Pipeline([listing], places, None, decision_rules()).run(text)
    assert [(entry.surface, entry.span, entry.proposers) for entry in result.ledger] == [
        ("Acme  Corp", Span(0, 10), ("a",)),
        ("ACME CORP", Span(18, 27), ("a",)),
    ]


def test_different_spellings_by_the_members_are_one_candidate(member: MemberFactory, places: LabelSet) -> None:
    text, line = "in NEW\n YORK", "in NEW  YORK"
    members = [
        member("a", {"NEW  YORK": "location"}, replies={line: "New York"}),
        member("b", {"NEW  YORK": "location"}, replies={line: "NEW YORK | new york"}),
    ]
    result = Pipeline(members, places, None, decision_rules()).run(text)
    [mention] = result.mentions
    assert mention.text == text[mention.start : mention.end] == "NEW\n YORK"
    [entry] = result.ledger
    assert entry.proposers == ("a", "b")


def test_an_invented_span_is_in_the_ledger_only(member: MemberFactory, places: LabelSet) -> None:
    text = "Ann left Oslo."
    inventive = member("a", {"Ann": "person"}, replies={text: "Ann | Berlin | Osl"})
    result = Pipeline([inventive], places, None, decision_rules()).run(text)
    assert fates(result) == {"Ann": Fate.KEPT, "Berlin": Fate.NOT_IN_TEXT, "Osl": Fate.NOT_IN_TEXT}
    assert [entry.span for entry in result.ledger if entry.surface == "Berlin"] == [None]


@pytest.mark.parametrize("reply", ["", "  | "])
def test_an_empty_reply_is_unreadable(member: MemberFactory, places: LabelSet, reply: str) -> None:
    members = [member("a", {}, replies={"Oslo": reply}), member("b", {"Oslo": "location"})]
    result = Pipeline(members, places, None, decision_rules()).run("Oslo")
    [unreadable] = [entry for entry in result.ledger if entry.fate is Fate.UNREADABLE]
    assert unreadable.proposers == ("a",)
    assert "empty" in unreadable.detail
    assert labelled_spans(result) == [(0, 4, "LOC")]


def test_a_reply_of_none_is_an_empty_list(member: MemberFactory, places: LabelSet) -> None:
    result = Pipeline([member("a", {})], places, None, decision_rules()).run("Nothing here")
    assert [*result.mentions, *result.ledger, *result.candidate_spans] == []
    assert result.member_mentions == {"a": ()}
    assert [stage for stage, _, _ in result.costs] == ["extraction"]


def test_a_reply_at_the_token_limit_loses_its_last_item(member: MemberFactory, places: LabelSet) -> None:
    babbling = member("a", {"Oslo": "location"}, replies={"Oslo": "Oslo | " + "so it goes " * 20})
    result = Pipeline([babbling], places, None, decision_rules()).run("Oslo")
    [truncated] = [entry for entry in result.ledger if entry.fate is Fate.CUT_OFF]
    assert truncated.surface.startswith("so it goes")
    assert labelled_spans(result) == [(0, 4, "LOC")]
