"""A model with labels of its own as a scorer of spans."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from entsemble._lib.text import whole_words
from entsemble.protocols import SpanScorer, SpanTagger
from entsemble.types import ScoredSpan, Span
from entsemble.voices.mapped_tagger import MappedTagger
from entsemble.voices.span_voice import SpanVoice
from entsemble.voting.candidates import Candidate
from tests.factories import label_set

LABELS = label_set("person", "place")


class FixedTagger:
    name, fingerprint, parameters, labels, is_exhaustive = "fixed", "fixed:1", 3, ("PER", "GPE", "LOC", "DATE"), True

    def __init__(self, *spans: tuple[int, int, dict[str, float]]) -> None:
        self.spans = [ScoredSpan(Span(start, end), probabilities) for start, end, probabilities in spans]

    def tag(self, texts: Sequence[str]) -> list[list[ScoredSpan]]:
        return [self.spans for _ in texts]

    def close(self) -> None:
        pass


MAPPING = {"PER": "person", "GPE": "place", "LOC": "place"}


def test_labels_are_translated_and_the_more_probable_of_equals_counts() -> None:
    tagger = FixedTagger((0, 3, {"PER": 0.6}), (9, 13, {"GPE": 0.5, "LOC": 0.3, "PER": 0.1}), (17, 23, {"DATE": 0.9}))
    mapped = MappedTagger(tagger, MAPPING)
    assert isinstance(tagger, SpanTagger)
    assert isinstance(mapped, SpanScorer)
    [spans] = mapped.score_spans(["Ann left Oslo on Monday."], LABELS, 0.2)
    assert [(span.span, span.probabilities) for span in spans] == [
        (Span(0, 3), {"person": 0.6, "place": 0.0}),
        (Span(9, 13), {"person": 0.1, "place": 0.5}),
    ]
    assert mapped.fingerprint != MappedTagger(tagger, {"PER": "person"}).fingerprint


@pytest.mark.parametrize(
    ("span", "expected"), [((0, 4), "Ann"), ((3, 9), "left"), ((4, 6), "left"), ((9, 14), "Oslo."), ((3, 4), None)]
)
def test_spans_are_made_of_whole_words(span: tuple[int, int], expected: str | None) -> None:
    text = "Ann left Oslo."
    whole = whole_words(text, Span(*span))
    assert (whole and whole.slice(text)) == expected


def test_a_voice_that_does_not_know_all_labels_abstains_if_others_vote() -> None:
    scorer = MappedTagger(FixedTagger((0, 3, {"PER": 0.6})), MAPPING)
    voice = SpanVoice(
        scorer, LABELS, kind="spacy", minimum=0.2, name="v", abstains=lambda candidate: "m" in candidate.proposers
    )
    ann, oslo, left = voice.ballots(
        "Ann left Oslo.", [Candidate("Ann", ("m",)), Candidate("Oslo", ("m",)), Candidate("left", ("other",))]
    )
    assert ann is not None
    assert (ann.voter, ann.top_label) == ("v", "person")
    assert oslo is None
    assert left is not None
    assert left.top_label == "none"
