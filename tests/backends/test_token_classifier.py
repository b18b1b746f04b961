"""A token classifier that the tests make: it knows a few words, and nothing of their context."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from entsemble.backends.token_classifier import TokenClassifier
from entsemble.errors import ConfigError, MissingExtraError, ModelUnavailableError
from tests.backends.tiny_bert import save_classifier

pytest.importorskip("torch")
pytest.importorskip("transformers")

LABELS = {"ann": "B-PER", "lee": "E-PER", "oslo": "S-LOC", "new": "B-LOC", "york": "I-LOC"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_classifier(tmp_path_factory.mktemp("tiny"), LABELS)


def find(tagger: TokenClassifier, text: str) -> list[tuple[str, str]]:
    [spans] = tagger.tag([text])
    assert all(0.9 < span.score < 1 for span in spans)
    return [(span.span.slice(text), span.top_label) for span in spans]


def test_groups_of_tokens_are_tagged_whatever_the_prefixes(folder: Path) -> None:
    tagger = TokenClassifier("tiny", folder, "0")
    assert tagger.labels == ("LOC", "PER")
    assert tagger.parameters > 100
    assert find(tagger, "Ann Lee left Oslo Oslo for New York.") == [
        ("Ann Lee", "PER"),
        ("Oslo", "LOC"),
        ("Oslo", "LOC"),
        ("New York", "LOC"),
    ]
    assert tagger.tag(["", " ", "It rained."]) == [[], [], []]


def test_a_text_longer_than_the_model_is_read_in_windows(folder: Path) -> None:
    text = "It rained . " * 40 + "Ann left . " + "It rained . " * 40 + "Oslo"
    assert find(TokenClassifier("tiny", folder, "0"), text) == [("Ann", "PER"), ("Oslo", "LOC")]


@pytest.mark.parametrize(
    ("changes", "error", "problem"),
    [
        ({"architectures": ["BertModel"]}, ConfigError, r"no model that classifies tokens; .* \['BertModel'\]"),
        ({"model_type": "unheard-of"}, ModelUnavailableError, "cannot load the token classifier .*unheard-of"),
        ({"hidden_size": 7}, ModelUnavailableError, "cannot load the token classifier"),
    ],
)
def test_other_models_are_refused(
    folder: Path, tmp_path: Path, changes: Mapping[str, Any], error: type[Exception], problem: str
) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | changes))
    with pytest.raises(error, match=problem):
        TokenClassifier("tiny", tmp_path, "0")


def test_without_transformers_the_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'entsemble\[tokens\]'"):
        TokenClassifier("tiny", folder, "0")
