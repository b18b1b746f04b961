from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from entsemble._lib.text import one_line
from entsemble.prompting.demonstration import build_demonstration
from entsemble.prompting.labels import label_set
from entsemble.types import NONE_LABEL, Document, LabelSet, Span, mention_at

LABELS = label_set({"PER": "", "LOC": "", "ORG": ""}, nested=True)


def annotated(text: str, *found: tuple[str, str], skip: int = 0) -> Document:
    return Document(
        "d", text, tuple(mention_at(text, at := text.index(s, skip), at + len(s), label) for s, label in found)
    )


@given(st.text())
def test_one_line_keeps_every_place(text: str) -> None:
    line = one_line(text)
    assert len(line) == len(text)
    assert len(line.splitlines()) <= 1
    assert all(a == b or (a.isspace() and b == " ") for a, b in zip(text, line, strict=True))


def test_a_demonstration_is_on_one_line() -> None:
    shown = build_demonstration(annotated("Ann\nLee went\r\nto Oslo", ("Ann\nLee", "PER"), ("Oslo", "LOC")), LABELS)
    assert shown.text == "Ann Lee went  to Oslo"
    assert shown.surfaces == ("Ann Lee", "Oslo")
    assert ("Ann Lee", "person") in shown.typed_surfaces
    assert shown.id == "d"


def test_a_repeated_mention_is_shown_once() -> None:
    text = "Oslo or Oslo"
    shown = build_demonstration(
        Document("d", text, (mention_at(text, 0, 4, "LOC"), mention_at(text, 8, 12, "LOC"))), LABELS
    )
    assert shown.surfaces == ("Oslo",)
    assert shown.typed_surfaces == (("Oslo", "location"),)


def test_nested_mentions_are_all_shown() -> None:
    shown = build_demonstration(annotated("The Bank of Oslo fell", ("Bank of Oslo", "ORG"), ("Oslo", "LOC")), LABELS)
    assert shown.surfaces == ("Bank of Oslo", "Oslo")
    assert dict(shown.typed_surfaces)["Oslo"] == "location"
    assert dict(shown.typed_surfaces)["Bank of Oslo"] == "organisation"


def test_types_come_in_the_order_of_the_surfaces() -> None:
    document = annotated("Oslo Bank and more", ("Oslo Bank", "ORG"), ("Oslo", "LOC"))
    shown = build_demonstration(document, LABELS, negatives=0)
    assert tuple(surface for surface, _ in shown.typed_surfaces) == shown.surfaces == ("Oslo Bank", "Oslo")


def test_a_sentence_without_mentions_teaches_to_find_none() -> None:
    shown = build_demonstration(Document("d", "It rained on Tuesday."), LABELS)
    assert shown.surfaces == ()
    assert shown.typed_surfaces == (("Tuesday", NONE_LABEL),)
    [check] = shown.checks
    assert check[0] == "Tuesday"
    assert check[2] is False


WORDS = ["Anna", "Oslo", "Bank of Oslo", "went", "Tuesday", "zur", "Oslo-based", "and", "北京大学"]


@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=8), st.integers(0, 3), st.data())
def test_negatives_and_checks(words: list[str], count: int, data: st.DataObject) -> None:
    text, spans, at = " ".join(words), [], 0
    for word in words:
        spans.append(Span(at, at + len(word)))
        at += len(word) + 1
    chosen = [s for s in spans if data.draw(st.booleans())]
    labels = LABELS.names
    mentions = tuple(mention_at(text, s.start, s.end, data.draw(st.sampled_from(labels))) for s in chosen)
    shown = build_demonstration(Document("d", text, mentions), LABELS, negatives=count)
    negatives = [surface for surface, label in shown.typed_surfaces if label == NONE_LABEL]
    assert len(negatives) <= count
    for word in negatives:
        assert word in text
        assert not any(word in m.text.split() for m in mentions)
        assert word not in shown.surfaces
    readable_names = {label.name: label.readable for label in LABELS}
    true_labels = {(m.text, readable_names[m.label]) for m in mentions}
    for surface, label, right in shown.checks:
        if right:
            assert (surface, label) in true_labels
        else:
            assert (surface, label) not in {x for x in shown.typed_surfaces if x[1] != NONE_LABEL}
            assert label in {x.readable for x in LABELS}
    assert len(shown.typed_surfaces) == len(shown.surfaces) + len(negatives)


def test_a_word_that_a_mention_is_part_of_is_no_negative() -> None:
    shown = build_demonstration(
        annotated("ein deutschlandweit geltendes Gesetz", ("deutschland", "LOC")), LABELS, negatives=9
    )
    assert "deutschlandweit" not in dict(shown.typed_surfaces)
    assert "geltendes" in dict(shown.typed_surfaces)


def test_one_label_alone_has_no_wrong_type_to_show() -> None:
    alone: LabelSet = label_set({"PER": ""})
    shown = build_demonstration(Document("d", "Ann", (mention_at("Ann", 0, 3, "PER"),)), alone)
    assert shown.checks == (("Ann", "person", True),)
