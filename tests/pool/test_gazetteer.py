"""The pool's names: what is counted, what is proposed, and what it weighs."""

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
from entsemble.pool.gazetteer import NAME, Gazetteer
from entsemble.prompting.labels import label_set
from entsemble.types import NONE_LABEL, Document, LabelSet
from entsemble.voting.candidates import Candidate
from entsemble.voting.rules import VOTING_RULES, Ballot
from tests.factories import sentence

SPLIT = sentence_splitter()


POOL = (
    sentence("Jordan lost to Oslo.", ("Jordan", "PER"), ("Oslo", "LOC")),
    sentence("Rain over Jordan.", ("Jordan", "LOC")),
    sentence("Jordan signed.", ("Jordan", "PER")),
    sentence("The Bank of Oslo fell.", ("Bank of Oslo", "PER")),
    sentence("Will Will go?", ("Will", "PER")),
    sentence("Will it rain?"),
    sentence("Will he?"),
)


def made(labels: LabelSet, *documents: Document, half: float = 2) -> Gazetteer:
    return Gazetteer(documents or POOL, labels, half, SPLIT)


def test_names_are_counted_with_and_without_annotation(places: LabelSet) -> None:
    known = made(places).lookup("Jordan saw Will in Oslo.")
    assert (dict(known["Jordan"].label_counts), known["Jordan"].occurrences) == ({"PER": 2, "LOC": 1}, 3)
    assert known["Oslo"].occurrences == 1, (
        "within the longer name, where mentions do not nest, it could not be annotated"
    )
    assert (known["Will"].mention_share, known["Will"].occurrences) == (1 / 4, 4)


def test_what_the_text_itself_would_tell_is_left_out(places: LabelSet) -> None:
    known = made(places).lookup("rain over  Jordan.")
    assert (dict(known["Jordan"].label_counts), known["Jordan"].occurrences) == ({"PER": 2}, 2)
    assert made(places, POOL[1]).lookup(POOL[1].text) == {}


def test_names_are_proposed_in_text_order(places: LabelSet) -> None:
    gazetteer = made(places)
    text = "Will the Bank of Oslo pay Jordan?"
    found = gazetteer.propose(text, [Candidate("Jordan", ("a",))])
    assert found == [Candidate("Bank of Oslo", (NAME,)), Candidate("Jordan", ("a", NAME))]


def test_nested_names_are_proposed_where_mentions_nest() -> None:
    labels = label_set({"PER": "", "LOC": ""}, nested=True)
    gazetteer = made(labels, *POOL, sentence("Oslo won.", ("Oslo", "LOC")))
    text = "The Bank of Oslo"
    found = gazetteer.propose(text, [])
    assert [c.surface for c in found] == ["Bank of Oslo", "Oslo"]
    assert gazetteer.lookup(text)["Oslo"].occurrences == 3


def test_a_name_within_a_longer_candidate_is_not_proposed_where_mentions_do_not_nest(places: LabelSet) -> None:
    gazetteer = made(places)
    text = "The Church of Oslo fell. Jordan wept."
    found = gazetteer.propose(text, [Candidate("Church of Oslo", ("a",))])
    assert found == [Candidate("Church of Oslo", ("a",)), Candidate("Jordan", (NAME,))]


def test_a_sentence_of_a_pool_text_with_a_mention_across_its_boundary_is_its_own_copy(places: LabelSet) -> None:
    joined = sentence("Ann Berg. Lee saw Oslo", ("Ann Berg. Lee", "PER"), ("Oslo", "LOC"))
    assert made(places, joined).lookup("Lee saw Oslo") == {}


def test_a_long_name_without_blanks_and_one_beside_them(places: LabelSet) -> None:
    gazetteer = made(
        places, sentence("กรุงเทพมหานคร", ("กรุงเทพมหานคร", "LOC")), sentence("在 Google 工作", ("Google", "PER"))
    )
    assert set(gazetteer.lookup("ไปกรุงเทพมหานคร")) == {"กรุงเทพมหานคร"}
    assert set(gazetteer.lookup("我在Google上班")) == {"Google"}


def test_in_a_union_the_pool_answers_for_what_it_alone_proposed(places: LabelSet) -> None:
    gazetteer = made(places)
    own = gazetteer.ballots("Jordan", [Candidate("Jordan", (NAME,))])[0]
    assert own is not None
    proposed = [Ballot("a", _sure("LOC"), True, True), own]
    assert VOTING_RULES["union"](proposed).label == "LOC"
    alone = VOTING_RULES["union"]([Ballot("a", _sure("LOC"), True, False), own])
    assert (alone.label, round(alone.score, 3)) == ("PER", 0.667)


@pytest.mark.parametrize("text", ["奥斯陆在挪威。", "Oslo\nis", "ÅOslo", "", "jordan"])
def test_any_script(text: str, places: LabelSet) -> None:
    gazetteer = made(places, sentence("去奥斯陆", ("奥斯陆", "LOC")), *POOL)
    found = {c.surface for c in gazetteer.propose(text, [])}
    assert found == {"奥斯陆在挪威。": {"奥斯陆"}, "Oslo\nis": {"Oslo"}}.get(text, set())


def test_the_more_often_a_name_was_seen_the_more_it_counts(places: LabelSet) -> None:
    gazetteer = made(places)
    ballot = gazetteer.ballots("Jordan", [Candidate("Jordan", ("a", NAME))])[0]
    assert ballot is not None
    assert ballot.relative_weight == 3 / 2
    assert math.isclose(ballot.probability("PER"), 2 / 3)
    members = [Ballot(name, _sure("LOC"), True, True) for name in ("a", "b")]
    alone, together = VOTING_RULES["soft"](members), VOTING_RULES["soft"]((*members, ballot))
    assert (alone.label, together.label) == ("LOC", "LOC")
    assert math.isclose(together.score, (2 * 0.98 + 3 * ballot.probability("LOC")) / 5, rel_tol=1e-6)
    assert gazetteer.ballots("Jordan", [Candidate("Nobody", ())])[0] is None


def _sure(label: str) -> dict[str, float]:
    return {x: math.log(0.98 if x == label else 0.01) for x in ("PER", "LOC", NONE_LABEL)}


def test_a_name_that_no_model_saw_is_found(member: Callable[..., Any], places: LabelSet) -> None:
    rules = DecisionRules(VOTING_RULES["soft"], 0.4, None, 0.5, DemonstrationLimits(0))
    often = [sentence(f"Carla, {n}.", ("Carla", "PER")) for n in range(20)]
    pipeline = Pipeline([member("a", {})], places, None, rules, [made(places, *often)])
    result = pipeline.run("We met Carla.")
    assert [(m.text, m.label, dict(m.votes)) for m in result.mentions] == [
        ("Carla", "PER", {"a": NONE_LABEL, NAME: "PER"})
    ]
    assert [(e.fate, e.proposers) for e in result.ledger] == [(Fate.KEPT, (NAME,))]
    assert result.member_mentions == {"a": ()}
