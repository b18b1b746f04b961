"""Files of annotation tools: their shapes, and that no value beside the text changes what is read back."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import Any

import pytest

from entsemble.data.formats import read, write
from entsemble.errors import DataError, EntsembleWarning
from entsemble.types import Document, Mention, mention_at

TEXT = "Mara rang."


@pytest.mark.parametrize(
    "record",
    [
        {"text": TEXT, "ents": [{"start": 0, "end": 4, "label": "P"}], "title": None},
        {"text": TEXT, "annotations": [{"start": 0, "end": 4, "label": "P"}]},
        {"content": TEXT, "annotation": [{"label": ["P"], "points": [{"start": 0, "end": 3, "text": "Mara"}]}]},
        {"content": TEXT, "annotations": [{"start": 0, "end": 4, "tag": "P", "value": "Mara"}]},
        {"text": TEXT, "tokens": ["Mara", "rang", "."], "annotation": [{"label": "P", "start": 0, "end": 4}]},
        {"text": TEXT, "spans.responses": [[{"label": "P", "start": 0, "end": 4}]]},
        {"text": TEXT, "entities": [{"start": 0, "end": 4, "value": "M. Holt", "entity": "P"}], "intent": "x"},
        {"Text": TEXT, "Entities": [{"BeginOffset": 0, "EndOffset": 4, "Type": "P", "Text": "Mara", "Score": 0.5}]},
        {"text": TEXT, "entities": [{"text": "Mara", "category": "P", "offset": 0, "length": 4}]},
        {"document": TEXT, "entities": [{"type": "P", "mentions": [{"text": {"content": "Mara", "beginOffset": 0}}]}]},
        {"text": TEXT, "entities": [{"text": "Mara", "type": "P", "start_char": 0, "end_char": 4}]},
        {"text": TEXT, "spans": [], "label": [[0, 4, "P"]]},
        {"text": TEXT, "mentions": None, "entities": [], "labels": [[0, 4, "P"]]},
        {
            "text": TEXT,
            "extractions": [
                {"extraction_class": "P", "extraction_text": "Mara", "char_interval": {"start_pos": 0, "end_pos": 4}},
                {"extraction_class": "P", "extraction_text": "Bo", "char_interval": None},
            ],
        },
        [TEXT, {"entities": [[0, 4, "P"]]}],
    ],
)
def test_mentions_of_other_tools_are_read(tmp_path: Path, record: object) -> None:
    (tmp_path / "x.jsonl").write_text(json.dumps(record))
    (document,) = read(tmp_path / "x.jsonl")
    assert document.text == TEXT
    assert [(m.start, m.end, m.label) for m in document.mentions] == [(0, 4, "P")]


@pytest.mark.parametrize(
    "entities", [{"P": ["Mara"]}, [{"text": "Mara", "label": "P"}], [{"name": "Mara", "type": "P", "pos": [0, 4]}]]
)
def test_names_without_offsets_are_refused(tmp_path: Path, entities: object) -> None:
    (tmp_path / "x.jsonl").write_text(json.dumps({"text": TEXT, "entities": entities}))
    with pytest.raises(DataError, match=r"x.jsonl:1: .*; names without offsets cannot be placed: write start, end"):
        list(read(tmp_path / "x.jsonl"))


def test_a_file_of_ner_annotator_is_read(tmp_path: Path) -> None:
    pairs = [["Mara rang.", {"entities": [[0, 4, "P"]]}], None, ["Bo left.", {"entities": []}]]
    (tmp_path / "x.json").write_text(json.dumps({"classes": ["P"], "annotations": pairs}))
    found = [(document.id, [mention.text for mention in document.mentions]) for document in read(tmp_path / "x.json")]
    assert found == [("x.json:1.1", ["Mara"]), ("x.json:1.2", [])]


@pytest.mark.parametrize(
    ("key", "advice"),
    [
        ("documents", "write each document by itself"),
        ("passages", "in BioC and BigBio, passages are objects"),
        ("text", r"orient='records'"),
        ("columns", r"orient='records'"),
        ("paragraphs", "`python -m spacy convert` first"),
        ("data", "name the format label-studio"),
        ("task", "name the format label-studio"),
        ("conversations", "UniversalNER's, have no offsets"),
        ("messages", "have no offsets"),
        ("output", "cannot be placed"),
    ],
)
def test_other_shapes_without_a_text_are_named(tmp_path: Path, key: str, advice: str) -> None:
    (tmp_path / "x.json").write_text(json.dumps({key: []}))
    with pytest.raises(DataError, match=rf"x.json:1: .*there is no text; .*; .*{advice}"):
        list(read(tmp_path / "x.json"))


@pytest.mark.parametrize("meta", [{"label": "sport"}, {"labels": ["a", "b"]}, {"annotations": {"by": "me"}}])
def test_values_that_are_no_mentions_stay_in_meta(tmp_path: Path, meta: dict[str, Any]) -> None:
    (tmp_path / "x.jsonl").write_text(json.dumps({"text": TEXT, **meta}))
    assert next(read(tmp_path / "x.jsonl")).meta == meta


@pytest.mark.parametrize("name", ["x.jsonl", "x.json"])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("names", [{"start": 0, "end": 4, "label": "P"}]),
        ("names", [[0, 4, "P"]]),
        ("label", {"P": {"Mara": [[0, 3]]}}),
        ("labels", [{"response": {"job": {"annotations": [{"beginOffset": 0, "categories": [{"name": "P"}]}]}}}]),
        ("tokens", [{"text": "Mara", "start": 0, "end": 4, "entityLabel": "P"}]),
    ],
)
def test_annotations_under_an_unknown_key_are_announced(tmp_path: Path, name: str, key: str, value: object) -> None:
    (tmp_path / name).write_text(json.dumps({"text": TEXT, key: value}))
    with pytest.warns(UserWarning, match=rf"{name}:1: what looks like annotation under '{key}' is not read"):
        (document,) = read(tmp_path / name)
    assert document.mentions == ()


@pytest.mark.parametrize(
    "value",
    [{"sents": [{"start": 0, "end": 9}]}, {"tokens": [{"start": 0, "end": 4, "tag": "NNP"}]}, {"pages": [0, 1]}],
)
def test_ranges_without_labels_are_not_announced(tmp_path: Path, value: dict[str, object]) -> None:
    (tmp_path / "x.jsonl").write_text(json.dumps({"text": TEXT, **value}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(list(read(tmp_path / "x.jsonl"))) == 1


@pytest.mark.parametrize("tags", [["B-P", "O", "O"], [1, 0, 0]])
def test_tags_of_words_that_are_not_read_are_announced(tmp_path: Path, tags: list[Any]) -> None:
    record = {"text": TEXT, "tokens": ["Mara", "sang", "."], "ner_tags": tags}
    (tmp_path / "x.jsonl").write_text(json.dumps(record))
    with pytest.warns(UserWarning, match=r"x.jsonl:1: what looks like annotation under 'ner_tags' is not read"):
        assert next(read(tmp_path / "x.jsonl")).text == TEXT
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pytest.importorskip("pyarrow").Table.from_pylist([record, record])
    parquet.write_table(table, tmp_path / "x.parquet")
    with pytest.warns(UserWarning, match=r"x.parquet: row 1: what looks like annotation under 'ner_tags'") as caught:
        assert len(list(read(tmp_path / "x.parquet"))) == 2
    assert len(caught) == 1


@pytest.mark.parametrize("score", ["NaN", "Infinity", "-Infinity", "1e400", "1.5", "-3"])
@pytest.mark.parametrize("name", ["x.jsonl", "x.json"])
def test_scores_that_are_none_are_refused(tmp_path: Path, name: str, score: str) -> None:
    mention = '{"start": 0, "end": 4, "label": "P", "score": ' + score + "}"
    (tmp_path / name).write_text('{"text": "Mara rang.", "mentions": [' + mention + "]}")
    with pytest.raises(DataError, match=rf"{name}:1: .*(is not a JSON number|a score is between 0 and 1)"):
        list(read(tmp_path / name))


@pytest.mark.parametrize("format_name", ["jsonl", "json", "label-studio", "prodigy", "parquet", "spacy"])
def test_scores_that_are_none_are_not_written(tmp_path: Path, format_name: str) -> None:
    documents = [Document("a", TEXT, (Mention(0, 4, "P", "Mara", math.nan),))]
    with pytest.raises(DataError, match="document 'a'"):
        write(documents, tmp_path / "out", format_name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [math.inf, {1, 2}, [[]]])
@pytest.mark.parametrize("format_name", ["jsonl", "json", "label-studio", "prodigy", "doccano", "parquet", "spacy"])
def test_meta_that_json_cannot_represent_is_an_error(tmp_path: Path, format_name: str, value: Any) -> None:
    if value == [[]]:
        for _ in range(100_000):
            value = [value]
    with pytest.raises(DataError, match="document 'a' cannot be written as JSON"):
        write([Document("a", TEXT, meta={"k": value})], tmp_path / "out", format_name)


AWKWARD_META = [
    {"answer": "reject"},
    {"_view_id": "x", "_input_hash": 1},
    {"entities": [[5, 9, "other"]], "label": [[5, 9, "other"]], "labels": ["a"], "spans": []},
    {"mentions": None, "ents": 1, "annotations": [{"start": 0}], "tokens": [[0, 1]]},
    {"id": "another", "text": "another", "content": 2, "data": "x", "meta": {"meta": 1}},
    {"id": 7, "score": 0.5, "label studio": [1], "document": "d"},
    {"meta": "a string"},
    {"big": 2**70, "deep": [[[{"": None}]]], "": ""},
]


@pytest.mark.parametrize("meta", AWKWARD_META)
@pytest.mark.parametrize("format_name", ["jsonl", "json", "label-studio", "prodigy", "doccano", "parquet", "spacy"])
def test_meta_never_changes_a_document(tmp_path: Path, format_name: str, meta: dict[str, Any]) -> None:
    documents = [Document("a", TEXT, (mention_at(TEXT, 0, 4, "P"),), meta=meta), Document("b", TEXT, meta=meta)]
    write(documents, tmp_path / "out", format_name)
    assert list(read(tmp_path / "out", format_name)) == documents


@pytest.mark.parametrize("depth", [200, 985, 5_000, 100_000])
@pytest.mark.parametrize("format_name", ["jsonl", "json", "label-studio", "prodigy"])
def test_deep_nesting_is_read_and_written_or_refused(tmp_path: Path, format_name: str, depth: int) -> None:
    deep = "[" * depth + "]" * depth
    record = '{"data": {"text": "Ada"}, "meta": {"k": ' + deep + "}}"
    line = record if format_name == "label-studio" else '{"text": "Ada", "k": ' + deep + "}"
    (tmp_path / "x.json").write_text(line)
    try:
        documents = list(read(tmp_path / "x.json", format_name))
        write(documents, tmp_path / "out", format_name)
    except DataError as error:
        assert "x.json:1: " in str(error) or "cannot be written as JSON" in str(error)  # noqa: PT017
        assert depth > 200


@pytest.mark.parametrize("format_name", ["jsonl", "json", "label-studio", "prodigy", "doccano"])
def test_numbers_of_thousands_of_digits_are_refused(tmp_path: Path, format_name: str) -> None:
    (tmp_path / "x.json").write_text('{"text": "Ada", "data": {"text": "Ada"}, "k": ' + "9" * 5000 + "}")
    with pytest.raises(DataError, match=r"x.json:1: .*Exceeds the limit"):
        list(read(tmp_path / "x.json", format_name))


def test_rejected_examples_are_left_out_though_the_format_is_not_named(tmp_path: Path) -> None:
    span = {"start": 0, "end": 4, "label": "P"}
    lines = [{"text": TEXT, "spans": [span], "answer": answer} for answer in ("accept", "reject", "ignore")]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with pytest.warns(UserWarning, match=r"x.jsonl: 2 examples that were rejected or ignored in Prodigy left out"):
        assert len(list(read(tmp_path / "x.jsonl"))) == 1
    (tmp_path / "y.json").write_text(json.dumps([{"text": TEXT, "answer": "reject"}, {"text": TEXT}]))
    with pytest.warns(UserWarning, match=r"y.json: 1 example that was rejected or ignored in Prodigy left out"):
        assert len(list(read(tmp_path / "y.json"))) == 1


def test_an_export_of_label_studio_is_recognised(tmp_path: Path) -> None:
    result = {"value": {"start": 0, "end": 4, "labels": ["P"], "text": "Mara"}}
    for key in ("annotations", "completions", "predictions"):
        (tmp_path / "x.json").write_text(json.dumps([{"id": 1, "data": {"text": TEXT}, key: [{"result": [result]}]}]))
        assert [m.text for m in next(read(tmp_path / "x.json")).mentions] == ["Mara"]
    ours = [Document("a", TEXT, meta={"data": {"a": 1}, "annotations": [1]})]
    write(ours, tmp_path / "y.json")
    assert list(read(tmp_path / "y.json")) == ours


@pytest.mark.parametrize(("text", "is_announced"), [("😀 Mara rang.", True), ("Hi,\r\nMara", True), ("Hi Mara", False)])
def test_offsets_that_no_text_confirms_are_announced(tmp_path: Path, text: str, is_announced: bool) -> None:
    start = text.index("Mara")
    result = {"value": {"start": start, "end": start + 4, "labels": ["P"]}}
    tasks = [{"data": {"text": text}, "annotations": [{"result": [result]}]}]
    (tmp_path / "x.json").write_text(json.dumps(tasks))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert [m.text for m in next(read(tmp_path / "x.json")).mentions] == ["Mara"]
        assert list(read(tmp_path / "x.json"))
    expected = "x.json: the labels of 1 task have no `text`, so that their offsets are taken as code points; check"
    assert [expected in str(warning.message) for warning in caught] == [True] * is_announced


def _task(*results: list[Any], **values: object) -> dict[str, Any]:
    return {"id": 1, "data": {"text": TEXT}, "annotations": [{"result": result, **values} for result in results]}


LABEL = {"type": "labels", "value": {"start": 0, "end": 4, "labels": ["P"], "text": "Mara"}}


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (_task([LABEL], was_cancelled=True), "1 task that was skipped in Label Studio left out"),
        (_task([LABEL], []), "1 task with annotations that differ; the last annotation of each is read"),
        (
            _task([{"type": "hypertextlabels", "value": {"start": "/p[1]", "hypertextlabels": ["P"]}}]),
            "results of the type hypertextlabels are no labels of a text; they are kept in `meta`",
        ),
    ],
)
def test_labels_of_label_studio_that_are_not_read_are_announced(
    tmp_path: Path, task: dict[str, Any], message: str
) -> None:
    (tmp_path / "x.json").write_text(json.dumps([task]))
    with pytest.warns(UserWarning, match=rf"x.json: {message}"):
        assert not any(document.mentions for document in read(tmp_path / "x.json"))


def test_tasks_on_lines_and_annotations_in_cloud_storage_are_read(tmp_path: Path) -> None:
    task = _task([LABEL])
    (tmp_path / "lines.json").write_text(f"{json.dumps(task)}\n{json.dumps({**task, 'id': 2})}\n")
    assert [(d.id, len(d.mentions)) for d in read(tmp_path / "lines.json")] == [("1", 1), ("2", 1)]
    stored = {"id": 9, "result": [LABEL], "task": {"id": 1, "data": {"text": TEXT}}}
    (tmp_path / "stored.json").write_text(json.dumps(stored))
    assert [len(d.mentions) for d in read(tmp_path / "stored.json", "label-studio")] == [1]
    (tmp_path / "broken.jsonl").write_text(json.dumps(task) + '\n{"data": 3}\n')
    with pytest.raises(DataError, match=r"broken.jsonl:2: a task of Label Studio is an object with `data`"):
        list(read(tmp_path / "broken.jsonl", "label-studio"))


@pytest.mark.parametrize(
    "value",
    [
        {"examples": [{"content": "Ada left.", "annotations": [{"start": 0, "end": 3, "tag": "P"}]}], "relations": []},
        {
            "rasa_nlu_data": {
                "common_examples": [{"text": "Ada left.", "entities": [{"start": 0, "end": 3, "entity": "P"}]}]
            }
        },
        {"data": [{"text": "Ada left.", "entities": [[0, 3, "P"]]}]},
        {"text": "Ada left.", "entities": {"P": [{"indices": [0, 3]}]}},
        {"text": "Ada left.", "entities": {"P": [[0, 3]]}},
        {"source_text": "Ada left.", "privacy_mask": [{"value": "Ada", "start": 0, "end": 3, "label": "P"}]},
        {"text": "Ada left.", "entities": [{"start": "0", "end": "3", "label": "P"}]},
        {"text": "Ada left.", "entities": [{"start": 0.0, "end": 3.0, "label": "P"}]},
    ],
)
def test_more_shapes_of_annotation_are_read(tmp_path: Path, value: object) -> None:
    (tmp_path / "x.json").write_text(json.dumps(value))
    (document,) = read(tmp_path / "x.json")
    assert [(mention.text, mention.label) for mention in document.mentions] == [("Ada", "P")]


def test_documents_under_their_ids_are_read(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps({"a": {"text": "Ada"}, "b": {"text": "Bob", "id": "c"}}))
    assert [(document.id, document.text) for document in read(tmp_path / "x.json")] == [("a", "Ada"), ("c", "Bob")]


def test_what_stands_beside_a_list_of_documents_is_announced(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps({"documents": [{"text": "Ada"}], "entities": [[0, 3, "P"]], "x": []}))
    with pytest.warns(EntsembleWarning, match="only the documents under `documents` are read, and not: entities"):
        list(read(tmp_path / "x.json"))


@pytest.mark.parametrize(
    "value",
    [
        {"result_list": [{"text": "Ada", "start": 0, "end": 3}], "prompt": "person"},
        {"ner": ["Ada"]},
        {"named_entities": {"P": ["Ada"]}},
        {"ner_chunk": [{"begin": 0, "end": 2, "result": "Ada", "metadata": {"entity": "P"}}]},
    ],
)
def test_names_without_labels_or_offsets_are_announced(tmp_path: Path, value: dict[str, object]) -> None:
    (tmp_path / "x.jsonl").write_text(json.dumps({"text": "Ada left.", **value}))
    with pytest.warns(EntsembleWarning, match=f"what looks like annotation under '{next(iter(value))}' is not read"):
        list(read(tmp_path / "x.jsonl"))


def test_annotation_within_a_text_of_json_is_announced(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(json.dumps({"text": "<PER>Ada</PER> left."}))
    with pytest.warns(EntsembleWarning, match="x.jsonl:1: some of the text looks like annotation, .* read as text"):
        list(read(tmp_path / "x.jsonl"))
