from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from entsemble.data.formats import read
from entsemble.errors import DataError
from entsemble.types import Document

TEXT = "Ada met 😀 Bob"


def read_record(tmp_path: Path, record: dict[str, Any], name: str = "x.jsonl") -> Document:
    path = tmp_path / name
    path.write_text(json.dumps(record) + "\n", encoding="utf-8")
    return next(iter(read(path)))


@pytest.mark.parametrize(
    "record",
    [
        {"text": TEXT, "mentions": [{"start": 0, "end": 3, "label": "PER"}, {"start": 10, "end": 13, "label": "PER"}]},
        {"text": TEXT, "spans": [{"start": 0, "end": 3, "label": "PER"}, {"start": 10, "end": 13, "label": "PER"}]},
        {"text": TEXT, "label": [[0, 3, "PER"], [10, 13, "PER"]]},
        {"text": TEXT, "labels": [[0, 3, "PER"], [10, 13, "PER"]]},
        {"text": TEXT, "entities": [[0, 3, "PER"], [10, 13, "PER"]]},
        {
            "text": TEXT,
            "entities": [
                {"id": 1, "start_offset": 10, "end_offset": 13, "label": "PER"},
                {"id": 2, "start_offset": 0, "end_offset": 3, "label": "PER"},
            ],
        },
        {
            "full_text": TEXT,
            "spans": [
                {"entity_type": "PER", "entity_value": "Ada", "start_position": 0, "end_position": 3},
                {"entity_type": "PER", "entity_value": "Bob", "start_position": 10, "end_position": 13},
            ],
        },
    ],
)
@pytest.mark.parametrize("name", ["x.jsonl", "x.json"])
def test_the_shapes_of_other_tools_are_read(tmp_path: Path, record: dict[str, Any], name: str) -> None:
    document = read_record(tmp_path, record, name)
    assert document.id == f"{name}:1"
    assert [(m.start, m.text, m.label) for m in document.mentions] == [(0, "Ada", "PER"), (10, "Bob", "PER")]


def test_unknown_keys_go_to_meta(tmp_path: Path) -> None:
    document = read_record(tmp_path, {"id": 7, "text": "a", "meta": {"x": 1}, "template_id": 3, "label": "sport"})
    assert document.id == "7"
    assert document.meta == {"x": 1, "template_id": 3, "label": "sport"}


def test_tokens_and_votes_are_read(tmp_path: Path) -> None:
    mention = {"start": 0, "end": 1, "label": "L", "score": 0.5, "votes": {"m": "none"}}
    document = read_record(tmp_path, {"text": "a b", "tokens": [[0, 1], {"start": 2, "end": 3}], "mentions": [mention]})
    assert [t.slice(document.text) for t in document.tokens] == ["a", "b"]
    assert (document.mentions[0].score, document.mentions[0].votes) == (0.5, {"m": "none"})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r":2: not valid JSON"),
        ("[1]", r":2: a document is a JSON object"),
        ('{"x": 1}', r":2: there is no text"),
        ('{"text": "ab", "mentions": [[0, 1, "X"], [0, 9, "X"]]}', r":2: mention 2: \[0, 9\) is not a range"),
        ('{"text": "ab", "mentions": [[1, 1, "X"]]}', r":2: mention 1: \[1, 1\)"),
        ('{"text": "ab", "mentions": [["zero", 1, "X"]]}', r":2: mention 1: start and end must be integers"),
        ('{"text": "ab", "mentions": [[0, 1, ""]]}', r":2: mention 1: the label"),
        ('{"text": "ab", "mentions": [{"start": 0, "end": 1, "label": "X", "text": "b"}]}', r":2: mention 1 says 'b'"),
        ('{"text": "ab", "mentions": {}}', r":2: `mentions` must be a list"),
        ('{"text": "ab", "id": [1]}', r":2: `id` must be"),
        ('{"text": "\\ud83d"}', r":2: the text contains half of a surrogate"),
        ('{"text": "a", "title": "\\ud83d"}', r":2: the id or a value besides the text contains half of a surrogate"),
        ('{"text": "a", "id": "\\udc00"}', r":2: the id or a value besides the text contains half of a surrogate"),
        ('{"text": "ab", "tokens": [[0, 3]]}', r":2: token 1: \[0, 3\)"),
        ('{"text": "ab", "mentions": [[0, 1, "P\\ud800"]]}', r":2: mention 1: the label contains half of a surrogate"),
        (
            '{"text": "ab", "mentions": [{"start": 0, "end": 1, "label": "P", "votes": {"m": "\\ud800"}}]}',
            r":2: mention 1: votes contains half of a surrogate",
        ),
        (
            '{"text": "ab", "mentions": [{"start": 0, "end": 1, "label": "P", "score": 1' + "0" * 400 + "}]}",
            r":2: mention 1: the score is too large",
        ),
        ('{"text": "ab", "n": 1' + "0" * 5000 + "}", r":2: this JSON cannot be parsed: Exceeds the limit"),
        ('{"text": ' + "[" * 100_000, r":2: this JSON cannot be parsed: maximum recursion"),
    ],
)
def test_errors_name_the_line_and_the_mention(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "fine"}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=message):
        list(read(path))


_TWICE = "the key '{}' occurs twice in one object; keep one of them, or rename the other"


@pytest.mark.parametrize(
    ("name", "format_name", "content", "place", "key"),
    [
        ("x.jsonl", None, '{"text": "fine"}\n{"text": "one", "text": "two"}\n', "x.jsonl:2: ", "text"),
        ("x.jsonl", None, '{"text": "a", "meta": {"n": {"k": 1, "k": 1}}}', "x.jsonl:1: ", "k"),
        ("x.jsonl", "prodigy", '{"text": "a", "spans": [], "spans": []}', "x.jsonl:1: ", "spans"),
        ("x.jsonl", "doccano", '{"text": "a", "label": [], "label": []}', "x.jsonl:1: ", "label"),
        ("x.json", None, '[\n{"text": "a"},\n{"text": "b", "t\\u0065xt": "c"}\n]', "x.json:3: ", "text"),
        (
            "x.json",
            None,
            '{"classes": [], "annotations": [["a", {"entities": [], "entities": []}]]}',
            "x.json:1: ",
            "entities",
        ),
        (
            "x.json",
            "label-studio",
            '[{"data": {"text": "a"}, "data": {"text": "b"}, "annotations": []}]',
            "x.json:1: ",
            "data",
        ),
        ("x.csv", None, 'text,entities\nAnn,"[{""start"": 0, ""start"": 1}]"\n', "x.csv:2: entities: ", "start"),
        ("x.csv", None, "text,entities\nAnn,\"[{'start': 0, 'start': 1}]\"\n", "x.csv:2: entities: ", "start"),
    ],
)
def test_a_key_that_an_object_has_twice_is_refused(
    tmp_path: Path, name: str, format_name: str | None, content: str, place: str, key: str
) -> None:
    """JSON parsers keep the last value: a text would be lost in silence."""
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        list(read(tmp_path / name, format_name))
    assert str(caught.value) == f"{tmp_path}/{place}{_TWICE.format(key)}"


def test_null_mentions_do_not_hide_others(tmp_path: Path) -> None:
    document = read_record(tmp_path, {"text": "Ann", "mentions": None, "entities": [[0, 3, "P"]]})
    assert ([mention.text for mention in document.mentions], document.meta) == (["Ann"], {})


def test_a_repeated_id_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"id": "a", "text": "1"}\n{"id": "a", "text": "2"}\n')
    with pytest.raises(DataError, match="document 2 has the id 'a', as has an earlier one"):
        list(read(tmp_path / "x.jsonl"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[\n{"text": "a"},\n{"text": 1}\n]', r":3: document 2: there is no text"),
        ('[\n{"text": "a"}\n', r":3: not valid JSON: a comma"),
        ('[\n{"text": "a",\n]', r":3: not valid JSON"),
        ('[{"text": "a"}] x', r"there is text after the JSON value"),
        ('[\n{"text": ' + "[" * 100_000, r":2: this JSON cannot be parsed: maximum recursion"),
    ],
)
def test_errors_in_arrays_name_the_line(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(DataError, match=message):
        list(read(tmp_path / "x.json"))


def test_an_empty_array_has_no_documents(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(" [ ]\n")
    assert list(read(tmp_path / "x.json")) == []
