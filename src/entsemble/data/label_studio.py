"""Exports of Label Studio, and tasks for its import.

Label Studio counts offsets in UTF-16 code units, as its JavaScript does (its issue 1347). Mentions may be nested and
may overlap.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any, TextIO

from entsemble.data import jsonl
from entsemble.data.json_values import check_surrogates, list_value, score_value
from entsemble.data.options import ReadOptions
from entsemble.data.source import Source
from entsemble.errors import DataError
from entsemble.types import Document, Mention, mention_at

_FROM_NAME, _TO_NAME, _RESULT_TYPE = "label", "text", "labels"
"""The usual names of the `Labels` and `Text` tags in a labelling configuration, and their type of result."""


def read(source: Source, options: ReadOptions) -> Iterator[Document]:  # noqa: ARG001
    """The tasks of an export, or of an import with predictions.

    A task's mentions are those of its last annotation that was not cancelled, or, without annotations, of its last
    prediction. Results other than text labels (choices, relations) go to `meta`, under `label studio`.

    Raises:
        DataError: it is not a JSON array of tasks, or a label's text is not at its offsets.
    """
    skipped_tasks = 0

    def to_documents(task: object, default_id: str) -> list[Document]:
        nonlocal skipped_tasks
        if _is_skipped(task):
            skipped_tasks += 1
            return []
        return [_document(task, default_id)]

    yield from jsonl.read_items(source, "task", to_documents)
    if skipped_tasks:
        message = f"{source.name}: {skipped_tasks} tasks that were skipped in Label Studio are left out"
        warnings.warn(message, stacklevel=2)


def write(documents: Iterable[Document], stream: TextIO) -> None:
    """A task per document: mentions with scores as predictions, others as annotations."""
    jsonl.write_values(map(_task, documents), stream)


def _task(document: Document) -> dict[str, Any]:
    offsets = _utf16_offsets(document.text)
    results = [_result(mention, number, offsets) for number, mention in enumerate(document.mentions)]
    task = {"data": {"text": document.text, "id": document.id}, "meta": dict(document.meta)}
    if any(mention.score is not None for mention in document.mentions):
        return {**task, "predictions": [{"model_version": "entsemble", "result": results}]}
    return {**task, "annotations": [{"result": results}]}


def _result(mention: Mention, number: int, offsets: Sequence[int]) -> dict[str, Any]:
    start, end = offsets[mention.start], offsets[mention.end]
    result: dict[str, Any] = {
        "id": f"m{number}",
        "from_name": _FROM_NAME,
        "to_name": _TO_NAME,
        "type": _RESULT_TYPE,
        "value": {"start": start, "end": end, "text": mention.text, "labels": [mention.label]},
    }
    return result if mention.score is None else {**result, "score": mention.score}


def _document(task: object, default_id: str) -> Document:
    data = task.get("data") if isinstance(task, Mapping) else None
    if not isinstance(task, Mapping) or not isinstance(data, Mapping) or not isinstance(data.get("text"), str):
        raise DataError("a task of Label Studio is an object with `data` that contains a `text`")
    text: str = data["text"]
    check_surrogates(text, "the text")
    if not isinstance(task.get("meta") or {}, Mapping):
        raise DataError("`meta` must be an object")
    code_points = {utf16_offset: code_point for code_point, utf16_offset in enumerate(_utf16_offsets(text))}
    mentions: list[Mention] = []
    other_results: list[Any] = []
    for result in _results(task):
        value = result.get("value") if isinstance(result, Mapping) else None
        if isinstance(value, Mapping) and isinstance(value.get("labels"), list) and "start" in value:
            mentions += _mentions(text, code_points, value, result.get("score"))
        else:
            other_results.append(result)
    other_data = {key: value for key, value in data.items() if key not in {"text", "id"}}
    meta = {**other_data, **(task.get("meta") or {})}
    if other_results:
        meta["label studio"] = other_results
    document_id = str(data.get("id", task.get("id", default_id)))
    labels = [mention.label for mention in mentions]
    check_surrogates(json.dumps([document_id, meta, labels], ensure_ascii=False), "a task")
    return Document(document_id, text, tuple(mentions), (), meta)


def _results(task: Mapping[str, Any]) -> Sequence[Any]:
    """The results of the last annotation that was not cancelled; without annotations, of the last prediction."""
    annotations, predictions = (
        [item for item in list_value(task.get(key), key) if isinstance(item, Mapping)]
        for key in ("annotations", "predictions")
    )
    completed = (
        [annotation for annotation in annotations if not annotation.get("was_cancelled")]
        if annotations
        else predictions
    )
    return list_value(completed[-1].get("result"), "result") if completed else ()


def _is_skipped(task: object) -> bool:
    """Whether a task has annotations and all of them were cancelled."""
    annotations = list_value(task.get("annotations"), "annotations") if isinstance(task, Mapping) else ()
    return bool(annotations) and all(map(_is_cancelled, annotations))


def _is_cancelled(annotation: object) -> bool:
    return isinstance(annotation, Mapping) and bool(annotation.get("was_cancelled"))


def _mentions(text: str, code_points: Mapping[int, int], value: Mapping[str, Any], score: object) -> list[Mention]:
    offsets = value.get("start"), value.get("end")
    start, end = (code_points.get(offset) if isinstance(offset, int) else None for offset in offsets)
    if start is None or end is None or not start < end:
        raise DataError(f"{list(offsets)} is not a range of the text in UTF-16 code units, which Label Studio counts")
    surface = value.get("text")
    if isinstance(surface, str) and surface != text[start:end]:
        raise DataError(
            f"the label on {surface!r} is at {text[start:end]!r}; was the text changed after it was labelled?"
        )
    confidence = score_value(score, repr(text[start:end]))
    return [replace(mention_at(text, start, end, str(label)), score=confidence) for label in value["labels"]]


def _utf16_offsets(text: str) -> list[int]:
    """The offset in UTF-16 code units of each code point, and of the end."""
    return [0, *accumulate(2 if ord(character) > 0xFFFF else 1 for character in text)]
