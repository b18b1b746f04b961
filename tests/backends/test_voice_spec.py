"""Names of voices' models."""

from __future__ import annotations

import pytest

from entsemble.backends.voice_spec import parse_voice
from entsemble.errors import ConfigError, UnknownNameError


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("label-reader", "reader", "label-reader"),
        ("reader:/models/mine/", "reader", "mine"),
        ("spacy:en_core_web_sm", "spacy", "en_core_web_sm"),
        ("spacy:./pipelines/news", "spacy", "news"),
        ("patterns:lists/parts.toml", "patterns", "parts"),
    ],
)
def test_the_kind_and_a_short_name_follow_from_the_text(text: str, kind: str, name: str) -> None:
    spec = parse_voice(text)
    assert (spec.kind, spec.name) == (kind, name)


@pytest.mark.parametrize("text", ["flair:ner", "en_core_web_sm", "spacy", ""])
def test_an_unknown_kind_lists_those_that_are_known(text: str) -> None:
    with pytest.raises(UnknownNameError, match=f"unknown voice '{text}'; known: gliner:FOLDER .*spacy:PIPELINE"):
        parse_voice(text)


def test_a_kind_without_a_model_is_refused() -> None:
    with pytest.raises(ConfigError, match="spacy: names no model; write spacy:PIPELINE"):
        parse_voice("spacy:")
