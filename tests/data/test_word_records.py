"""Records of words and tags, as Hugging Face data sets and training files of other tools have them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from entsemble.data.formats import read
from entsemble.errors import DataError, EntsembleWarning
from entsemble.integrations.datasets import from_dataset
from entsemble.types import Document

WORDS = ["Ines", "Moor", "met", "Tarn", "Ltd", "."]
TAGS = ["B-P", "I-P", "O", "B-O", "I-O", "O"]
NAMES = ["O", "B-P", "I-P", "B-O", "I-O"]
NUMBERS = [NAMES.index(tag) for tag in TAGS]
FEATURES = {
    "tokens": {"feature": {"dtype": "string"}},
    "ner_tags": {"feature": {"names": NAMES, "_type": "ClassLabel"}},
}


def read_record(folder: Path, record: object) -> Document:
    (folder / "x.jsonl").write_text(json.dumps(record))
    (document,) = read(folder / "x.jsonl")
    return document


def mentions(document: Document) -> list[tuple[str, str]]:
    return [(mention.text, mention.label) for mention in document.mentions]


@pytest.mark.parametrize(
    "record",
    [
        {"tokens": WORDS, "ner_tags": TAGS},
        {"words": WORDS, "tags": TAGS},
        {"sentence": WORDS, "labels": TAGS},
        {"text": WORDS, "any name": TAGS},
        {"tokens": WORDS, "ner_tags": ["P", "P", "O", "Q", "Q", "O"]},
        {"tokens": WORDS, "ner_tags": TAGS, "spans": ["P: Ines Moor"], "chunk_tags": ["B-NP"] * 6, "label": "news"},
        {"tokenized_text": WORDS, "ner": [[0, 1, "P"], [3, 4, "O"]]},
        {"sentences": [WORDS[:3], WORDS[3:]], "ner": [[[0, 1, "P"]], [[3, 4, "O"]]], "doc_key": "d"},
        {"sentence": WORDS, "ner": [{"index": [0, 1], "type": "P"}, {"index": [3, 4], "type": "O"}]},
        {"tokens": WORDS, "entities": [{"type": "P", "start": 0, "end": 2}, {"type": "O", "start": 3, "end": 5}]},
        {"text": "Ines  Moor met\nTarn Ltd.", "tokens": WORDS, "ner_tags": TAGS},
    ],
)
def test_words_and_their_annotation_are_read(tmp_path: Path, record: dict[str, Any]) -> None:
    document = read_record(tmp_path, record)
    assert [" ".join(mention.text.split()) for mention in document.mentions] == ["Ines Moor", "Tarn Ltd"]
    assert [document.text[token.start : token.end] for token in document.tokens] == WORDS
    given_text = record.get("text")
    assert document.text == (given_text if isinstance(given_text, str) else "Ines Moor met Tarn Ltd.")


def test_words_without_tags_are_a_text(tmp_path: Path) -> None:
    document = read_record(tmp_path, {"id": "a", "tokens": WORDS, "pos": ["N"] * 6, "meta": {"page": 1}})
    assert (document.id, document.text, document.mentions) == ("a", "Ines Moor met Tarn Ltd.", ())
    assert document.meta == {"pos": ["N"] * 6, "page": 1}


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"tokens": WORDS, "ner_tags": NUMBERS}, "`ner_tags` has numbers, .* dataset_info.json"),
        ({"tokens": WORDS, "ner_tags": TAGS[1:]}, "6 words, but 5 tags under `ner_tags`"),
        ({"tokenized_text": WORDS, "ner": [[0, 6, "P"]]}, "`ner`: words 0 to 7, 'P', are no labelled range of 6"),
        ({"tokenized_text": WORDS, "ner": [[0, 1, ""]]}, "`ner`: words 0 to 2, '', are no labelled range"),
        ({"tokens": WORDS, "ner": [{"index": [0, 3], "type": "P"}]}, "has words apart"),
        ({"tokens": WORDS, "spans": [{"start": 0, "end": 1, "label": "P"}]}, "no text that the offsets under `spans`"),
        ({"tokens": ["Ines", " "], "ner_tags": ["O", "B-P"]}, "the P at word 2 covers blank words only"),
        ({"tokens": WORDS, "ner_tags": ["P", *TAGS[1:]]}, "'P' is not a valid tag"),
    ],
)
def test_annotation_that_does_not_fit_its_words_is_an_error(
    tmp_path: Path, record: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=rf"x.jsonl:1: .*{message}"):
        read_record(tmp_path, record)


@pytest.mark.parametrize("name", ["dataset_info.json", "dataset_infos.json"])
@pytest.mark.parametrize("names", [NAMES, {str(number): name for number, name in enumerate(NAMES)}])
def test_names_of_numbers_are_found_beside_a_file_or_above(tmp_path: Path, name: str, names: Any) -> None:
    features = {"features": {"ner_tags": {"feature": {"names": names}}}}
    (tmp_path / name).write_text(json.dumps(features if name == "dataset_info.json" else {"plain": features}))
    folder = tmp_path / "train"
    folder.mkdir()
    assert mentions(read_record(folder, {"tokens": WORDS, "ner_tags": NUMBERS})) == [
        ("Ines Moor", "P"),
        ("Tarn Ltd", "O"),
    ]
    assert [document.text for document in read(tmp_path)] == ["Ines Moor met Tarn Ltd."]
    with pytest.raises(DataError, match="`ner_tags` has numbers beyond its 5 labels"):
        read_record(folder, {"tokens": ["Ines"], "ner_tags": [5]})


def test_a_damaged_description_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "dataset_info.json").write_text("{")
    with pytest.raises(DataError, match=r"dataset_info.json is not valid JSON"):
        read_record(tmp_path, {"tokens": WORDS, "ner_tags": NUMBERS})


def test_rows_from_a_server_of_data_sets_are_read(tmp_path: Path) -> None:
    features = [{"name": name, "type": feature} for name, feature in FEATURES.items()]
    rows = [{"row_idx": 0, "row": {"tokens": WORDS, "ner_tags": NUMBERS}}]
    (tmp_path / "x.json").write_text(json.dumps({"features": features, "rows": rows}))
    (document,) = read(tmp_path / "x.json")
    assert mentions(document) == [("Ines Moor", "P"), ("Tarn Ltd", "O")]


def test_tags_of_words_that_are_not_in_the_text_are_announced(tmp_path: Path) -> None:
    with pytest.warns(EntsembleWarning, match=r"x.jsonl:1: what looks like annotation under 'ner_tags' is not read"):
        assert read_record(tmp_path, {"text": "Tarn", "tokens": WORDS, "ner_tags": TAGS}).mentions == ()


def test_saved_data_sets_are_read(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    columns = {
        "tokens": datasets.List(datasets.Value("string")),
        "ner_tags": datasets.List(datasets.ClassLabel(names=NAMES)),
    }
    rows = [{"tokens": WORDS, "ner_tags": NUMBERS}, {"tokens": ["Rain", "."], "ner_tags": [0, 0]}]
    dataset = datasets.Dataset.from_list(rows, features=datasets.Features(columns))
    expected = [("Ines Moor met Tarn Ltd.", [("Ines Moor", "P"), ("Tarn Ltd", "O")]), ("Rain.", [])]
    dataset.save_to_disk(tmp_path / "saved")
    dataset.to_parquet(tmp_path / "x.parquet")
    for documents in (read(tmp_path / "saved"), read(tmp_path / "x.parquet"), from_dataset(dataset)):
        assert [(document.text, mentions(document)) for document in documents] == expected
    datasets.DatasetDict({"train": dataset, "test": dataset}).save_to_disk(tmp_path / "splits")
    assert len(list(read(tmp_path / "splits" / "train"))) == 2
    with pytest.raises(DataError, match=r"splits: .*the splits test, train; give one of them, such as .*splits.test"):
        list(read(tmp_path / "splits"))


def test_an_arrow_file_is_read_like_a_stream(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table({"tokens": [WORDS], "ner_tags": [TAGS]})
    for name, open_writer in (("x.arrow", pyarrow.ipc.new_stream), ("y.feather", pyarrow.ipc.new_file)):
        with open_writer(str(tmp_path / name), table.schema) as writer:
            writer.write_table(table)
        (document,) = read(tmp_path / name)
        assert mentions(document) == [("Ines Moor", "P"), ("Tarn Ltd", "O")]
    (tmp_path / "z.arrow").write_bytes(b"ARROW1\0\0damaged")
    with pytest.raises(DataError, match=r"z.arrow: not a valid Arrow file"):
        list(read(tmp_path / "z.arrow"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.csv", "Sentence #,Word,POS,Tag\nSentence: 1,Ines,N,B-P\n,Moor,N,I-P\n,met,V,O\nSentence: 2,Tarn,N,B-O\n"),
        ("x.csv", "sent_id;token;ner\n1;Ines;B-P\n1;Moor;I-P\n1;met;O\n2;Tarn;B-O\n"),
        ("x.csv", "token,label\nInes,B-P\nMoor,I-P\nmet,O\n,\nTarn,B-O\n"),
        (
            "x.tsv",
            "word\ttag\nInes\tB-P\nMoor\tI-P\nmet\tO\n\nTarn\tB-O\n",
        ),
        ("x.csv", "tokens,ner_tags\n\"['Ines', 'Moor', 'met']\",\"['B-P', 'I-P', 'O']\"\n\"['Tarn']\",\"['B-O']\"\n"),
        (
            "x.csv",
            "tokens,ner_tags\n['Ines' 'Moor' 'met'],['B-P' 'I-P' 'O']\n['Tarn'],['B-O']\n",
        ),
    ],
)
def test_tables_of_words_are_read(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    documents = list(read(tmp_path / name))
    assert [document.text for document in documents] == ["Ines Moor met", "Tarn"]
    assert [mentions(document) for document in documents] == [[("Ines Moor", "P")], [("Tarn", "O")]]


def test_a_short_row_of_a_table_of_words_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("word,tag\nInes,B-P\nMoor\n")
    with pytest.raises(DataError, match=r"x.csv:3: this row has 1 cells, but the header names 2 columns"):
        list(read(tmp_path / "x.csv"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.csv", "id,sentence,labels\n7,Ines  Moor met Tarn,B-P I-P O B-O\n"),
        ("x.jsonl", '{"id": 7, "text": "Ines  Moor met Tarn", "labels": "B-P I-P O B-O"}'),
    ],
)
def test_tags_in_a_string_are_those_of_the_words_between_blanks(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    (document,) = read(tmp_path / name)
    assert (document.id, document.text, document.meta) == ("7", "Ines  Moor met Tarn", {})
    assert mentions(document) == [("Ines  Moor", "P"), ("Tarn", "O")]


@pytest.mark.parametrize("label", ["sport", "O", "B-P", "a b c d", "B-P I-P"])
def test_another_string_beside_a_text_is_meta(tmp_path: Path, label: str) -> None:
    document = read_record(tmp_path, {"text": "Ines Moor met Tarn", "label": label})
    assert (document.mentions, document.meta) == ((), {"label": label})
