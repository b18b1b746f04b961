"""A span scorer as a voice: what it proposes, and how it votes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pytest

from entsemble.ner.pipeline import Pipeline
from entsemble.types import NONE_LABEL, LabelSet, ScoredSpan, Span
from entsemble.voices.span_voice import SpanVoice, normalized_log_probabilities
from entsemble.voting.candidates import Candidate
from tests.factories import label_set
from tests.ner.ner_factories import decision_rules

LABELS = label_set("person", "place")


class TableScorer:
    """Scores the surfaces of a table, at every occurrence."""

    name, fingerprint, parameters = "table", "table:1", 7

    def __init__(self, table: Mapping[str, Mapping[str, float]]) -> None:
        self.table, self.calls = table, 0

    def score_spans(self, texts: Sequence[str], labels: LabelSet, minimum: float) -> list[list[ScoredSpan]]:
        self.calls += 1
        return [
            [
                ScoredSpan(Span(start, start + len(surface)), probabilities)
                for surface, probabilities in self.table.items()
                for start in range(len(text))
                if text.startswith(surface, start) and max(probabilities.values()) >= minimum
            ]
            for text in texts
        ]

    def close(self) -> None:
        pass


ANN = {"person": 0.9, "place": 0.1}
OSLO = {"person": 0.05, "place": 0.8}
TOWN = {"person": 0.0, "place": 0.5}


def test_of_overlapping_spans_the_more_probable_is_proposed() -> None:
    voice = SpanVoice(TableScorer({"Ann": ANN, "Oslo": OSLO, "Oslo Town": TOWN}), LABELS, kind="reader", minimum=0.3)
    proposed = voice.propose("Ann left Oslo Town.", [Candidate("Ann", ("model",))])
    assert proposed == [Candidate("Ann", ("model", "table")), Candidate("Oslo", ("table",))]


def test_it_votes_on_candidates_of_others_and_rejects_what_it_does_not_know() -> None:
    text = "Ann left Oslo on Monday."
    voice = SpanVoice(TableScorer({"Ann": ANN, "Oslo": OSLO}), LABELS, kind="reader", minimum=0.85)
    candidates = voice.propose(text, [Candidate("Oslo", ("model",)), Candidate("Monday", ("model",))])
    ann, oslo, monday = voice.ballots(text, candidates)
    assert ann is not None
    assert (ann.top_label, ann.is_proposer) == ("person", True)
    assert oslo is not None
    assert (oslo.top_label, oslo.is_proposer) == ("place", False)
    assert monday is not None
    assert monday.top_label == NONE_LABEL


def test_a_span_within_a_longer_word_is_not_proposed() -> None:
    text = "Annette left Oslo."
    scorer = TableScorer({"Ann": ANN, "Oslo": OSLO})
    voice = SpanVoice(scorer, LABELS, kind="reader", minimum=0.3)
    assert voice.propose(text, []) == [Candidate("Oslo", ("table",))]


def test_a_sentence_is_scored_once() -> None:
    scorer = TableScorer({"Ann": ANN})
    voice = SpanVoice(scorer, LABELS, kind="reader", minimum=0.3)
    voice.ballots("Ann left.", voice.propose("Ann left.", []))
    assert scorer.calls == 1


@pytest.mark.parametrize("probabilities", [{"a": 0.0}, {"a": 1.0, "b": 1.0}, {"a": 0.3, "b": 0.2, "c": 0.0}])
def test_ballots_are_distributions_in_which_the_best_label_keeps_its_probability(
    probabilities: dict[str, float],
) -> None:
    shares = {label: math.exp(value) for label, value in normalized_log_probabilities(probabilities).items()}
    assert sum(shares.values()) == pytest.approx(1)
    best = max(probabilities, key=lambda label: probabilities[label])
    assert shares[best] == pytest.approx(min(max(probabilities[best], 1e-4), 1 - 1e-4))


def test_a_pipeline_without_members_answers_by_its_voices() -> None:
    left = {"person": 0.25, "place": 0.1}
    voice = SpanVoice(TableScorer({"Ann": ANN, "Oslo": OSLO, "left": left}), LABELS, kind="reader", minimum=0.2)
    result = Pipeline([], LABELS, None, decision_rules(threshold=0.4), [voice]).run("Ann left Oslo. Ann is back.")
    assert [(m.start, m.text, m.label, m.votes) for m in result.mentions] == [
        (0, "Ann", "person", {"table": "person"}),
        (9, "Oslo", "place", {"table": "place"}),
        (15, "Ann", "person", {"table": "person"}),
    ]
    assert {entry.surface: entry.fate.value for entry in result.ledger}["left"] == "below the threshold"
