"""What annotation tools import and export, where that is not our JSON Lines: Label Studio, Prodigy, doccano.

Label Studio counts UTF-16 code units, as its page's JavaScript does (its issue 1347); Prodigy and doccano count code
points. All three hold nested and overlapping mentions.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any, TextIO

from entsemble.data import jsonl
from entsemble.data.options import ReadOptions
from entsemble.data.source import Source
from entsemble.errors import DataError
from entsemble.types import Document, Mention, mention_at

_MADE = ("annotations", "predictions")
_FROM, _TO, _TYPE = "label", "text", "labels"
"""What a labelling configuration of Label Studio usually calls its `Labels` and its `Text`."""


def read_label_studio(source: Source, options: ReadOptions) -> Iterator[Document]:  # noqa: ARG001
    """The tasks of a Label Studio export, or of an import with predictions.

    A task's annotations count, its predictions where it has none; of several, the last that was not cancelled. What is
    no text label (choices, relations) stands in `meta`, under `label studio`.

    Raises:
        DataError: no JSON array of tasks, or a label that is not where it says.
    """
    skipped = 0

    def made(task: object, usual: str) -> list[Document]:
        nonlocal skipped
        skipped += _skipped(task)
        return [] if _skipped(task) else [_of_task(task, usual)]

    yield from jsonl.each(source, "task", made)
    if skipped:
        warnings.warn(f"{source.name}: {skipped} tasks that were skipped in Label Studio are left out", stacklevel=2)


def write_label_studio(documents: Iterable[Document], stream: TextIO) -> None:
    """Tasks for Label Studio's import: predictions where mentions have scores, annotations where they have none."""
    before = "[\n"
    for document in documents:
        stream.write(before + json.dumps(_task(document), ensure_ascii=False))
        before = ",\n"
    stream.write("\n]\n" if before == ",\n" else "[]\n")


def read_prodigy(source: Source, options: ReadOptions) -> Iterator[Document]:
    """The accepted examples of a Prodigy export; that others were left out is warned of.

    Raises:
        DataError: as for JSON Lines.
    """
    left_out = 0
    for document in jsonl.read_lines(source, options):
        meta = {k: v for k, v in document.meta.items() if not k.startswith("_") and k != "answer"}
        if document.meta.get("answer", "accept") != "accept":
            left_out += 1
            continue
        yield replace(document, id=str(meta.pop("id", document.id)), meta=meta)
    if left_out:
        told = f"{source.name}: {left_out} examples that were rejected or ignored in Prodigy are left out"
        warnings.warn(told, stacklevel=2)


def write_prodigy(documents: Iterable[Document], stream: TextIO) -> None:
    """Examples for Prodigy's `spans.manual` and `ner.manual`, which makes tokens of its own."""
    for document in documents:
        spans = [_scored({"start": m.start, "end": m.end, "label": m.label}, m) for m in document.mentions]
        told = {"text": document.text, "spans": spans, "meta": {**document.meta, "id": document.id}}
        stream.write(json.dumps(told, ensure_ascii=False) + "\n")


def write_doccano(documents: Iterable[Document], stream: TextIO) -> None:
    """Lines for doccano's sequence labelling, which the reader of JSON Lines reads. It has no place for scores."""
    for document in documents:
        label = [[m.start, m.end, m.label] for m in document.mentions]
        told = {**document.meta, "id": document.id, "text": document.text, "label": label}
        stream.write(json.dumps(told, ensure_ascii=False) + "\n")


def _scored(value: dict[str, Any], mention: Mention) -> dict[str, Any]:
    return value if mention.score is None else {**value, "score": mention.score}


def _task(document: Document) -> dict[str, Any]:
    units = _units(document.text)
    result = [
        _scored(
            {
                "id": f"m{i}",
                "from_name": _FROM,
                "to_name": _TO,
                "type": _TYPE,
                "value": {"start": units[m.start], "end": units[m.end], "text": m.text, "labels": [m.label]},
            },
            m,
        )
        for i, m in enumerate(document.mentions)
    ]
    predicted = any(m.score is not None for m in document.mentions)
    made = {"model_version": "entsemble", "result": result} if predicted else {"result": result}
    told = {"data": {"text": document.text, "id": document.id}, "meta": dict(document.meta)}
    return told | {"predictions" if predicted else "annotations": [made]}


def _of_task(task: object, usual: str) -> Document:
    data = task.get("data") if isinstance(task, Mapping) else None
    if not isinstance(task, Mapping) or not isinstance(data, Mapping) or not isinstance(data.get("text"), str):
        raise DataError("a task of Label Studio is an object with `data`, which has a `text`")
    text: str = data["text"]
    jsonl.check_whole(text, "the text")
    if not isinstance(task.get("meta") or {}, Mapping):
        raise DataError("`meta` must be an object")
    places = {unit: point for point, unit in enumerate(_units(text))}
    mentions: list[Mention] = []
    others: list[Any] = []
    for result in _results(task):
        value = result.get("value") if isinstance(result, Mapping) else None
        if isinstance(value, Mapping) and isinstance(value.get("labels"), list) and "start" in value:
            mentions += _mentions(text, places, value, result.get("score"))
        else:
            others.append(result)
    meta = {**{k: v for k, v in data.items() if k not in {"text", "id"}}, **(task.get("meta") or {})}
    if others:
        meta["label studio"] = others
    name = str(data.get("id", task.get("id", usual)))
    jsonl.check_whole(json.dumps([name, meta, [m.label for m in mentions]], ensure_ascii=False), "a task")
    return Document(name, text, tuple(mentions), (), meta)


def _results(task: Mapping[str, Any]) -> Sequence[Any]:
    """Of the last annotation that was not cancelled; of the predictions where nobody annotated."""
    annotations, predictions = ([a for a in jsonl.list_of(task.get(k), k) if isinstance(a, Mapping)] for k in _MADE)
    made = [a for a in annotations if not a.get("was_cancelled")] if annotations else predictions
    return jsonl.list_of(made[-1].get("result"), "result") if made else ()


def _skipped(task: object) -> bool:
    """Whether people saw it and all cancelled."""
    made = jsonl.list_of(task.get("annotations"), "annotations") if isinstance(task, Mapping) else ()
    cancelled = [isinstance(a, Mapping) and bool(a.get("was_cancelled")) for a in made]
    return bool(cancelled) and all(cancelled)


def _mentions(text: str, places: Mapping[int, int], value: Mapping[str, Any], score: object) -> list[Mention]:
    told = value.get("start"), value.get("end")
    start, end = (places.get(unit) if isinstance(unit, int) else None for unit in told)
    if start is None or end is None or not start < end:
        raise DataError(f"{list(told)} is no range of the text in UTF-16 code units, which Label Studio counts")
    shown = value.get("text")
    if isinstance(shown, str) and shown != text[start:end]:
        raise DataError(
            f"the label on {shown!r} is at {text[start:end]!r}; was the text changed after it was labelled?"
        )
    given = jsonl.score_of(score, repr(text[start:end]))
    return [replace(mention_at(text, start, end, str(label)), score=given) for label in value["labels"]]


def _units(text: str) -> list[int]:
    """UTF-16 code units before each code point, and before the end."""
    return [0, *accumulate(2 if ord(point) > 0xFFFF else 1 for point in text)]
