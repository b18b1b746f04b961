"""CoNLL-U: names in the last column, texts with their spaces, and tokens of several words."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from entsemble.data.formats import read
from entsemble.errors import DataError, EntsembleWarning
from entsemble.types import Document

HEAD = "# sent_id = 1\n"


def line(number: str, surface: str, last_column: str = "_") -> str:
    return "\t".join([number, surface, *"_______", last_column]) + "\n"


def read_file(folder: Path, content: str, name: str = "x.conllu") -> list[Document]:
    (folder / name).write_text(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return list(read(folder / name))


@pytest.mark.parametrize("key", ["NER=", "name=", "NE=", "SpaceAfter=No|ner=", "SpaceAfter=No name="])
def test_names_are_tags_in_the_last_column(tmp_path: Path, key: str) -> None:
    rows = line("1", "Ada", f"{key}B-PER") + line("2", "King", f"{key}I-PER") + line("3", "left", f"{key}O")
    (document,) = read_file(tmp_path, f"{HEAD}# text = Ada  King left\n{rows}")
    assert document.text == "Ada  King left"
    assert [(mention.text, mention.label) for mention in document.mentions] == [("Ada  King", "PER")]
    assert [document.text[token.start : token.end] for token in document.tokens] == ["Ada", "King", "left"]


@pytest.mark.parametrize("comment", ["", "# text = something else\n"])
def test_without_its_text_a_sentence_has_the_spaces_of_its_words(tmp_path: Path, comment: str) -> None:
    rows = line("1", "Ada", "SpaceAfter=No|name=S-PER") + line("2", ",", "_") + line("3", "left", "_")
    (first, second) = read_file(tmp_path, f"{comment}{rows}\n{rows}")
    assert first.text == second.text == "Ada, left"
    assert [mention.text for mention in first.mentions] == ["Ada"]


def test_words_within_a_token_give_it_their_tag(tmp_path: Path) -> None:
    rows = line("1-2", "vom", "_") + line("1", "von", "NER=O") + line("2", "Rhein", "NER=B-LOC") + line("2.1", "x", "_")
    (document,) = read_file(tmp_path, rows + line("3", "her", "NER=O"))
    assert (document.text, [mention.text for mention in document.mentions]) == ("vom her", ["vom"])


def test_texts_without_names_are_announced(tmp_path: Path) -> None:
    (tmp_path / "x.conllu").write_text(line("1", "Ada", "Entity=(person-Ada)|name=Ada"))
    with pytest.warns(EntsembleWarning, match=r"x.conllu: texts without names, .* no tags such as NER=B-PER"):
        (document,) = read(tmp_path / "x.conllu")
    assert (document.text, document.mentions) == ("Ada", ())


def test_a_line_of_other_columns_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"x.conllu:2: a line of CoNLL-U has a number and 10 columns, .* has 2"):
        read_file(tmp_path, line("1", "Ada", "NER=O") + "2\tleft\n")
