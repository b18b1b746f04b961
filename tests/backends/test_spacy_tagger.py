"""Entities of spaCy pipelines that the tests make."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from entsemble.backends.spacy_tagger import SpacyTagger, locate_pipeline
from entsemble.errors import ConfigError, MissingExtraError, ModelUnavailableError
from entsemble.types import ScoredSpan, Span

spacy = pytest.importorskip("spacy")


def save_ruler(folder: Path, component: str = "entity_ruler") -> Path:
    """A pipeline whose rules know Ann and Oslo."""
    pipeline = spacy.blank("en")
    ruler = pipeline.add_pipe(component)
    ruler.add_patterns([{"label": "PERSON", "pattern": "Ann"}, {"label": "GPE", "pattern": "Oslo"}])
    folder.parent.mkdir(exist_ok=True)
    pipeline.to_disk(folder)
    return folder


def load(folder: Path) -> SpacyTagger:
    return SpacyTagger("small", folder, "0")


@pytest.mark.parametrize("component", ["entity_ruler", "span_ruler"])
def test_entities_and_span_groups_are_tagged(tmp_path: Path, component: str) -> None:
    tagger = load(save_ruler(tmp_path / "p", component))
    assert tagger.labels == ("GPE", "PERSON")
    texts = ["Ann left Oslo.", "", "It rained."]
    ann, oslo = ScoredSpan(Span(0, 3), {"PERSON": 0.7}), ScoredSpan(Span(9, 13), {"GPE": 0.7})
    assert tagger.tag(texts) == [[ann, oslo], [], []]


def test_scores_of_a_span_categorizer_are_probabilities(tmp_path: Path) -> None:
    pipeline = spacy.blank("en")
    categorizer = pipeline.add_pipe("spancat", config={"threshold": 0.0})
    categorizer.add_label("PERSON")
    pipeline.initialize()
    pipeline.to_disk(tmp_path / "p")
    [spans] = load(tmp_path / "p").tag(["Ann left."])
    assert len(spans) > 1
    assert all(0 < span.score < 1 and span.score != 0.7 for span in spans)


def test_a_trained_pipeline_runs_only_what_finds_entities_and_knows_its_size(tmp_path: Path) -> None:
    pipeline = spacy.blank("en")
    pipeline.add_pipe("tagger").add_label("NOUN")
    pipeline.add_pipe("ner").add_label("PERSON")
    pipeline.initialize()
    pipeline.to_disk(tmp_path / "p")
    tagger = load(tmp_path / "p")
    assert tagger.labels == ("PERSON",)
    assert tagger.parameters > 1000
    assert tagger._pipeline.pipe_names == ["ner"]


def test_a_package_s_folder_holds_the_pipeline_s(tmp_path: Path) -> None:
    save_ruler(tmp_path / "package" / "en_small-1.0.0")
    assert load(tmp_path / "package").labels == ("GPE", "PERSON")


def test_pipelines_that_cannot_be_voices_are_refused(tmp_path: Path) -> None:
    spacy.blank("en").to_disk(tmp_path / "blank")
    with pytest.raises(ConfigError, match=r"blank finds no entities; its components: none"):
        load(tmp_path / "blank")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "config.cfg").write_text("[")
    with pytest.raises(ModelUnavailableError, match=r"cannot load the spaCy pipeline .*damaged"):
        load(tmp_path / "damaged")
    with pytest.raises(ModelUnavailableError, match=r"no spaCy pipeline 'xx_absent' .*spacy download xx_absent"):
        locate_pipeline("xx_absent")


def test_without_spacy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(MissingExtraError, match=r"spacy:x needs the package 'spacy'; .*entsemble\[spacy\]"):
        locate_pipeline("x")
