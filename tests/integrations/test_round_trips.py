"""Documents through other tools' formats and libraries and back: every offset is preserved."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import entsemble
from entsemble.data.formats import read, write
from entsemble.data.options import ReadOptions
from entsemble.errors import DataError, EntsembleWarning
from entsemble.types import Document, Mention

TEXT = "🛶 Ann Lee of the New York Times\tsaid e\u0301tude  no. 5."


def at(surface: str, label: str, score: float | None = None, text: str = TEXT) -> Mention:
    start = text.index(surface)
    return Mention(start, start + len(surface), label, surface, score, {"a": label, "b": "none"} if score else {})


NESTED = Document(
    "n",
    TEXT,
    (
        at("Ann Lee", "person", 0.5),
        at("New York Times", "organisation", 0.25),
        at("New York", "place", 0.75),
        at("York Times\tsaid", "odd", 0.5),  # crosses the previous one
        at("im", "inside a word", 1.0),
    ),
    meta={"source": "test"},
)
GOLD = Document("g", TEXT, tuple(Mention(m.start, m.end, m.label, m.text) for m in NESTED.mentions))
PLAIN = Document("p", "Nothing here.")


def as_tuples(documents: Any) -> list[tuple[str, str, list[tuple[int, int, str, float | None]]]]:
    return [(d.id, d.text, [(m.start, m.end, m.label, m.score) for m in d.mentions]) for d in documents]


@pytest.mark.parametrize("format_", ["label-studio", "prodigy", "spacy", "jsonl"])
def test_files_keep_every_offset_and_score(format_: str, tmp_path: Path) -> None:
    if format_ == "spacy":
        pytest.importorskip("spacy")
    path = tmp_path / ("some.spacy" if format_ == "spacy" else "some.json")
    write([NESTED, GOLD, PLAIN], path, format_)
    assert as_tuples(read(path, format_)) == as_tuples([NESTED, GOLD, PLAIN])
    assert [d.meta.get("source") for d in read(path, format_)] == ["test", None, None]


def test_doccano_keeps_every_offset(tmp_path: Path) -> None:
    write([GOLD, PLAIN], tmp_path / "some.jsonl", "doccano")
    assert as_tuples(read(tmp_path / "some.jsonl", "doccano")) == as_tuples([GOLD, PLAIN])


class TestLabelStudio:
    def test_offsets_are_code_points(self, tmp_path: Path) -> None:
        write([NESTED], tmp_path / "tasks.json", "label-studio")
        [task] = json.loads((tmp_path / "tasks.json").read_text(encoding="utf-8"))
        first = task["predictions"][0]["result"][0]
        assert first["value"] == {"start": 2, "end": 9, "text": "Ann Lee", "labels": ["person"]}
        assert (first["from_name"], first["to_name"], first["type"], first["score"]) == ("label", "text", "labels", 0.5)
        assert TEXT[2:9] == "Ann Lee"

    @pytest.mark.parametrize(
        ("text", "value", "expected"),
        [
            ("🛶 Ann", {"start": 2, "end": 5}, "Ann"),
            ("🛶 Ann", {"start": 3, "end": 6, "text": "Ann"}, "Ann"),  # UTF-16 code units
            ("a\r\nAnn", {"start": 3, "end": 6}, "Ann"),
            ("a\r\nAnn", {"start": 2, "end": 5, "text": "Ann"}, "Ann"),  # CRLF counted as one
            ("Ann\nLee left", {"start": 0, "end": 7, "text": "Ann\\nLee"}, "Ann\nLee"),
            ("by Ann  Lee", {"start": 3, "end": 11, "text": "Ann Lee"}, "Ann  Lee"),
        ],
    )
    def test_ways_of_counting_and_of_writing_whitespace(
        self, text: str, value: dict[str, Any], expected: str, tmp_path: Path
    ) -> None:
        result = {"type": "labels", "value": {**value, "labels": ["person"]}}
        path = tmp_path / "export.json"
        path.write_text(json.dumps([{"data": {"text": text}, "annotations": [{"result": [result]}]}]))
        assert [m.text for m in next(read(path, "label-studio")).mentions] == [expected]

    def test_other_keys_old_exports_and_the_short_export(self, tmp_path: Path) -> None:
        result = {"value": {"start": 0, "end": 3, "labels": ["person"], "text": "Ann"}}
        short = {"id": 7, "text": "Ann left.", "label": [{"start": 0, "end": 3, "text": "Ann", "labels": ["person"]}]}
        tasks = [
            {"data": {"comment": "Ann left."}, "annotations": [{"result": [result]}]},
            {"data": {"text": "Ann left."}, "completions": [{"result": [result]}]},
            {**short, "annotator": 1},
        ]
        path = tmp_path / "export.json"
        path.write_text(json.dumps(tasks))
        exported = list(read(path, "label-studio"))
        assert [[(m.text, m.label) for m in d.mentions] for d in exported] == [[("Ann", "person")]] * 3
        path.write_text(json.dumps([short]))
        assert next(read(path)).mentions == exported[0].mentions
        path.write_text(json.dumps([{"data": {"a": "Ann", "b": "left"}}]))
        with pytest.raises(DataError, match="has no `text`, and strings under: a, b; name the key"):
            list(read(path, "label-studio"))
        assert next(read(path, "label-studio", ReadOptions(text_column="b"))).text == "left"

    def test_an_export_is_read_with_its_annotations(self, tmp_path: Path) -> None:
        def label(start: int, end: int, *labels: str) -> dict[str, Any]:
            value = {"start": start, "end": end, "labels": list(labels), "text": TEXT[start - 1 : end - 1]}
            return {"from_name": "label", "to_name": "text", "type": "labels", "value": value}

        choice = {"from_name": "c", "to_name": "text", "type": "choices", "value": {"choices": ["good"]}}
        task = {
            "id": 7,
            "data": {"text": TEXT, "source": "wire"},
            "annotations": [
                {"result": [label(3, 6, "person")]},
                {"result": [label(3, 10, "person", "author"), choice]},
                {"result": [], "was_cancelled": True},
            ],
            "predictions": [{"result": [label(3, 6, "place")]}],
        }
        path = tmp_path / "export.json"
        path.write_text(json.dumps([task]))
        with pytest.warns(EntsembleWarning, match="1 task with annotations that differ"):
            [exported] = read(path, "label-studio")
        assert (exported.id, [(m.text, m.label) for m in exported.mentions]) == (
            "7",
            [("Ann Lee", "author"), ("Ann Lee", "person")],
        )
        assert exported.meta == {"source": "wire", "label studio": [choice]}

    @pytest.mark.parametrize(
        ("task", "reason"),
        [
            ({"text": "x"}, "a task of Label Studio"),
            (
                {
                    "data": {"text": "Ann"},
                    "annotations": [{"result": [{"value": {"start": 0, "end": 9, "labels": ["x"]}}]}],
                },
                "not a range",
            ),
            (
                {
                    "data": {"text": "Ann"},
                    "annotations": [{"result": [{"value": {"start": 0, "end": 2, "labels": ["x"], "text": "nn"}}]}],
                },
                "'nn' is at 'An'",
            ),
            ({"data": {"text": "Ann"}, "annotations": 5}, "`annotations` must be a list"),
            ({"data": {"text": "Ann"}, "annotations": [{"result": 5}]}, "`result` must be a list"),
            ({"data": {"text": "Ann", "by": "\ud800"}}, "contains half of a surrogate"),
        ],
    )
    def test_invalid_tasks_are_refused_with_their_line(self, task: Any, reason: str, tmp_path: Path) -> None:
        path = tmp_path / "export.json"
        path.write_text(json.dumps([{"data": {"text": "fine"}}, task], indent=1))
        with pytest.raises(DataError, match=rf"export\.json:\d+: task 2: .*{reason}"):
            list(read(path, "label-studio"))


def test_rejected_prodigy_examples_are_skipped_with_a_warning(tmp_path: Path) -> None:
    lines = [
        {"text": "Ann", "spans": [{"start": 0, "end": 3, "label": "person"}], "answer": a} for a in ("accept", "reject")
    ]
    path = tmp_path / "out.jsonl"
    path.write_text("\n".join(json.dumps({**line, "_input_hash": i}) for i, line in enumerate(lines)))
    with pytest.warns(UserWarning, match="1 example that was rejected"):
        [exported] = read(path, "prodigy")
    assert (exported.meta, exported.mentions[0].label) == ({}, "person")


class TestSpacy:
    @pytest.fixture
    def spacy(self) -> Any:
        return pytest.importorskip("spacy")

    def test_a_docbin_has_spans_and_entities(self, spacy: Any, tmp_path: Path) -> None:
        from spacy.tokens import DocBin

        write([NESTED], tmp_path / "some.spacy")
        [doc] = DocBin().from_disk(tmp_path / "some.spacy").get_docs(spacy.blank("en").vocab)
        assert doc.text == TEXT
        assert {(e.text, e.label_) for e in doc.ents} == {("Ann Lee", "person"), ("York Times\tsaid", "odd")}
        assert len(doc.spans["sc"]) == 5

    def test_docbins_of_other_tools_are_read_by_their_entities(self, spacy: Any, tmp_path: Path) -> None:
        from spacy.tokens import DocBin

        doc = spacy.blank("en")("Ann went to Oslo.")
        doc.ents = [doc.char_span(12, 16, label="place")]
        DocBin(docs=[doc]).to_disk(tmp_path / "some.spacy")
        assert as_tuples(read(tmp_path / "some.spacy")) == [
            ("some.spacy:1", "Ann went to Oslo.", [(12, 16, "place", None)])
        ]
        (tmp_path / "none.spacy").write_bytes(b"no")
        with pytest.raises(DataError, match="not a valid DocBin"):
            list(read(tmp_path / "none.spacy"))

    @pytest.mark.usefixtures("scripted", "plain_members")
    def test_the_component_annotates_docs_and_is_restored_from_disk(self, spacy: Any, tmp_path: Path) -> None:
        nlp = spacy.blank("en")
        nlp.add_pipe("entsemble", config={"labels": ["person", "location"]})
        docs = list(
            nlp.pipe([f"Ann flew to Oslo {i} times." for i in range(40)] + ["Bergen-based Bob Lee"], batch_size=8)
        )
        assert [(e.text, e.label_) for e in docs[3].ents] == [("Ann", "person"), ("Oslo", "location")]
        assert docs[3].spans["sc"].attrs["scores"] == [m.score for m in docs[3]._.mentions]
        assert docs[3]._.mentions[0].votes == {"smollm2-135m": "person", "gemma-3-270m": "person"}
        assert [m.text for m in docs[-1]._.mentions] == ["Bergen", "Bob Lee"]
        assert [e.text for e in nlp("Nobody saw Ann.").ents] == ["Ann"]
        nlp.to_disk(tmp_path / "nlp")
        restored = spacy.load(tmp_path / "nlp")
        assert [e.text for e in restored("Nobody saw Ann.").ents] == ["Ann"]


@pytest.mark.usefixtures("scripted", "plain_members")
def test_a_dataset_is_lossless_and_mapped_in_batches() -> None:
    pytest.importorskip("datasets", reason="needs the extra 'datasets'")
    from entsemble.integrations.datasets import batch_extractor, features, from_dataset, to_dataset

    dataset = to_dataset([NESTED, GOLD, PLAIN])
    assert dataset.features == features()
    assert list(from_dataset(dataset)) == [NESTED, GOLD, PLAIN]
    assert [dict(m.votes) for m in next(from_dataset(dataset)).mentions] == [dict(m.votes) for m in NESTED.mentions]
    with entsemble.load(["person", "location"]) as ensemble:
        mapped = dataset.select_columns(["text"]).map(batch_extractor(ensemble), batched=True, batch_size=2)
    assert [[m["text"] for m in row["mentions"]] for row in mapped] == [["Ann"], ["Ann"], []]


def test_a_data_frame_is_converted_back() -> None:
    pytest.importorskip("pandas", reason="needs the extra 'pandas'")
    from entsemble.integrations.pandas import COLUMNS, from_frame, to_frame

    documents = [NESTED, GOLD, PLAIN]
    frame = to_frame(documents)
    assert tuple(frame.columns) == COLUMNS
    assert len(frame) == 10
    assert as_tuples(from_frame(frame, {d.id: d.text for d in documents})) == as_tuples(documents)
    with pytest.raises(DataError, match="no text for the document 'n'"):
        from_frame(frame, {})
    with pytest.raises(DataError, match="is not at"):
        from_frame(frame, {"n": "x" * 60, "g": TEXT})


def test_label_studio_tasks_are_converted_back(command: Callable[..., Any], tmp_path: Path) -> None:
    write([GOLD], tmp_path / "gold.jsonl")
    assert command("convert", tmp_path / "gold.jsonl", tmp_path / "tasks.json", "--to", "label-studio").code == 0
    assert command("convert", tmp_path / "tasks.json", tmp_path / "back.jsonl", "--from", "label-studio").code == 0
    assert as_tuples(read(tmp_path / "back.jsonl")) == as_tuples([GOLD])


@pytest.mark.soak
@pytest.mark.parametrize("document", [NESTED, GOLD], ids=["predictions", "annotations"])
def test_label_studio_accepts_our_tasks(document: Document, tmp_path: Path) -> None:
    sdk = pytest.importorskip("label_studio_sdk.label_interface", reason="needs label-studio-sdk")
    labels = "".join(f'<Label value="{label}"/>' for label in sorted({m.label for m in document.mentions}))
    view = f'<Labels name="label" toName="text">{labels}</Labels><Text name="text" value="$text"/>'
    interface = sdk.LabelInterface(f"<View>{view}</View>")
    write([document], tmp_path / "tasks.json", "label-studio")
    [task] = json.loads((tmp_path / "tasks.json").read_text(encoding="utf-8"))
    for prediction in task.get("predictions", []):
        assert interface.validate_prediction(prediction, return_errors=True) == []
    for annotation in task.get("annotations", []):
        assert interface.validate_annotation(annotation)
    assert "predictions" in task or "annotations" in task
