"""Demonstrations in the members' prompts, and contexts that are too small for all of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from entsemble.errors import PromptTooLongError
from entsemble.ner.pipeline import Pipeline
from entsemble.retrieval.index import PoolIndex, encode_pool
from entsemble.retrieval.pos_heuristic import HeuristicPosTagger
from entsemble.types import LabelSet, total_usage
from tests.factories import document
from tests.ner.ner_factories import MemberFactory, RecordingModel, decision_rules, labelled_spans

TEXT = "Person3 left Oslo"


@pytest.fixture
def pool(trigrams: Any) -> PoolIndex:
    documents = [
        document(f"Person{n} lives in Town{n}", (f"Person{n}", "PER"), (f"Town{n}", "LOC"), id=f"p{n}")
        for n in range(8)
    ]
    spans = [[mention.text for mention in one.mentions] for one in documents]
    vectors = encode_pool(documents, spans, trigrams)
    return PoolIndex(documents, vectors, encoder=trigrams, pos_tagger=HeuristicPosTagger())


def test_the_most_similar_demonstration_is_next_to_the_question(
    member: MemberFactory, places: LabelSet, pool: PoolIndex
) -> None:
    model = RecordingModel({"Oslo": "location", "Person3": "person"})
    result = Pipeline([member("a", model)], places, pool, decision_rules(shots=3)).run(TEXT)
    assert result.demonstration_ids[-1] == "p3"
    assert len(result.demonstration_ids) == 3
    extraction_prompt = model.prompts[1]
    offsets = [extraction_prompt.index(f"Person{id_[1:]} lives") for id_ in result.demonstration_ids]
    assert offsets == sorted(offsets)
    assert extraction_prompt.index(TEXT) > offsets[-1]


def test_every_model_call_has_a_cost(member: MemberFactory, places: LabelSet, pool: PoolIndex) -> None:
    model = RecordingModel({"Oslo": "location", "Person3": "person"})
    result = Pipeline([member("a", model)], places, pool, decision_rules(shots=3)).run(TEXT)
    stages = [(stage, name) for stage, name, _ in result.costs]
    assert stages == [("retrieval", "a"), ("extraction", "a"), ("classification", "a")]
    assert total_usage(usage for _, _, usage in result.costs).calls == len(model.prompts)


def test_all_prompts_of_a_sentence_continue_the_extraction_prompt(
    member: MemberFactory, places: LabelSet, pool: PoolIndex
) -> None:
    model = RecordingModel({"Oslo": "location", "Person3": "person"})
    Pipeline([member("a", model)], places, pool, decision_rules(verifier="a")).run(TEXT)
    _, extraction_prompt, *later_prompts = model.prompts
    assert len(later_prompts) == 4
    assert all(prompt.startswith(extraction_prompt) for prompt in later_prompts)


@pytest.mark.parametrize(("shots", "expected_count"), [(None, 3), (2, 2), (0, 0)])
def test_a_member_with_fewer_shots_gets_the_most_similar_demonstrations(
    shots: int | None, expected_count: int, member: MemberFactory, places: LabelSet, pool: PoolIndex
) -> None:
    limited, unlimited = RecordingModel({"Oslo": "location"}), RecordingModel({"Oslo": "location"})
    members = [replace(member("limited", limited), shots=shots), member("unlimited", unlimited)]
    result = Pipeline(members, places, pool, decision_rules(shots=3)).run(TEXT)
    assert unlimited.prompts[-1].count(" lives in ") == len(result.demonstration_ids) == 3
    assert limited.prompts[-1].count(" lives in ") == expected_count
    most_similar = result.demonstration_ids[-1].replace("p", "Person")
    assert expected_count == 0 or f"{most_similar} lives" in limited.prompts[-1]


def test_only_the_verifiers_demonstrations_have_checks(
    member: MemberFactory, places: LabelSet, pool: PoolIndex
) -> None:
    other, verifier = RecordingModel({"Oslo": "location"}), RecordingModel({"Oslo": "location"})
    members = [member("other", other), member("verifier", verifier)]
    Pipeline(members, places, pool, decision_rules("majority", verifier="verifier")).run(TEXT)
    checks = members[0].template.checks
    assert not any(checks in prompt for prompt in other.prompts)
    _, extraction_prompt, *later_prompts = verifier.prompts
    assert extraction_prompt.count(checks) == 3
    assert all(prompt.startswith(extraction_prompt) for prompt in later_prompts)
    assert later_prompts[-1].count(checks) == 4


def test_zero_shots_and_no_pool_give_the_same_prompts(member: MemberFactory, places: LabelSet, pool: PoolIndex) -> None:
    without_shots, without_pool = RecordingModel({"Oslo": "location"}), RecordingModel({"Oslo": "location"})
    Pipeline([member("a", without_shots)], places, pool, decision_rules(shots=0)).run(TEXT)
    Pipeline([member("a", without_pool)], places, None, decision_rules(shots=8)).run(TEXT)
    assert without_shots.prompts == without_pool.prompts


def test_a_small_context_leaves_out_the_less_similar_demonstrations(
    member: MemberFactory, places: LabelSet, pool: PoolIndex
) -> None:
    large = RecordingModel({"Oslo": "location"})
    complete = Pipeline([member("a", large)], places, pool, decision_rules(shots=8)).run(TEXT)
    small = RecordingModel({"Oslo": "location"}, context_size=max(map(len, large.prompts)) * 2 // 3)
    result = Pipeline([member("a", small)], places, pool, decision_rules(shots=8)).run(TEXT)
    assert labelled_spans(result) == labelled_spans(complete)
    assert 0 < len(result.demonstration_ids) < 8
    assert result.demonstration_ids == complete.demonstration_ids[-len(result.demonstration_ids) :]


def test_a_context_too_small_for_later_stages_leaves_out_demonstrations_too(
    member: MemberFactory, places: LabelSet, pool: PoolIndex
) -> None:
    large = RecordingModel({"Oslo": "location"})
    Pipeline([member("a", large)], places, pool, decision_rules(shots=8)).run(TEXT)
    small = RecordingModel({"Oslo": "location"}, context_size=len(large.prompts[1]) + 5)
    result = Pipeline([member("a", small)], places, pool, decision_rules(shots=8)).run(TEXT)
    assert labelled_spans(result) == [(13, 17, "LOC")]
    assert len(result.demonstration_ids) < 8


def test_a_sentence_longer_than_the_context_fails(member: MemberFactory, places: LabelSet, pool: PoolIndex) -> None:
    tiny = RecordingModel({}, context_size=20)
    with pytest.raises(PromptTooLongError, match="more than 20 characters"):
        Pipeline([member("a", tiny)], places, pool, decision_rules()).run(TEXT)


@pytest.mark.parametrize("name", ["A|B Testing", "MTV | News", "x=1; y", "New\nYork", "|"])
def test_a_name_that_holds_a_separator_is_shown_listed_typed_and_verified_whole(
    member: MemberFactory, places: LabelSet, trigrams: Any, name: str
) -> None:
    examples = [document(f"{name} met Ann", (name, "LOC"), ("Ann", "PER"), id="example")]
    vectors = encode_pool(examples, [[name, "Ann"]], trigrams)
    pool = PoolIndex(examples, vectors, encoder=trigrams, pos_tagger=HeuristicPosTagger())
    model = RecordingModel({name.replace("\n", " "): "location"})
    rules = replace(decision_rules(shots=1), verifier="a")
    text = f"They saw {name} again"
    result = Pipeline([member("a", model)], places, pool, rules).run(text)
    assert labelled_spans(result) == [(9, 9 + len(name), "LOC")]
    assert list(result.verifications.values()) == [True]
    shown = name.replace("|", "¦").replace("\n", " ")
    demonstration, _, query = model.prompts[-1].partition("\n\nText: They")
    assert f"Entities: {shown} | Ann\n" in demonstration
    assert query == f" saw {shown} again\nEntities: {shown}\nTypes: {shown} = location;\nCheck: {shown} = location?"
