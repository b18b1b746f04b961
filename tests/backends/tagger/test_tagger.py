"""The sequence tagger: what it learns from annotated sentences, and what it does with other texts."""

from __future__ import annotations

import pytest

from entsemble.backends.tagger import SequenceTagger, train_tagger
from entsemble.types import Document, Span
from tests.factories import document, label_set

pytest.importorskip("pycrfsuite")

LABELS = label_set("person", "place")
NAMES, TOWNS = ("Ann Berg", "Bob Holm", "Cleo Dahl", "Dan Vik"), ("Oslo", "Rome", "Riga", "Lima")


def pool() -> list[Document]:
    return [
        document(f"Yesterday {name} travelled to {town} by train.", (name, "person"), (town, "place"))
        for name in NAMES
        for town in TOWNS
    ] + [document("It rained all day, and nobody travelled.")]


@pytest.fixture(scope="module")
def tagger() -> SequenceTagger:
    return train_tagger(pool(), LABELS.names)


def best_spans(tagger: SequenceTagger, text: str, minimum: float = 0.5) -> dict[str, str]:
    [scored] = tagger.score_spans([text], LABELS, minimum)
    return {s.span.slice(text): s.top_label for s in scored}


def test_context_and_shape_are_learned(tagger: SequenceTagger) -> None:
    text = "Yesterday Eve Moss travelled to Kiel by train."
    assert best_spans(tagger, text) == {"Eve Moss": "person", "Kiel": "place"}
    assert best_spans(tagger, "It rained all day.") == {}


def test_probabilities_of_overlapping_spans_add_up_to_one_at_most(tagger: SequenceTagger) -> None:
    text = "Yesterday Ann Berg travelled to Oslo by train."
    [scored] = tagger.score_spans([text], LABELS, 0.0)
    covering = [s for s in scored if s.span.overlaps(Span(10, 13))]
    assert sum(sum(s.probabilities.values()) for s in covering) <= 1 + 1e-6


def test_a_tagger_survives_being_stored(tagger: SequenceTagger) -> None:
    stored = SequenceTagger.from_bytes(tagger.to_bytes())
    assert stored.fingerprint == tagger.fingerprint
    assert best_spans(stored, "Yesterday Eve Moss travelled to Kiel by train.") != {}
    with pytest.raises(ValueError, match="not a sequence tagger"):
        SequenceTagger.from_bytes(b"PK\x05\x06" + bytes(18))


def test_labels_that_it_was_not_trained_on_have_no_probability(tagger: SequenceTagger) -> None:
    [scored] = tagger.score_spans(["Yesterday Ann Berg travelled."], label_set("place", "vessel"), 0.0)
    assert {s.probabilities["vessel"] for s in scored} == {0.0}


def test_texts_without_words_and_very_long_ones(tagger: SequenceTagger) -> None:
    long = "It rained all day. " * 200 + "Yesterday Ann Berg travelled to Oslo by train."
    empty, blank, scored = tagger.score_spans(["", " \n", long], LABELS, 0.5)
    assert (empty, blank) == ([], [])
    assert [s.span.slice(long) for s in scored] == ["Ann Berg", "Oslo"]


def test_words_of_any_script_and_odd_characters_are_features() -> None:
    odd = "\u2028x --> (0) 😀\u0301 北京 a:b"
    sentences = [document(f"{odd} Oslo {number}", ("Oslo", "place")) for number in range(12)]
    tagger = train_tagger(sentences, ["place"])
    [scored] = tagger.score_spans([f"{odd} Oslo 3"], label_set("place"), 0.5)
    assert [s.span.slice(f"{odd} Oslo 3") for s in scored] == ["Oslo"]


def test_mentions_within_mentions_are_learned_in_layers() -> None:
    towns = [
        f"{first}{last}" for first in ("Ber", "Lon", "Mil", "Par", "Tor") for last in ("gen", "don", "an", "is", "o")
    ]
    sentences = [
        document(f"The University of {town} opened.", (f"University of {town}", "org"), (town, "place"))
        for town in towns
    ]
    tagger = train_tagger(sentences, ["org", "place"])
    text = "The University of Kielo opened."
    [scored] = tagger.score_spans([text], label_set("org", "place", nested=True), 0.5)
    assert {s.span.slice(text): s.top_label for s in scored} == {"University of Kielo": "org", "Kielo": "place"}


def test_a_pool_without_mentions_gives_a_tagger_that_finds_none() -> None:
    tagger = train_tagger([document("It rained."), document("")], ["place"])
    assert tagger.score_spans(["It rained in Oslo."], label_set("place"), 0.5) == [[]]
