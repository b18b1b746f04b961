"""The gazetteer: counts of names, proposals and votes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from entsemble.data.windows import sentence_splitter
from entsemble.ner.decision import DecisionRules
from entsemble.ner.ledger import Fate
from entsemble.ner.pipeline import Pipeline
from entsemble.ner.stages.retrieve import DemonstrationLimits
from entsemble.pool.gazetteer import Gazetteer
from entsemble.pool.leakage import LeakageGuard
from entsemble.types import NONE_LABEL, Document, LabelSet
from entsemble.voting.candidates import Candidate
from entsemble.voting.rules import VOTING_RULES, Ballot
from tests.factories import label_set, sentence

POOL = (
    sentence("Jordan lost to Oslo.", ("Jordan", "PER"), ("Oslo", "LOC")),
    sentence("Rain over Jordan.", ("Jordan", "LOC")),
    sentence("Jordan signed.", ("Jordan", "PER")),
    sentence("The Bank of Oslo fell.", ("Bank of Oslo", "PER")),
    sentence("Will Will go?", ("Will", "PER")),
    sentence("Will it rain?"),
    sentence("Will he?"),
)


def build_gazetteer(labels: LabelSet, *documents: Document) -> Gazetteer:
    return Gazetteer(LeakageGuard(documents or POOL, sentence_splitter()), labels, full_weight_count=2)


def log_probabilities(label: str) -> dict[str, float]:
    return {name: math.log(0.98 if name == label else 0.01) for name in ("PER", "LOC", NONE_LABEL)}


def test_names_are_counted_with_and_without_annotation(places: LabelSet) -> None:
    name_counts = build_gazetteer(places).lookup("Jordan saw Will in Oslo.")
    assert name_counts["Jordan"].label_counts == {"PER": 2, "LOC": 1}
    assert name_counts["Jordan"].occurrences == 3
    assert (name_counts["Will"].mention_share, name_counts["Will"].occurrences) == (1 / 4, 4)


def test_an_occurrence_within_a_longer_mention_does_not_count_in_a_flat_label_set(places: LabelSet) -> None:
    assert build_gazetteer(places).lookup("Oslo")["Oslo"].occurrences == 1


def test_documents_that_equal_the_text_are_not_counted(places: LabelSet) -> None:
    name_counts = build_gazetteer(places).lookup("rain over  Jordan.")
    assert name_counts["Jordan"].label_counts == {"PER": 2}
    assert name_counts["Jordan"].occurrences == 2
    assert build_gazetteer(places, POOL[1]).lookup(POOL[1].text) == {}


def test_a_document_with_a_mention_across_a_sentence_boundary_leaks_each_of_its_sentences(places: LabelSet) -> None:
    joined = sentence("Ann Berg. Lee saw Oslo", ("Ann Berg. Lee", "PER"), ("Oslo", "LOC"))
    assert build_gazetteer(places, joined).lookup("Lee saw Oslo") == {}


def test_names_are_proposed_in_text_order(places: LabelSet) -> None:
    candidates = build_gazetteer(places).propose("Will the Bank of Oslo pay Jordan?", [Candidate("Jordan", ("a",))])
    assert candidates == [Candidate("Bank of Oslo", ("pool",)), Candidate("Jordan", ("a", "pool"))]


def test_nested_names_are_proposed_in_a_nested_label_set() -> None:
    labels = label_set("PER", "LOC", nested=True)
    gazetteer = build_gazetteer(labels, *POOL, sentence("Oslo won.", ("Oslo", "LOC")))
    candidates = gazetteer.propose("The Bank of Oslo", [])
    assert [candidate.surface for candidate in candidates] == ["Bank of Oslo", "Oslo"]
    assert gazetteer.lookup("The Bank of Oslo")["Oslo"].occurrences == 3


def test_a_name_within_a_longer_candidate_is_not_proposed_in_a_flat_label_set(places: LabelSet) -> None:
    text = "The Church of Oslo fell. Jordan wept."
    candidates = build_gazetteer(places).propose(text, [Candidate("Church of Oslo", ("a",))])
    assert candidates == [Candidate("Church of Oslo", ("a",)), Candidate("Jordan", ("pool",))]


def test_names_are_found_in_scripts_without_spaces(places: LabelSet) -> None:
    gazetteer = build_gazetteer(
        places, sentence("กรุงเทพมหานคร", ("กรุงเทพมหานคร", "LOC")), sentence("在 Google 工作", ("Google", "PER"))
    )
    assert set(gazetteer.lookup("ไปกรุงเทพมหานคร")) == {"กรุงเทพมหานคร"}
    assert set(gazetteer.lookup("我在Google上班")) == {"Google"}


@pytest.mark.parametrize(
    ("text", "surfaces"),
    [("奥斯陆在挪威。", {"奥斯陆"}), ("Oslo\nis", {"Oslo"}), ("ÅOslo", set()), ("", set()), ("jordan", set())],
)
def test_names_match_whole_words_with_the_same_case(text: str, surfaces: set[str], places: LabelSet) -> None:
    gazetteer = build_gazetteer(places, sentence("去奥斯陆", ("奥斯陆", "LOC")), *POOL)
    assert {candidate.surface for candidate in gazetteer.propose(text, [])} == surfaces


def test_in_a_union_the_gazetteer_decides_only_about_candidates_of_its_own(places: LabelSet) -> None:
    [ballot] = build_gazetteer(places).ballots("Jordan", [Candidate("Jordan", ("pool",))])
    assert ballot is not None
    union = VOTING_RULES["union"]
    assert union([Ballot("a", log_probabilities("LOC"), True, True), ballot]).label == "LOC"
    verdict = union([Ballot("a", log_probabilities("LOC"), True, False), ballot])
    assert (verdict.label, round(verdict.score, 3)) == ("PER", 0.667)


def test_frequent_names_weigh_more_in_the_vote(places: LabelSet) -> None:
    [ballot] = build_gazetteer(places).ballots("Jordan", [Candidate("Jordan", ("a", "pool"))])
    assert ballot is not None
    assert ballot.relative_weight == 3 / 2
    assert math.isclose(ballot.probability("PER"), 2 / 3)
    members = [Ballot(name, log_probabilities("LOC"), True, True) for name in ("a", "b")]
    soft_vote = VOTING_RULES["soft"]
    without, with_gazetteer = soft_vote(members), soft_vote((*members, ballot))
    assert (without.label, with_gazetteer.label) == ("LOC", "LOC")
    assert math.isclose(with_gazetteer.score, (2 * 0.98 + 3 * ballot.probability("LOC")) / 5, rel_tol=1e-6)


def test_the_gazetteer_abstains_from_unknown_names(places: LabelSet) -> None:
    assert build_gazetteer(places).ballots("Jordan", [Candidate("Nobody", ())]) == [None]


def test_the_pipeline_finds_a_name_that_no_member_proposed(member: Callable[..., Any], places: LabelSet) -> None:
    rules = DecisionRules(VOTING_RULES["soft"], 0.4, None, 0.5, DemonstrationLimits(0))
    gazetteer = build_gazetteer(places, *(sentence(f"Carla, {number}.", ("Carla", "PER")) for number in range(20)))
    result = Pipeline([member("a", {})], places, None, rules, [gazetteer]).run("We met Carla.")
    assert [(mention.text, mention.label, dict(mention.votes)) for mention in result.mentions] == [
        ("Carla", "PER", {"a": NONE_LABEL, "pool": "PER"})
    ]
    assert [(entry.fate, entry.proposers) for entry in result.ledger] == [(Fate.KEPT, ("pool",))]
    assert result.member_mentions == {"a": ()}
