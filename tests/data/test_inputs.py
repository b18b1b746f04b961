"""Labels and texts as callers give them."""

from __future__ import annotations

import re
import warnings
from typing import Any

import pytest

from entsemble.data.inputs import Labels, as_documents, label_definitions
from entsemble.errors import ConfigError, EntsembleWarning
from entsemble.types import Document


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ("B-person,O", ["person"]),
        ("O, B-PER, I-PER, B-LOC, I-LOC", ["PER", "LOC"]),
        (["B-PER", "I-PER"], ["PER"]),
        ("S-art work,U-art work,O", ["art work"]),
    ],
)
def test_tags_of_a_conll_file_stand_for_their_labels(labels: Labels, names: list[str]) -> None:
    with pytest.warns(EntsembleWarning, match=f"are tags of a CoNLL file; their labels are: {', '.join(names)}"):
        assert [*label_definitions(labels)] == names


def test_labels_that_may_be_tags_are_taken_as_written() -> None:
    with pytest.warns(EntsembleWarning, match="B-cell: taken as written; if these are tags .*, write: cell"):
        assert [*label_definitions("B-cell")] == ["B-cell"]


@pytest.mark.parametrize("labels", ["B-cell,T-cell", "person,O", "e-mail", "I-9 form,W-2 form,address"])
def test_other_labels_are_taken_as_written(labels: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [*label_definitions(labels)] == labels.split(",")


def test_outside_is_no_label() -> None:
    with pytest.raises(ConfigError, match="O marks words that are in no mention, and is no label"):
        label_definitions("O")


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        ("Ann met Bob.", "several texts are expected, in a list for instance; `extract` takes a single one"),
        (Document("1", "Ann"), "several texts are expected, in a list for instance; `extract` takes a single one"),
        ([["Ann", "Bob"]], "text 1 must be a str or a Document, not list; `extract_many` takes several texts"),
        (["Ann", b"Bob"], "text 2 must be a str or a Document, not bytes"),
        ([None], "text 1 must be a str or a Document, not NoneType"),
    ],
)
def test_what_is_no_text_is_refused(texts: Any, problem: str) -> None:
    with pytest.raises(TypeError, match=re.escape(problem)):
        list(as_documents(texts))
