from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entsemble.experts.examples import (
    PromptVariation,
    TextPiece,
    label_paraphrases,
    label_vocabulary,
    sample_negatives,
    training_example,
)
from entsemble.prompting.template import load_template
from entsemble.types import NONE_LABEL, Document, mention_at

SHAPE = load_template("ner-1")
TEXT = "Ann Lee of Acme met Bob in Oslo near the Acme office."
MENTIONS = ((0, 7, "PER"), (11, 15, "ORG"), (20, 23, "PER"), (27, 31, "LOC"), (41, 45, "ORG"))
DOCUMENT = Document("d", TEXT, tuple(mention_at(TEXT, *m) for m in MENTIONS))
PLAIN = PromptVariation(
    max_absent_labels=0, omission_probability=0, paraphrase_probability=0, definition_probability=0, max_negatives=0
)


def whole(pieces: tuple[TextPiece, ...]) -> str:
    return "".join(p.text for p in pieces)


def learnt(pieces: tuple[TextPiece, ...]) -> list[str]:
    return [p.text for p in pieces if p.is_target]


def test_it_is_the_prompt_shape_of_the_ensemble() -> None:
    pieces = training_example(DOCUMENT, (), SHAPE, PLAIN, random.Random(0))
    header, rest = whole(pieces).split("\n\n")
    assert header.startswith("Named entity recognition. Entity types: ")
    assert set(header.removeprefix("Named entity recognition. Entity types: ").rstrip(".").split(", ")) == {
        "person",
        "organisation",
        "location",
    }
    assert rest == (
        f"Text: {TEXT}\nEntities: Ann Lee | Acme | Bob | Oslo\n"
        "Types: Ann Lee = person; Acme = organisation; Bob = person; Oslo = location;"
    )
    assert learnt(pieces) == [
        " Ann Lee | Acme | Bob | Oslo\nTypes:",
        *(" person;", " organisation;", " person;", " location;"),
    ]


def test_a_sentence_without_mentions_says_none() -> None:
    pieces = training_example(Document("d", "Nothing here."), ("PER",), SHAPE, PLAIN, random.Random(0))
    assert learnt(pieces) == [" none\n"]


def test_nested_mentions_are_all_listed() -> None:
    text = "the University of Oslo"
    nested = Document("d", text, (mention_at(text, 4, 22, "ORG"), mention_at(text, 18, 22, "LOC")))
    pieces = training_example(nested, (), SHAPE, PLAIN, random.Random(0))
    assert learnt(pieces)[0] == " University of Oslo | Oslo\nTypes:"


def test_what_is_not_asked_for_is_not_listed() -> None:
    pieces = training_example(
        DOCUMENT,
        ("DATE",),
        SHAPE,
        PromptVariation(1, omission_probability=1, paraphrase_probability=0, definition_probability=0, max_negatives=0),
        random.Random(0),
    )
    assert "Entity types: date." in whole(pieces)
    assert learnt(pieces) == [" none\n"]


@given(st.integers(0, 10_000))
def test_every_example_holds_together(seed: int) -> None:
    pieces = training_example(
        DOCUMENT, ("PER", "ORG", "LOC", "disease", "MISC", "works"), SHAPE, PromptVariation(), random.Random(seed)
    )
    assert pieces == training_example(
        DOCUMENT, ("PER", "ORG", "LOC", "disease", "MISC", "works"), SHAPE, PromptVariation(), random.Random(seed)
    )
    text = whole(pieces)
    labels = text.partition("Entity types: ")[2].partition(".\n\n")[0]
    for answer in learnt(pieces)[1:]:
        word = answer.strip(" ;")
        assert word == NONE_LABEL or word in labels
    listed = [s.strip() for s in learnt(pieces)[0].removesuffix(SHAPE.types).strip().split("|")]
    assert listed == ["none"] or all(surface in TEXT for surface in listed)
    typed = {q.text.strip(" =") for q in pieces[2::2]}
    assert len(typed) == len(pieces[2::2])
    assert listed == ["none"] or typed >= set(listed)


@given(st.integers(0, 10_000))
def test_negatives_are_no_mentions(seed: int) -> None:
    found = sample_negatives(DOCUMENT, 5, random.Random(seed))
    gold = {m.text for m in DOCUMENT.mentions}
    assert all(surface not in gold and TEXT[place:].startswith(surface) for place, surface in found)


def test_negatives_are_hard_and_easy_ones() -> None:
    drawn = {s for seed in range(300) for _, s in sample_negatives(DOCUMENT, 3, random.Random(seed))}
    assert {"Ann", "Lee", "met", "Acme office", "Lee of Acme"} & drawn >= {"Ann", "Lee", "met"}


def test_a_text_without_words_has_none() -> None:
    assert sample_negatives(Document("d", "?!"), 3, random.Random(0)) == []


@pytest.mark.parametrize("usual", sorted(label_paraphrases()))
def test_wordings_are_words_and_definitions(usual: str) -> None:
    known = label_paraphrases()[usual]
    assert known.keys() - {"within"} == {"words", "definitions"}
    assert usual in known["words"]
    assert len(set(known["words"])) == len(known["words"])
    assert all(known["definitions"])


def test_absent_labels_are_absent() -> None:
    assert label_vocabulary(["PER", "LOC", "ORG", "MISC"]) == ["PER", "LOC", "ORG", "MISC"]
    few = label_vocabulary(["PER", "ORG"])
    assert few[:2] == ["PER", "ORG"]
    assert not {"person", "organisation", "politician", "university", "other"} & set(few)
    assert {"disease", "award", "city"} <= set(few)
    assert "cancer" not in label_vocabulary(["Disease"])
