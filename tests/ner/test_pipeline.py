from __future__ import annotations

from dataclasses import replace

import pytest

from entsemble.ner.ledger import Fate
from entsemble.ner.pipeline import Pipeline
from entsemble.prompting.labels import label_set
from entsemble.types import LabelSet, Span
from tests.ner.ner_factories import FixedScorer, MemberFactory, RecordingModel, decision_rules, fates, labelled_spans


def test_mentions_are_the_union_of_the_members_proposals_scored_by_all_of_them(
    member: MemberFactory, places: LabelSet
) -> None:
    members = [member("a", {"Oslo": "location"}), member("b", {"Oslo": "location", "Ann": "person"}, confidence=0.95)]
    result = Pipeline(members, places, None, decision_rules()).run("Ann left Oslo.")
    assert labelled_spans(result) == [(0, 3, "PER"), (9, 13, "LOC")]
    ann, oslo = result.mentions
    assert dict(ann.votes) == {"a": "none", "b": "PER"}
    assert dict(oslo.votes) == {"a": "LOC", "b": "LOC"}
    assert ann.score == pytest.approx((0.05 + 0.95) / 2 * 0.75)
    assert oslo.score == pytest.approx((0.9 + 0.95) / 2)
    assert fates(result) == {"Ann": Fate.KEPT, "Oslo": Fate.KEPT}
    assert [entry.proposers for entry in result.ledger] == [("b",), ("a", "b")]
    assert result.candidate_spans == (Span(0, 3), Span(9, 13))
    assert result.voted_labels == {Span(0, 3): "PER", Span(9, 13): "LOC"}


def test_a_members_own_mentions_are_by_its_own_proposals_and_votes(member: MemberFactory, places: LabelSet) -> None:
    members = [member("a", {"Oslo": "location"}), member("b", {"Oslo": "person", "Ann": "person"})]
    result = Pipeline(members, places, None, decision_rules()).run("Ann left Oslo.")
    member_mentions = {
        name: [(mention.text, mention.label, dict(mention.votes)) for mention in mentions]
        for name, mentions in result.member_mentions.items()
    }
    assert member_mentions == {
        "a": [("Oslo", "LOC", {"a": "LOC"})],
        "b": [("Ann", "PER", {"b": "PER"}), ("Oslo", "PER", {"b": "PER"})],
    }


def test_a_majority_for_none_outvotes_a_proposal(member: MemberFactory, places: LabelSet) -> None:
    members = [member("a", {"Oslo": "location"}), member("b", {}), member("c", {})]
    result = Pipeline(members, places, None, decision_rules("majority")).run("Oslo")
    assert result.mentions == ()
    [entry] = result.ledger
    assert (entry.fate, entry.span, entry.proposers) == (Fate.OUTVOTED, Span(0, 4), ("a",))
    assert "LOC" in entry.detail
    assert result.voted_labels == {Span(0, 4): None}
    assert result.verifications == {}


def test_scores_below_the_threshold_are_not_mentions(member: MemberFactory, places: LabelSet) -> None:
    members = [member("a", {"Oslo": "location"}), member("b", {})]
    result = Pipeline(members, places, None, decision_rules(threshold=0.5)).run("Oslo")
    [entry] = result.ledger
    assert (entry.fate, entry.label) == (Fate.BELOW_THRESHOLD, "LOC")
    assert result.mentions == ()


def test_every_occurrence_of_a_surface_is_a_mention(member: MemberFactory, places: LabelSet) -> None:
    text = "Oslo, Oslo\nand Oslofjord; OSLO"
    result = Pipeline([member("a", {"Oslo": "location"})], places, None, decision_rules()).run(text)
    assert labelled_spans(result) == [(0, 4, "LOC"), (6, 10, "LOC")]
    assert [entry.span for entry in result.ledger] == [Span(0, 4), Span(6, 10)]


def test_a_nested_mention_is_kept_if_labels_nest(member: MemberFactory) -> None:
    labels = label_set({"ORG": "", "LOC": ""}, nested=True)
    bank = member("a", {"Bank of Oslo": "organisation", "Oslo": "location"})
    result = Pipeline([bank], labels, None, decision_rules()).run("The Bank of Oslo fell")
    assert labelled_spans(result) == [(4, 16, "ORG"), (12, 16, "LOC")]


def test_a_nested_mention_is_overlapped_if_labels_are_flat(member: MemberFactory) -> None:
    labels = label_set({"ORG": "", "LOC": ""})
    bank = member("a", {"Bank of Oslo": "organisation", "Oslo": "location"})
    result = Pipeline([bank], labels, None, decision_rules()).run("The Bank of Oslo fell")
    assert labelled_spans(result) == [(4, 16, "ORG")]
    [loser] = [entry for entry in result.ledger if entry.fate is Fate.OVERLAPPED]
    assert (loser.surface, loser.label, loser.proposers) == ("Oslo", "LOC", ("a",))
    assert "Bank of Oslo (ORG)" in loser.detail


def test_the_same_sentence_gives_the_same_result(member: MemberFactory, places: LabelSet) -> None:
    text = "Ann Lee left Oslo for New York"
    lexicon = {"Ann Lee": "person", "Oslo": "location", "York": "location", "New York": "location"}
    first, second = (
        Pipeline([member("a", lexicon), member("b", lexicon)], places, None, decision_rules()).run(text)
        for _ in range(2)
    )
    assert first == second


# the learned scorer


def test_a_scorer_judges_each_occurrence_by_itself(member: MemberFactory, places: LabelSet) -> None:
    first, second = Span(0, 4), Span(9, 13)
    scorer = FixedScorer({first: ("LOC", 0.2), second: ("PER", 0.8)})
    oslo = member("a", {"Oslo": "location"})
    result = Pipeline([oslo], places, None, decision_rules(), scorer=scorer).run("Oslo saw Oslo.")
    assert labelled_spans(result) == [(9, 13, "PER")]
    assert result.mentions[0].score == 0.8
    assert result.voted_labels == {first: "LOC", second: "PER"}
    assert [(entry.span, entry.fate, entry.label) for entry in result.ledger] == [
        (first, Fate.BELOW_THRESHOLD, "LOC"),
        (second, Fate.KEPT, "PER"),
    ]
    vote_labels = {span: verdict.label for span, verdict in result.verdicts.items()}
    assert vote_labels == {first: "LOC", second: "LOC"}, "verdicts are those of the vote"


def test_the_ledger_names_the_mention_that_a_low_score_overlaps(member: MemberFactory, places: LabelSet) -> None:
    scorer = FixedScorer({Span(0, 12): ("LOC", 0.9), Span(8, 12): ("LOC", 0.05)})
    bank = member("a", {"Oslo": "location", "Bank of Oslo": "location"})
    result = Pipeline([bank], places, None, decision_rules(), scorer=scorer).run("Bank of Oslo")
    assert {entry.surface: (entry.fate, entry.detail) for entry in result.ledger} == {
        "Bank of Oslo": (Fate.KEPT, "score 0.900"),
        "Oslo": (Fate.BELOW_THRESHOLD, "score 0.050, overlaps Bank of Oslo (LOC)"),
    }


# the verifier


def test_the_verifier_denies_mentions(member: MemberFactory, places: LabelSet) -> None:
    members = [
        member("a", {"Oslo": "location", "Ann": "person"}),
        member("b", {"Oslo": "location", "Ann": "person"}),
        member("verifier", {"Ann": "person"}),
    ]
    result = Pipeline(members, places, None, decision_rules("majority", verifier="verifier")).run(
        "Ann left Oslo, Oslo stayed."
    )
    assert labelled_spans(result) == [(0, 3, "PER")]
    denied = [entry for entry in result.ledger if entry.fate is Fate.DENIED]
    assert [entry.span for entry in denied] == [Span(9, 13), Span(15, 19)]
    assert all("0.100" in entry.detail for entry in denied)
    assert result.verifications == {Span(0, 3): True, Span(9, 13): False, Span(15, 19): False}
    assert result.voted_labels[Span(9, 13)] == "LOC"
    assert [mention.text for mention in result.member_mentions["a"]] == ["Ann", "Oslo", "Oslo"]
    assert [name for stage, name, _ in result.costs if stage == "verification"] == ["verifier"]


def test_scores_below_the_threshold_are_not_verified(member: MemberFactory, places: LabelSet) -> None:
    members = [member("a", {"Oslo": "location"}), member("b", {})]
    result = Pipeline(members, places, None, decision_rules(threshold=0.9, verifier="b")).run("Oslo")
    assert "verification" not in [stage for stage, _, _ in result.costs]
    assert fates(result) == {"Oslo": Fate.BELOW_THRESHOLD}


@pytest.mark.parametrize("skip_above", [None, 0.9])
def test_each_surface_and_label_is_verified_once_unless_its_vote_is_clear(
    member: MemberFactory, places: LabelSet, skip_above: float | None
) -> None:
    text = "Oslo, Oslo, Oslo and Oslo"
    spans = [Span(start, start + 4) for start in (0, 6, 12, 21)]
    scores = dict(zip(spans, [("LOC", 0.99), ("LOC", 0.5), ("PER", 0.6), ("LOC", 0.1)], strict=True))
    verifier = RecordingModel({})
    members = [member("a", {"Oslo": "location"}), member("verifier", verifier)]
    rules = replace(decision_rules(verifier="verifier"), skip_verification_above=skip_above)
    result = Pipeline(members, places, None, rules, scorer=FixedScorer(scores)).run(text)
    template = members[0].template
    checks = [prompt for prompt in verifier.prompts if template.checks in prompt]
    assert len(checks) == 2, "one for location, one for person"
    [typed] = {prompt.split(template.types)[-1].split(template.checks)[0] for prompt in checks}
    assert typed.count("Oslo") == 1
    assert "location" in typed, "the label of the highest score"
    first_verified = 0 if skip_above is None else 1
    assert result.verifications == dict.fromkeys(spans[first_verified:3], False)
    assert labelled_spans(result) == ([] if skip_above is None else [(0, 4, "LOC")])
