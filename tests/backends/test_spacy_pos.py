from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from entsemble.backends.spacy_pos import SpacyPosTagger, pos_tagger_for
from entsemble.retrieval.pos_heuristic import HeuristicPosTagger
from entsemble.types import Span


def install(monkeypatch: pytest.MonkeyPatch, *pipelines: str) -> None:
    """A stand-in for spaCy with these pipelines."""

    class Parsed:
        def __init__(self, text: str) -> None:
            self.text = text

        def char_span(self, start: int, end: int, alignment_mode: str) -> Any:
            assert alignment_mode == "expand"
            words = self.text[start:end].split()
            return SimpleNamespace(root=SimpleNamespace(pos_=words[-1].upper())) if words else None

    spacy, util = ModuleType("spacy"), ModuleType("spacy.util")
    spacy.load = lambda name, exclude: Parsed  # type: ignore[attr-defined]
    spacy.util = util  # type: ignore[attr-defined]
    util.get_installed_models = lambda: list(pipelines)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "spacy", spacy)
    monkeypatch.setitem(sys.modules, "spacy.util", util)


def test_the_language_s_pipeline_is_taken_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "de_core_news_sm", "en_core_web_sm")
    assert pos_tagger_for("de").name == "spacy:de_core_news_sm"
    assert pos_tagger_for("en").name == "spacy:en_core_web_sm"
    assert isinstance(pos_tagger_for("fr"), HeuristicPosTagger)
    assert isinstance(pos_tagger_for("d"), HeuristicPosTagger)


def test_without_spacy_the_look_of_the_words_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spacy", None)
    assert isinstance(pos_tagger_for("en"), HeuristicPosTagger)


def test_the_head_of_a_span_is_its_tag(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "en_core_web_sm")
    tagger = SpacyPosTagger("en_core_web_sm")
    assert tagger.tag_spans("big noun here  ", [Span(0, 8), Span(13, 15)]) == ["NOUN", "X"]
    assert tagger.tag_spans("anything", []) == []
