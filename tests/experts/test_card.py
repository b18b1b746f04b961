"""The card of an expert."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from entsemble.errors import DataError
from entsemble.experts.card import CARD_FILE, combine_licences, load_card


def test_each_licence_is_named_once() -> None:
    assert combine_licences(["MIT", "CC-BY-4.0 and MIT"]) == "MIT and CC-BY-4.0"
    assert combine_licences(["unknown"]) == "unknown"


SCORE = {"data": "d", "sentences": 3, "f1": 0.5, "f1_ci95": [0.1, 0.9], "spans_f1": 0.5}
PART = {"expert": "one", "sha256": "", "weight": 1.0}
RECIPE = {"parts": [PART], "method": "sum", "rank": None, "density": 1.0, "seed": 0}


def vectors(rows: list[list[float]], sentences: list[int]) -> dict[str, object]:
    return {"vectors": {"encoder": "e", "rows": rows, "sentences": sentences}}


@pytest.mark.parametrize(
    ("fields", "field_path"),
    [
        ({"scores": [SCORE | {"f1": float("nan")}]}, "scores.0.f1"),
        ({"scores": [SCORE | {"f1": float("inf")}]}, "scores.0.f1"),
        ({"scores": [SCORE | {"f1_ci95": [-5, 0.9]}]}, "scores.0.f1_ci95.0"),
        ({"scores": [SCORE | {"sentences": -3}]}, "scores.0.sentences"),
        ({"training": {"loss": float("nan")}}, "training.loss"),
        ({"recipe": RECIPE | {"parts": [PART | {"weight": float("nan")}]}}, "recipe.parts.0.weight"),
        ({"recipe": RECIPE | {"density": float("inf")}}, "recipe.density"),
        (vectors([[1e308, 1e308]], [1]), "vectors"),
        (vectors([[0.0, 0.0]], [1]), "vectors"),
        (vectors([[1.0, 0.0]], [-1]), "vectors.sentences.0"),
        (vectors([[1.0, 0.0]], [10**30]), "vectors.sentences.0"),
        (vectors([[1.0, 0.0]], [0]), "vectors"),
        ({"labels": 3}, "labels"),
        ({"name": "../x"}, "name"),
    ],
)
def test_values_that_no_training_gives_are_named(tmp_path: Path, fields: dict[str, object], field_path: str) -> None:
    intact = {"name": "news", "base": "tiny", "base_sha256": "0", "template": "t"}
    (tmp_path / CARD_FILE).write_text(json.dumps(intact | {"scores": [SCORE], "recipe": RECIPE}))
    assert load_card(tmp_path).scores[0].f1 == 0.5
    (tmp_path / CARD_FILE).write_text(json.dumps(intact | fields))
    with pytest.raises(DataError, match=rf"card\.json: {re.escape(field_path)}: .*; get the expert again"):
        load_card(tmp_path)
