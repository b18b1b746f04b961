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
DOCUMENT = Document("d", TEXT, tuple(mention_at(TEXT, *mention) for mention in MENTIONS))
PLAIN = PromptVariation(
    max_absent_labels=0, omission_probability=0, paraphrase_probability=0, definition_probability=0, max_negatives=0
)


def full_text(pieces: tuple[TextPiece, ...]) -> str:
    return "".join(piece.text for piece in pieces)


def targets(pieces: tuple[TextPiece, ...]) -> list[str]:
    return [piece.text for piece in pieces if piece.is_target]


def test_an_example_is_a_prompt_with_its_completion() -> None:
    pieces = training_example(DOCUMENT, (), SHAPE, PLAIN, random.Random(0))
    header, rest = full_text(pieces).split("\n\n")
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
    assert targets(pieces) == [
        " Ann Lee | Acme | Bob | Oslo\nTypes:",
        *(" person;", " organisation;", " person;", " location;"),
    ]


def test_a_sentence_without_mentions_has_the_completion_none() -> None:
    pieces = training_example(Document("d", "Nothing here."), ("PER",), SHAPE, PLAIN, random.Random(0))
    assert targets(pieces) == [" none\n"]


def test_nested_mentions_are_all_listed() -> None:
    text = "the University of Oslo"
    nested = Document("d", text, (mention_at(text, 4, 22, "ORG"), mention_at(text, 18, 22, "LOC")))
    pieces = training_example(nested, (), SHAPE, PLAIN, random.Random(0))
    assert targets(pieces)[0] == " University of Oslo | Oslo\nTypes:"


def test_mentions_of_omitted_labels_are_not_listed() -> None:
    pieces = training_example(
        DOCUMENT,
        ("DATE",),
        SHAPE,
        PromptVariation(1, omission_probability=1, paraphrase_probability=0, definition_probability=0, max_negatives=0),
        random.Random(0),
    )
    assert "Entity types: date." in full_text(pieces)
    assert targets(pieces) == [" none\n"]


@given(st.integers(0, 10_000))
def test_random_examples_are_deterministic_and_consistent(seed: int) -> None:
    pieces = training_example(
        DOCUMENT, ("PER", "ORG", "LOC", "disease", "MISC", "works"), SHAPE, PromptVariation(), random.Random(seed)
    )
    assert pieces == training_example(
        DOCUMENT, ("PER", "ORG", "LOC", "disease", "MISC", "works"), SHAPE, PromptVariation(), random.Random(seed)
    )
    text = full_text(pieces)
    labels = text.partition("Entity types: ")[2].partition(".\n\n")[0]
    for completion in targets(pieces)[1:]:
        label = completion.strip(" ;")
        assert label == NONE_LABEL or label in labels
    listed = [surface.strip() for surface in targets(pieces)[0].removesuffix(SHAPE.types).strip().split("|")]
    assert listed == ["none"] or all(surface in TEXT for surface in listed)
    questions = {piece.text.strip(" =") for piece in pieces[2::2]}
    assert len(questions) == len(pieces[2::2])
    assert listed == ["none"] or questions >= set(listed)


@given(st.integers(0, 10_000))
def test_negatives_are_not_mentions(seed: int) -> None:
    negatives = sample_negatives(DOCUMENT, 5, random.Random(seed))
    gold = {mention.text for mention in DOCUMENT.mentions}
    assert all(surface not in gold and TEXT[start:].startswith(surface) for start, surface in negatives)


def test_negatives_are_parts_and_extensions_of_mentions_and_other_words() -> None:
    surfaces = {surface for seed in range(300) for _, surface in sample_negatives(DOCUMENT, 3, random.Random(seed))}
    assert {"Ann", "Lee", "met", "Acme office", "Lee of Acme"} & surfaces >= {"Ann", "Lee", "met"}


def test_a_text_without_words_has_no_negatives() -> None:
    assert sample_negatives(Document("d", "?!"), 3, random.Random(0)) == []


@pytest.mark.parametrize("label", sorted(label_paraphrases()))
def test_each_label_has_paraphrases_and_definitions(label: str) -> None:
    entry = label_paraphrases()[label]
    assert entry.keys() - {"within"} == {"words", "definitions"}
    assert label in entry["words"]
    assert len(set(entry["words"])) == len(entry["words"])
    assert all(entry["definitions"])


def test_the_vocabulary_of_few_labels_is_extended_by_labels_that_they_do_not_cover() -> None:
    assert label_vocabulary(["PER", "LOC", "ORG", "MISC"]) == ["PER", "LOC", "ORG", "MISC"]
    vocabulary = label_vocabulary(["PER", "ORG"])
    assert vocabulary[:2] == ["PER", "ORG"]
    assert not {"person", "organisation", "politician", "university", "other"} & set(vocabulary)
    assert {"disease", "award", "city"} <= set(vocabulary)
    assert "cancer" not in label_vocabulary(["Disease"])
