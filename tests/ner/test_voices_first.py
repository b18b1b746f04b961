"""Where voices answer first, members are asked only about what the voices leave open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from entsemble.ner.pipeline import Pipeline
from entsemble.types import LabelSet, Span
from entsemble.voices.span_voice import SpanVoice
from tests.ner.ner_factories import FixedScorer, RecordingModel, decision_rules, labelled_spans, member_with
from tests.voices.test_span_voice import TableScorer

TEXT = "Ann left Oslo for Bergen"
ANN, OSLO, BERGEN = Span(0, 3), Span(9, 13), Span(18, 24)
TABLE = {"Ann": {"PER": 0.9, "LOC": 0.1}, "Oslo": {"PER": 0.1, "LOC": 0.6}}


def ensemble(
    model: RecordingModel, places: LabelSet, scores: Mapping[Span, tuple[str, float]], effort: float | None
) -> Pipeline:
    voice = SpanVoice(TableScorer(TABLE), places, kind="reader", minimum=0.05)
    rules = replace(decision_rules(), effort=effort)
    return Pipeline([member_with(model)], places, None, rules, [voice], scorer=FixedScorer(scores))


def questions(model: RecordingModel) -> set[str]:
    """The surfaces whose type the model was asked for."""
    return {
        surface for surface in ("Ann", "Oslo", "Bergen") for prompt in model.prompts if prompt.endswith(f"{surface} =")
    }


@pytest.mark.parametrize("effort", [0.0, 0.5, 0.8])
def test_a_settled_sentence_is_put_to_no_member(places: LabelSet, effort: float) -> None:
    model = RecordingModel({"Oslo": "location"})
    result = ensemble(model, places, {ANN: ("PER", 0.95), OSLO: ("LOC", 0.05)}, effort).run(TEXT)
    assert (model.prompts, result.costs) == ([], ())
    assert labelled_spans(result) == [(0, 3, "PER")]
    assert result.candidate_spans == (ANN, OSLO)


def test_members_are_asked_about_open_candidates_and_their_own(places: LabelSet) -> None:
    model = RecordingModel({"Bergen": "location"})
    scores = {ANN: ("PER", 0.97), OSLO: ("LOC", 0.6), BERGEN: ("LOC", 0.7)}
    result = ensemble(model, places, scores, 0.5).run(TEXT)
    assert questions(model) == {"Oslo", "Bergen"}
    assert labelled_spans(result) == [(0, 3, "PER"), (9, 13, "LOC"), (18, 24, "LOC")]
    voters = {span: {ballot.voter for ballot in verdict.ballots} for span, verdict in result.verdicts.items()}
    assert voters == {ANN: {"table"}, OSLO: {"recording", "table"}, BERGEN: {"recording", "table"}}


@pytest.mark.parametrize("effort", [1.0, None])
def test_all_candidates_are_put_to_members(places: LabelSet, effort: float | None) -> None:
    model = RecordingModel({})
    ensemble(model, places, {ANN: ("PER", 1.0), OSLO: ("LOC", 0.0)}, effort).run(TEXT)
    assert questions(model) == {"Ann", "Oslo"}
