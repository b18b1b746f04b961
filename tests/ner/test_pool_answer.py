"""A sentence that stands in the pool is answered from it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from entsemble.errors import ModelError
from entsemble.ner.ledger import Fate
from entsemble.ner.pipeline import Pipeline
from entsemble.ner.rules import UserRules
from entsemble.pool.answers import PoolAnswers
from entsemble.pool.leakage import LeakageGuard
from entsemble.prompting.labels import label_set
from entsemble.types import Document, LabelSet, mention_at
from tests.ner.ner_factories import MemberFactory, RecordingModel, decision_rules, fates, labelled_spans

TEXT = "Ann left Oslo on the Aurelia."
DOCUMENT = Document("letter", TEXT, (mention_at(TEXT, 0, 3, "PER"), mention_at(TEXT, 9, 13, "LOC")))


def pool_answers(*documents: Document) -> PoolAnswers:
    return PoolAnswers(LeakageGuard(documents, lambda text: [text]))


def test_no_model_is_asked(member: MemberFactory, places: LabelSet) -> None:
    model = RecordingModel({"Aurelia": "LOC"})
    pipeline = Pipeline([member("a", model)], places, None, decision_rules()).with_answers(pool_answers(DOCUMENT))
    result = pipeline.run("ANN left Oslo on the Aurelia.")
    assert labelled_spans(result) == [(0, 3, "PER"), (9, 13, "LOC")]
    assert [(mention.text, mention.score, dict(mention.votes)) for mention in result.mentions] == [
        ("ANN", 1.0, {"pool": "PER"}),
        ("Oslo", 1.0, {"pool": "LOC"}),
    ]
    assert fates(result) == {"ANN": Fate.FROM_POOL, "Oslo": Fate.FROM_POOL}
    assert [(entry.detail, entry.proposers) for entry in result.ledger] == [("as in letter", ("pool",))] * 2
    assert model.prompts == []
    assert result.costs == ()


def test_other_sentences_are_asked(member: MemberFactory, places: LabelSet) -> None:
    model = RecordingModel({"Bergen": "location"})
    pipeline = Pipeline([member("a", model)], places, None, decision_rules()).with_answers(pool_answers(DOCUMENT))
    assert labelled_spans(pipeline.run("Ann left Bergen.")) == [(9, 15, "LOC")]
    assert model.prompts


def test_a_sentence_without_names_has_none(member: MemberFactory, places: LabelSet) -> None:
    empty = Document("empty", "Oslo is a word here.")
    pipeline = Pipeline([member("a", {"Oslo": "location"})], places, None, decision_rules())
    assert pipeline.with_answers(pool_answers(DOCUMENT, empty)).run(empty.text).mentions == ()


def test_labels_that_the_pool_does_not_know_are_asked_for(member: MemberFactory) -> None:
    labels = label_set({"PER": "", "LOC": "", "ship": ""})
    lexicon = {"Aurelia": "ship", "Ann": "ship", "left": "location"}
    pipeline = Pipeline([member("a", lexicon)], labels, None, decision_rules())
    result = pipeline.with_answers(pool_answers(DOCUMENT)).run(TEXT)
    assert labelled_spans(result) == [(0, 3, "PER"), (9, 13, "LOC"), (21, 28, "ship")]
    assert fates(result) == {
        "Ann": Fate.FROM_POOL,
        "Oslo": Fate.FROM_POOL,
        "Aurelia": Fate.KEPT,
        "left": Fate.NOT_IN_POOL,
    }


def test_rules_of_the_user_come_before_the_pool(member: MemberFactory, places: LabelSet) -> None:
    rules = replace(decision_rules(), user=UserRules(never=frozenset({"Ann"})))
    pipeline = Pipeline([member("a", {})], places, None, rules).with_answers(pool_answers(DOCUMENT))
    result = pipeline.run(TEXT)
    assert labelled_spans(result) == [(9, 13, "LOC")]
    assert fates(result)["Ann"] is Fate.FORBIDDEN


def test_mentions_are_flat_unless_nesting_is_on(member: MemberFactory) -> None:
    text = "Bank of Oslo fell."
    nested = Document("bank", text, (mention_at(text, 0, 12, "ORG"), mention_at(text, 8, 12, "LOC")))
    for is_nested, count in ((False, 1), (True, 2)):
        labels = label_set({"ORG": "", "LOC": ""}, nested=is_nested)
        pipeline = Pipeline([member("a", {})], labels, None, decision_rules()).with_answers(pool_answers(nested))
        assert len(pipeline.run(text).mentions) == count


def test_errors_of_other_sentences_are_raised(member: MemberFactory, places: LabelSet) -> None:
    tiny = RecordingModel({}, context_size=5)
    pipeline = Pipeline([member("a", tiny)], places, None, decision_rules()).with_answers(pool_answers(DOCUMENT))
    assert pipeline.run(TEXT).mentions
    with pytest.raises(ModelError):
        pipeline.run("Ann left Bergen.")
