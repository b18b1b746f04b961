"""Members that are down, with and without a quorum."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from entsemble.backends.scripted import ScriptedModel
from entsemble.errors import BadReplyError, MemberDownError, ModelUnavailableError
from entsemble.execution.threads import LocalMapper
from entsemble.extractor import LocalExtractor
from entsemble.ner.documents import Extracted, Failed
from entsemble.ner.member import Member
from entsemble.ner.pipeline import Pipeline
from entsemble.types import Choice, LabelSet
from tests.factories import document
from tests.ner.ner_factories import MemberFactory, decision_rules, member_with


class FailingModel(ScriptedModel):
    """Lists spans, and is down when it should type them."""

    def choose(self, prompts: Sequence[str], options: Sequence[str]) -> list[Choice]:
        raise ModelUnavailableError("the server is gone")


def failing_member(name: str) -> Member:
    return member_with(FailingModel(name, {"Ann": "person", "left": "location"}))


def extractor(pipeline: Pipeline) -> LocalExtractor:
    return LocalExtractor(pipeline, LocalMapper(1), "en", {})


def test_without_a_quorum_the_sentence_fails_and_names_the_member(member: MemberFactory, places: LabelSet) -> None:
    members = [member("a", {"Ann": "person"}), failing_member("b")]
    pipeline = Pipeline(members, places, None, decision_rules(quorum=None))
    with pytest.raises(MemberDownError, match="gone") as caught:
        pipeline.run("Ann left.")
    assert caught.value.member == "b"
    [result] = extractor(pipeline).extract([document("Ann left.")])
    assert isinstance(result, Failed)


def test_with_a_quorum_the_result_is_that_of_the_other_members(member: MemberFactory, places: LabelSet) -> None:
    healthy = member("a", {"Ann": "person"})
    result = Pipeline([healthy, failing_member("b")], places, None, decision_rules(quorum=1)).run("Ann left.")
    healthy_alone = Pipeline([healthy], places, None, decision_rules(quorum=1)).run("Ann left.")
    assert result.mentions == healthy_alone.mentions != ()
    assert result.ledger == healthy_alone.ledger
    assert result.absent_members == {"b": "the server is gone"}
    assert set(result.member_mentions) == {"a"}


def test_costs_include_failed_attempts(member: MemberFactory, places: LabelSet) -> None:
    healthy = member("a", {"Ann": "person"})
    result = Pipeline([healthy, failing_member("b")], places, None, decision_rules(quorum=1)).run("Ann left.")
    healthy_alone = Pipeline([healthy], places, None, decision_rules(quorum=1)).run("Ann left.")
    stages = [(stage, name) for stage, name, _ in result.costs]
    assert stages == [("extraction", "a"), ("extraction", "b"), ("extraction", "a"), ("classification", "a")]
    assert result.costs[-2:] == healthy_alone.costs


@pytest.mark.parametrize(("quorum", "is_met"), [(1, True), (2, False), (3, False)])
def test_a_sentence_fails_with_fewer_members_than_the_quorum(
    member: MemberFactory, places: LabelSet, quorum: int, is_met: bool
) -> None:
    members = [member("a", {"Ann": "person"}), failing_member("b"), failing_member("c")]
    pipeline = Pipeline(members, places, None, decision_rules(quorum=quorum))
    if is_met:
        assert set(pipeline.run("Ann left.").absent_members) == {"b", "c"}
    else:
        with pytest.raises(MemberDownError):
            pipeline.run("Ann left.")


def test_without_its_verifier_a_sentence_is_not_verified(member: MemberFactory, places: LabelSet) -> None:
    class NoChecks(ScriptedModel):
        def choose(self, prompts: Sequence[str], options: Sequence[str]) -> list[Choice]:
            if len(options) == 2:
                raise BadReplyError("not a choice")
            return super().choose(prompts, options)

    verifier = member_with(NoChecks("b", {"Ann": "person"}))
    rules = decision_rules(verifier="b", quorum=1)
    result = Pipeline([member("a", {"Ann": "person"}), verifier], places, None, rules).run("Ann left.")
    assert [mention.text for mention in result.mentions] == ["Ann"]
    assert result.verifications == {}
    assert result.absent_members == {"b": "not a choice"}


def test_a_document_names_its_absent_members(member: MemberFactory, places: LabelSet) -> None:
    members = [member("a", {"Ann": "person"}), failing_member("b")]
    pipeline = Pipeline(members, places, None, decision_rules(quorum=1))
    [result] = extractor(pipeline).extract([document("Ann left. Then Ann came back.")])
    assert isinstance(result, Extracted)
    assert result.absent_members == {"b": "the server is gone"}


@pytest.mark.parametrize("text", ["Ann left. Ann came again.", "Ann came again. Ann left."])
def test_a_member_may_be_absent_from_some_sentences_of_a_document(
    member: MemberFactory, places: LabelSet, text: str
) -> None:
    class FailsOnce(ScriptedModel):
        def choose(self, prompts: Sequence[str], options: Sequence[str]) -> list[Choice]:
            if "again" in prompts[0]:
                raise ModelUnavailableError("gone")
            return super().choose(prompts, options)

    members = [member("a", {"Ann": "person"}), member_with(FailsOnce("b", {"Ann": "person"}))]
    pipeline = Pipeline(members, places, None, decision_rules(quorum=1))
    [result] = extractor(pipeline).extract([document(text)])
    assert isinstance(result, Extracted)
    assert [len(result.member_mentions[name]) for name in "ab"] == [2, 1]
    assert len(result.document.mentions) == 2
