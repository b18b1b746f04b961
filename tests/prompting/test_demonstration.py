from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from entsemble.prompting.demonstration import build_demonstration
from entsemble.types import NONE_LABEL, Document, Mention
from tests.factories import document, label_set, mention

LABELS = label_set("PER", "LOC", "ORG", nested=True)
READABLE_NAMES = {label.name: label.readable for label in LABELS}


def test_a_demonstration_is_on_one_line() -> None:
    pool_sentence = document("Ann\nLee went\r\nto Oslo", ("Ann\nLee", "PER"), ("Oslo", "LOC"), id="p1")
    demonstration = build_demonstration(pool_sentence, LABELS)
    assert demonstration.id == "p1"
    assert demonstration.text == "Ann Lee went  to Oslo"
    assert demonstration.surfaces == ("Ann Lee", "Oslo")
    assert ("Ann Lee", "person") in demonstration.typed_surfaces


def test_a_repeated_mention_is_listed_once() -> None:
    text = "Oslo or Oslo"
    repeated = document(text, ("Oslo", "LOC"), mention(text, "Oslo", "LOC", start=8))
    demonstration = build_demonstration(repeated, LABELS)
    assert demonstration.surfaces == ("Oslo",)
    assert demonstration.typed_surfaces == (("Oslo", "location"),)


def test_nested_mentions_are_listed_with_their_own_types() -> None:
    demonstration = build_demonstration(
        document("The Bank of Oslo fell", ("Bank of Oslo", "ORG"), ("Oslo", "LOC")), LABELS
    )
    assert demonstration.surfaces == ("Bank of Oslo", "Oslo")
    types = dict(demonstration.typed_surfaces)
    assert (types["Bank of Oslo"], types["Oslo"]) == ("organisation", "location")


def test_types_are_in_the_order_of_the_surfaces() -> None:
    pool_sentence = document("Oslo Bank and more", ("Oslo Bank", "ORG"), ("Oslo", "LOC"))
    demonstration = build_demonstration(pool_sentence, LABELS, negatives=0)
    assert tuple(surface for surface, _ in demonstration.typed_surfaces) == ("Oslo Bank", "Oslo")
    assert demonstration.surfaces == ("Oslo Bank", "Oslo")


def test_a_sentence_without_mentions_has_a_negative_and_a_wrong_check() -> None:
    demonstration = build_demonstration(document("It rained on Tuesday."), LABELS)
    assert demonstration.surfaces == ()
    assert demonstration.typed_surfaces == (("Tuesday", NONE_LABEL),)
    [(surface, _, is_right)] = demonstration.checks
    assert (surface, is_right) == ("Tuesday", False)


def test_a_word_that_overlaps_a_mention_is_not_a_negative() -> None:
    pool_sentence = document("ein deutschlandweit geltendes Gesetz", ("deutschland", "LOC"))
    types = dict(build_demonstration(pool_sentence, LABELS, negatives=9).typed_surfaces)
    assert "deutschlandweit" not in types
    assert "geltendes" in types


def test_a_single_label_has_a_wrong_check_only_if_there_is_a_negative() -> None:
    demonstration = build_demonstration(document("Ann", ("Ann", "PER")), label_set("PER"))
    assert demonstration.checks == (("Ann", "person", True),)
    demonstration = build_demonstration(document("Ann was sleeping", ("Ann", "PER")), label_set("PER"))
    assert ("sleeping", "person", False) in demonstration.checks


def test_half_of_the_checks_are_wrong_types_and_either_answer_may_come_first() -> None:
    """If "yes" always came first, and "no" only for words that are no names, a verifier would not check types."""
    checks = [
        build_demonstration(document("Ann saw Oslo", ("Ann", "PER"), ("Oslo", "LOC"), id=f"{number}"), LABELS).checks
        for number in range(200)
    ]
    assert all({is_right for *_, is_right in pair} == {True, False} for pair in checks)
    assert 60 < sum(pair[0][2] for pair in checks) < 140
    wrong = [(surface, label) for pair in checks for surface, label, is_right in pair if not is_right]
    assert {*wrong} == {
        ("Ann", "location"),
        ("Ann", "organisation"),
        ("Oslo", "person"),
        ("Oslo", "organisation"),
    }


def test_a_label_that_a_name_also_has_is_no_wrong_check() -> None:
    text = "Paris in Paris"
    twice = document(text, ("Paris", "PER"), mention(text, "Paris", "LOC", start=9))
    for number in range(20):
        checks = build_demonstration(replace(twice, id=str(number)), LABELS).checks
        assert ("Paris", "organisation", False) in checks


def test_checks_depend_on_the_id_alone() -> None:
    first, again = (
        build_demonstration(document("Ann saw Oslo", ("Ann", "PER"), ("Oslo", "LOC"), id="a"), LABELS) for _ in "ab"
    )
    assert first == again


WORDS = ["Anna", "Oslo", "Bank of Oslo", "went", "Tuesday", "zur", "Oslo-based", "and", "北京大学"]


@st.composite
def annotated_documents(draw: st.DrawFn) -> Document:
    words: Sequence[str] = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=8))
    mentions: list[Mention] = []
    start = 0
    for word in words:
        label = draw(st.sampled_from([None, *LABELS.names]))
        if label is not None:
            mentions.append(Mention(start, start + len(word), label, word))
        start += len(word) + 1
    return Document("d", " ".join(words), tuple(mentions))


@given(annotated_documents(), st.integers(0, 3))
def test_negatives_are_words_of_the_text_outside_all_mentions(pool_sentence: Document, count: int) -> None:
    demonstration = build_demonstration(pool_sentence, LABELS, negatives=count)
    negatives = [surface for surface, name in demonstration.typed_surfaces if name == NONE_LABEL]
    assert len(negatives) <= count
    assert len(demonstration.typed_surfaces) == len(demonstration.surfaces) + len(negatives)
    for word in negatives:
        assert word in pool_sentence.text
        assert word not in demonstration.surfaces
        assert not any(word in gold.text.split() for gold in pool_sentence.mentions)


@given(annotated_documents(), st.integers(0, 3))
def test_right_checks_are_gold_and_wrong_checks_are_not(pool_sentence: Document, count: int) -> None:
    demonstration = build_demonstration(pool_sentence, LABELS, negatives=count)
    gold = {(one.text, READABLE_NAMES[one.label]) for one in pool_sentence.mentions}
    for surface, name, is_right in demonstration.checks:
        assert name in READABLE_NAMES.values()
        if is_right:
            assert (surface, name) in gold
        else:
            assert (surface, name) not in demonstration.typed_surfaces
