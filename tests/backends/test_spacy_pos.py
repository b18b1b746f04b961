"""Part-of-speech tags from spaCy, which a stand-in replaces here."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from entsemble.backends.spacy_pos import SpacyPosTagger, pos_tagger_for
from entsemble.retrieval.pos_heuristic import HeuristicPosTagger
from entsemble.types import Span


class ParsedText:
    """A parse in which the last word of a span is its head, and a word's tag is the word in capitals."""

    def __init__(self, text: str) -> None:
        self.text = text

    def char_span(self, start: int, end: int, alignment_mode: str) -> Any:
        assert alignment_mode == "expand"
        words = self.text[start:end].split()
        return SimpleNamespace(root=SimpleNamespace(pos_=words[-1].upper())) if words else None


def install_spacy(monkeypatch: pytest.MonkeyPatch, *pipelines: str) -> None:
    """Install a stand-in for spaCy with these pipelines."""
    spacy, util = ModuleType("spacy"), ModuleType("spacy.util")
    spacy.load = lambda name, exclude: ParsedText  # type: ignore[attr-defined]
    spacy.util = util  # type: ignore[attr-defined]
    util.get_installed_models = lambda: list(pipelines)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "spacy", spacy)
    monkeypatch.setitem(sys.modules, "spacy.util", util)


@pytest.mark.parametrize(("language", "pipeline"), [("de", "de_core_news_sm"), ("en", "en_core_web_sm")])
def test_the_pipeline_of_the_language_is_used(monkeypatch: pytest.MonkeyPatch, language: str, pipeline: str) -> None:
    install_spacy(monkeypatch, "de_core_news_sm", "en_core_web_sm")
    assert pos_tagger_for(language).name == f"spacy:{pipeline}"


@pytest.mark.parametrize("language", ["fr", "d"])
def test_a_language_without_a_pipeline_has_the_heuristic(monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    install_spacy(monkeypatch, "de_core_news_sm", "en_core_web_sm")
    assert isinstance(pos_tagger_for(language), HeuristicPosTagger)


def test_without_spacy_the_heuristic_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spacy", None)
    assert isinstance(pos_tagger_for("en"), HeuristicPosTagger)


def test_a_span_has_the_tag_of_its_head(monkeypatch: pytest.MonkeyPatch) -> None:
    install_spacy(monkeypatch, "en_core_web_sm")
    tagger = SpacyPosTagger("en_core_web_sm")
    assert tagger.tag_spans("big noun here  ", [Span(0, 8)]) == ["NOUN"]
    assert tagger.tag_spans("anything", []) == []


def test_a_span_without_a_token_is_tagged_x(monkeypatch: pytest.MonkeyPatch) -> None:
    install_spacy(monkeypatch, "en_core_web_sm")
    assert SpacyPosTagger("en_core_web_sm").tag_spans("big noun here  ", [Span(13, 15)]) == ["X"]
