from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from entsemble.backends.scripted import ScriptedModel
from entsemble.errors import BadReplyError, MemberDownError, ModelUnavailableError
from entsemble.execution.threads import LocalMapper
from entsemble.extractor import LocalExtractor
from entsemble.ner.decision import DecisionRules
from entsemble.ner.documents import Extracted, Failed
from entsemble.ner.member import Member
from entsemble.ner.pipeline import Pipeline
from entsemble.ner.serialize import from_record, to_record
from entsemble.ner.stages.retrieve import DemonstrationLimits
from entsemble.prompting.template import load_template
from entsemble.types import Choice, Document, LabelSet
from entsemble.voting.rules import VOTING_RULES

Made = Callable[..., Member]


class Ill(ScriptedModel):
    """Lists spans, and is gone when it should type them."""

    def choose(self, prompts: Sequence[str], options: Sequence[str]) -> list[Choice]:
        raise ModelUnavailableError("the server is gone")


def ill(name: str) -> Member:
    model = Ill(name, {"Ann": "person", "left": "location"})
    return Member(name, model, load_template("ner-1"), load_template("zero-shot-1"))


def rules(quorum: int | None, verifier: str | None = None) -> DecisionRules:
    return DecisionRules(VOTING_RULES["soft"], 0.3, verifier, 0.5, DemonstrationLimits(0), quorum=quorum)


def test_without_a_quorum_the_sentence_fails_and_says_who(member: Made, places: LabelSet) -> None:
    pipeline = Pipeline([member("a", {"Ann": "person"}), ill("b")], places, None, rules(None))
    with pytest.raises(MemberDownError, match="gone") as caught:
        pipeline.run("Ann left.")
    assert caught.value.member == "b"
    [result] = LocalExtractor(pipeline, LocalMapper(1), "en", {}).extract([Document("d", "Ann left.")])
    assert isinstance(result, Failed)


def test_with_a_quorum_the_others_answer_as_if_alone(member: Made, places: LabelSet) -> None:
    healthy = member("a", {"Ann": "person"})
    result = Pipeline([healthy, ill("b")], places, None, rules(1)).run("Ann left.")
    alone = Pipeline([healthy], places, None, rules(1)).run("Ann left.")
    assert result.mentions == alone.mentions != ()
    assert result.ledger == alone.ledger
    assert result.absent_members == {"b": "the server is gone"}
    assert set(result.member_mentions) == {"a"}


def test_what_was_asked_in_vain_cost_something_too(member: Made, places: LabelSet) -> None:
    healthy = member("a", {"Ann": "person"})
    result = Pipeline([healthy, ill("b")], places, None, rules(1)).run("Ann left.")
    alone = Pipeline([healthy], places, None, rules(1)).run("Ann left.")
    told = [(stage, name) for stage, name, _ in result.costs]
    assert told == [("extraction", "a"), ("extraction", "b"), ("extraction", "a"), ("classification", "a")]
    assert result.costs[-2:] == alone.costs


@pytest.mark.parametrize(("quorum", "ok"), [(1, True), (2, False), (3, False)])
def test_the_quorum_is_kept(member: Made, places: LabelSet, quorum: int, ok: bool) -> None:
    pipeline = Pipeline([member("a", {"Ann": "person"}), ill("b"), ill("c")], places, None, rules(quorum))
    if ok:
        assert set(pipeline.run("Ann left.").absent_members) == {"b", "c"}
    else:
        with pytest.raises(MemberDownError):
            pipeline.run("Ann left.")


def test_an_absent_verifier_verifies_nothing(member: Made, places: LabelSet) -> None:
    class Mute(ScriptedModel):
        def choose(self, prompts: Sequence[str], options: Sequence[str]) -> list[Choice]:
            if len(options) == 2:
                raise BadReplyError("hm")
            return super().choose(prompts, options)

    verifier = Member("b", Mute("b", {"Ann": "person"}), load_template("ner-1"), load_template("zero-shot-1"))
    result = Pipeline([member("a", {"Ann": "person"}), verifier], places, None, rules(1, "b")).run("Ann left.")
    assert [m.text for m in result.mentions] == ["Ann"]
    assert result.verifications == {}
    assert result.absent_members == {"b": "hm"}


def test_a_document_says_who_was_absent_and_its_record_is_the_same(member: Made, places: LabelSet) -> None:
    pipeline = Pipeline([member("a", {"Ann": "person"}), ill("b")], places, None, rules(1))
    document = Document("d", "Ann left. Then Ann came back.", meta={"x": 1})
    [result] = LocalExtractor(pipeline, LocalMapper(1), "en", {}).extract([document])
    assert isinstance(result, Extracted)
    assert result.absent_members == {"b": "the server is gone"}
    assert from_record(document, to_record(result)) == result


def test_a_member_that_is_absent_from_one_sentence_only(member: Made, places: LabelSet) -> None:
    class Late(ScriptedModel):
        def choose(self, prompts: Sequence[str], options: Sequence[str]) -> list[Choice]:
            if "again" in prompts[0]:
                raise ModelUnavailableError("gone")
            return super().choose(prompts, options)

    late = Member("b", Late("b", {"Ann": "person"}), load_template("ner-1"), load_template("zero-shot-1"))
    pipeline = Pipeline([member("a", {"Ann": "person"}), late], places, None, rules(1))
    for text in ("Ann left. Ann came again.", "Ann came again. Ann left."):
        [result] = LocalExtractor(pipeline, LocalMapper(1), "en", {}).extract([Document("d", text)])
        assert isinstance(result, Extracted)
        assert [len(result.member_mentions[name]) for name in "ab"] == [2, 1]
        assert len(result.document.mentions) == 2
        assert from_record(result.document, to_record(result)) == result
