"""What is shown of the pool: how many examples, how long, and which."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from entsemble.assembly import Assembly
from entsemble.data.formats import write
from entsemble.ner.documents import Extracted
from entsemble.ner.stages.retrieve import DemonstrationLimits
from entsemble.settings import environment, load
from entsemble.types import Document
from tests.factories import document, sentence


def make_assembly(tmp_path: Path, **pool: Any) -> Assembly:
    settings = load(preset="balanced", overrides={"pool": pool})
    return Assembly(settings, environment({"ENTSEMBLE_CACHE": str(tmp_path / "cache")}))


@pytest.mark.usefixtures("scripted")
def test_limits_of_the_settings_reach_the_pipeline(tmp_path: Path, pool_file: Path) -> None:
    with make_assembly(tmp_path, path=pool_file, shots=3, max_characters=40, max_empty_share=0.5) as assembly:
        extractor = assembly.extractor()
        assert extractor.pipeline.rules.demonstration_limits == DemonstrationLimits(3, 40, 0.5)
        [result] = extractor.extract([Document("d", "Ann left Oslo.")])
    assert isinstance(result, Extracted)
    assert [len(ids) for ids in result.demonstration_ids] == [1]


@pytest.mark.parametrize(("mean_length", "expected"), [(10, 240), (200, 600)])
def test_by_default_characters_follow_the_mean_length_of_the_pool(
    tmp_path: Path, mean_length: int, expected: int
) -> None:
    documents = [Document("a", "x" * (mean_length - 5)), Document("b", "x" * (mean_length + 5))]
    with make_assembly(tmp_path, shots=3) as assembly:
        assert assembly.pool.demonstration_limits(documents) == DemonstrationLimits(3, expected, 0.25)


@pytest.mark.usefixtures("scripted")
def test_a_sentence_is_not_shown_a_pool_text_that_contains_it(tmp_path: Path) -> None:
    containing = document("Ann Berg. Lee saw Oslo.", ("Ann Berg. Lee", "person"), id="containing")
    path = tmp_path / "pool.jsonl"
    write([containing, document("Lee saw Rome.", id="other")], path)
    with make_assembly(tmp_path, path=path, shots=2, max_empty_share=1.0) as assembly:
        [result] = assembly.extractor().extract([Document("d", "Lee saw Oslo.")])
    assert isinstance(result, Extracted)
    assert result.demonstration_ids == (("other",),)


@pytest.mark.usefixtures("scripted")
def test_a_sentence_is_answered_from_the_pool_unless_it_is_scored(tmp_path: Path) -> None:
    """The annotation says what no model would: that `slept` is a person."""
    pool = [sentence("Nobody slept.", ("slept", "person")), sentence("Ann left Oslo.", ("Oslo", "location"))]
    text = Document("d", "Nobody slept. Ann  left Oslo.")
    settings = load(preset="balanced", overrides={"classification": {"vote": "soft"}})
    folders = environment({"ENTSEMBLE_CACHE": str(tmp_path / "cache")})
    answers = []
    for held_out in ((), [Document("scored", "Nobody  SLEPT. It rained.")], [text]):
        with Assembly(settings, folders, examples=pool, held_out=held_out) as assembly:
            [result] = assembly.extractor().extract([text])
        assert isinstance(result, Extracted)
        answers.append([(mention.text, mention.label) for mention in result.document.mentions])
    members_answer = [("Ann", "person"), ("Oslo", "location")]
    assert answers == [
        [("slept", "person"), ("Oslo", "location")],
        [("Oslo", "location")],
        members_answer,
    ]


@pytest.mark.usefixtures("scripted")
def test_the_scorer_is_trained_without_answers_from_the_pool(tmp_path: Path, pool_file: Path) -> None:
    with make_assembly(tmp_path, path=pool_file) as assembly:
        documents = assembly.pool.documents()
        pipeline = assembly.extractor().pipeline
        assert pipeline.answers is not None
        voices = assembly.voices(documents, pipeline.labels, pipeline.rules)
        indices = range(len(documents))
        training = assembly.training_sentences(pipeline, documents, indices, voices, with_capitalised=True)
        assert {one.pipeline.answers for one in training.iterate()} == {None}


@pytest.mark.usefixtures("scripted")
@pytest.mark.parametrize(("similarity", "tagger"), [("sentence", "surface-1"), ("span", "spacy")])
def test_spacy_is_loaded_only_if_spans_are_weighed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, similarity: str, tagger: str
) -> None:
    monkeypatch.setattr("entsemble.assembly.example_pool.pos_tagger_for", lambda _: SimpleNamespace(name="spacy"))
    path = tmp_path / "pool.jsonl"
    write([sentence(f"Ann left Oslo {number} times.", ("Ann", "person")) for number in range(3)], path)
    with make_assembly(tmp_path, path=path, similarity=similarity) as assembly:
        index = assembly.extractor().pipeline.pool
    assert index is not None
    assert index.pos_tagger.name == tagger
