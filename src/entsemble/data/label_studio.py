"""Exports of Label Studio, and tasks for its import.

Offsets count code points, as Label Studio does today; older exports count UTF-16 code units, and some count a CRLF as
one character. Which of these a task follows is known from the texts of its labels; without them, code points.
Mentions may be nested and may overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TextIO

from entsemble.data import jsonl
from entsemble.data.json_values import check_surrogates, list_value, same_but_whitespace, score_value, write_json
from entsemble.data.offset_counts import FindCodePoint, code_points, crlf_as_one, utf16_units
from entsemble.data.options import ReadOptions, WriteOptions
from entsemble.data.source import Source
from entsemble.errors import DataError, warn
from entsemble.types import Document, Mention

_JSON_MIN_KEYS = frozenset(("annotation_id", "annotator", "label"))
_USUAL_NAMES = WriteOptions()
_RESULT_TYPE = "labels"
"""What a `Labels` tag in a labelling configuration gives."""


def read(source: Source, options: ReadOptions) -> Iterator[Document]:
    """The tasks of an export, or of an import with predictions.

    A task's mentions are those of its last annotation that was not cancelled, or, without annotations, of its last
    prediction; exports from before 1.0 call annotations completions. Results other than text labels (choices,
    relations) go to `meta`, under `label studio`. The text is `text` of the task's data, the key that
    `options.text_column` names, or the only string there. Tasks of the short export, JSON-MIN, are read, too.

    Raises:
        DataError: it is not a JSON array of tasks, or a label's text is not at its offsets.
    """
    skipped_tasks = unchecked_tasks = ambiguous_tasks = 0
    unread_types: set[str] = set()

    def to_documents(task: object, default_id: str) -> list[Document]:
        nonlocal skipped_tasks, unchecked_tasks, ambiguous_tasks
        task = _as_task(task)
        if _is_skipped(task):
            skipped_tasks += 1
            return []
        if isinstance(task, dict) and "data" not in task and not _JSON_MIN_KEYS.isdisjoint(task):
            return [jsonl.from_json(task, default_id)]
        document = _document(task, default_id, options.text_column)
        unchecked_tasks += _is_unchecked(document, task)
        ambiguous_tasks += _is_ambiguous(task)
        unread_types.update(_unread_types(document))
        return [document]

    if _has_a_task_per_line(source):
        yield from _read_lines(source, to_documents)
    else:
        yield from jsonl.read_items(source, "task", to_documents)
    if skipped_tasks:
        verb = "was" if skipped_tasks == 1 else "were"
        warn(f"{source.place}: {_count_tasks(skipped_tasks)} that {verb} skipped in Label Studio left out")
    if unchecked_tasks:
        noun = _count_tasks(unchecked_tasks)
        message = f"{source.place}: the labels of {noun} have no `text`, so that their offsets are taken as code points"
        warn(f"{message}; check those behind an emoji or a line end")
    if ambiguous_tasks:
        message = f"{source.place}: {_count_tasks(ambiguous_tasks)} with annotations that differ"
        warn(f"{message}; the last annotation of each is read")
    if unread_types:
        message = f"{source.place}: results of the type {', '.join(sorted(unread_types))} are no labels of a text"
        warn(f"{message}; they are kept in `meta`, under `label studio`")


def _count_tasks(count: int) -> str:
    return "1 task" if count == 1 else f"{count:,} tasks"


def _has_a_task_per_line(source: Source) -> bool:
    """Whether the first line is a whole object, as in JSON Lines; one in a file by itself may be read either way."""
    first_line = source.head().lstrip().partition(b"\n")[0].rstrip()
    return first_line.startswith(b"{") and first_line.endswith(b"}")


def _read_lines(source: Source, to_documents: Callable[[object, str], list[Document]]) -> Iterator[Document]:
    line_number = 0
    try:
        for line_number, task in jsonl.read_records(source):
            yield from to_documents(task, f"{source.name}:{line_number}")
    except DataError as error:
        raise DataError(error.problem, source.place, error.line or line_number) from error


def _as_task(task: object) -> object:
    """An annotation that Label Studio writes to cloud storage, which holds its task, as a task with the annotation."""
    if isinstance(task, Mapping) and isinstance(task.get("task"), Mapping) and "result" in task:
        return {**task["task"], "annotations": [task]}
    return task


def _is_ambiguous(task: object) -> bool:
    """Whether a task has several annotations that were not cancelled, with different labels of the text."""
    annotations = list_value(task.get(_annotations_key(task)), "annotations") if isinstance(task, Mapping) else ()
    label_sets = [
        {repr(result["value"]) for result in list_value(item.get("result"), "result") if _is_text_label(result)}
        for item in annotations
        if isinstance(item, Mapping) and not _is_cancelled(item)
    ]
    return any(labels != label_sets[-1] for labels in label_sets)


def _unread_types(document: Document) -> Iterator[str]:
    """The types of results that mark something, but not a range of the text."""
    results = document.meta.get("label studio")
    for result in results if isinstance(results, list) else ():
        result_type = result.get("type") if isinstance(result, Mapping) else None
        if isinstance(result_type, str) and result_type.endswith("labels"):
            yield result_type


def write(documents: Iterable[Document], stream: TextIO, options: WriteOptions = _USUAL_NAMES) -> None:
    """A task per document: mentions with scores as predictions, others as annotations.

    Args:
        documents: what to write.
        stream: where to.
        options: the names of the labelling configuration.

    Raises:
        DataError: a document's meta or scores cannot be written as JSON.
    """
    jsonl.write_items(documents, lambda document: _task(document, options), stream)


def _task(document: Document, options: WriteOptions) -> dict[str, Any]:
    results = [_result(mention, number, options) for number, mention in enumerate(document.mentions)]
    data = {"id": document.id, options.text_key: document.text}
    task = {"data": data, "meta": dict(document.meta)}
    if any(mention.score is not None for mention in document.mentions):
        return {**task, "predictions": [{"model_version": "entsemble", "result": results}]}
    return {**task, "annotations": [{"result": results}]}


def _result(mention: Mention, number: int, options: WriteOptions) -> dict[str, Any]:
    result: dict[str, Any] = {
        "id": f"m{number}",
        "from_name": options.from_name,
        "to_name": options.to_name,
        "type": _RESULT_TYPE,
        "value": {"start": mention.start, "end": mention.end, "text": mention.text, "labels": [mention.label]},
    }
    return result if mention.score is None else {**result, "score": mention.score}


def _document(task: object, default_id: str, text_key: str | None) -> Document:
    data = task.get("data") if isinstance(task, Mapping) else None
    if not isinstance(task, Mapping) or not isinstance(data, Mapping):
        raise DataError("a task of Label Studio is an object with `data`; for other JSON, name the format json")
    text_key = _find_text_key(data, text_key)
    text: str = data[text_key]
    check_surrogates(text, "the text")
    if not isinstance(task.get("meta") or {}, Mapping):
        raise DataError("`meta` must be an object")
    labelled: list[Mapping[str, Any]] = []
    other_results: list[Any] = []
    for result in _results(task):
        (labelled if _is_text_label(result) else other_results).append(result)
    mentions = _mentions(text, labelled)
    other_data = {key: value for key, value in data.items() if key not in {text_key, "id"}}
    meta = {**other_data, **(task.get("meta") or {})}
    if other_results:
        meta["label studio"] = other_results
    ids = [data.get("id"), task.get("id")]
    document_id = next((str(value) for value in ids if isinstance(value, (str, int))), default_id)
    labels = [mention.label for mention in mentions]
    check_surrogates(write_json([document_id, meta, labels], document_id), "a task")
    return Document(document_id, text, tuple(mentions), (), meta)


def _is_unchecked(document: Document, task: object) -> bool:
    """Whether the units of offsets matter in a document, and no label has a text to check them by."""
    matters = "\r\n" in document.text or any(character > "\uffff" for character in document.text)
    if not (matters and document.mentions and isinstance(task, Mapping)):
        return False
    return not any(isinstance(result["value"].get("text"), str) for result in _results(task) if _is_text_label(result))


def _find_text_key(data: Mapping[str, Any], text_key: str | None) -> str:
    """The key of the text in a task's data."""
    strings = [key for key, value in data.items() if isinstance(value, str) and key != "id"]
    usual_key = "text" if "text" in strings or len(strings) != 1 else strings[0]
    if (text_key or usual_key) not in strings:
        problem = f"`data` has no `{text_key or usual_key}`, and strings under: {', '.join(strings) or 'no key'}"
        raise DataError(f"{problem}; name the key of the text with `convert --text-key`")
    return text_key or usual_key


def _results(task: Mapping[str, Any]) -> Sequence[Any]:
    """The results of the last annotation that was not cancelled; without annotations, of the last prediction."""
    annotations, predictions = (
        [item for item in list_value(task.get(key), key) if isinstance(item, Mapping)]
        for key in (_annotations_key(task), "predictions")
    )
    completed = (
        [annotation for annotation in annotations if not annotation.get("was_cancelled")]
        if annotations
        else predictions
    )
    return list_value(completed[-1].get("result"), "result") if completed else ()


def _annotations_key(task: Mapping[str, Any]) -> str:
    """`completions` in exports from before Label Studio 1.0."""
    return "completions" if "annotations" not in task and "completions" in task else "annotations"


def _is_skipped(task: object) -> bool:
    """Whether a task has annotations and all of them were cancelled."""
    annotations = list_value(task.get(_annotations_key(task)), "annotations") if isinstance(task, Mapping) else ()
    return bool(annotations) and all(map(_is_cancelled, annotations))


def _is_cancelled(annotation: object) -> bool:
    return isinstance(annotation, Mapping) and bool(annotation.get("was_cancelled"))


def _is_text_label(result: object) -> bool:
    """Whether a result labels a range of the text."""
    value = result.get("value") if isinstance(result, Mapping) else None
    return isinstance(value, Mapping) and isinstance(value.get("labels"), list) and "start" in value


def _mentions(text: str, results: Sequence[Mapping[str, Any]]) -> list[Mention]:
    mentions: list[Mention] = []
    find_code_point = _fitting_count(text, [result["value"] for result in results])
    for result in results:
        value = result["value"]
        start, end = find_code_point(value["start"]), find_code_point(value.get("end"))
        if start is None or end is None or not start < end:
            raise DataError(
                f"[{value['start']}, {value.get('end')}) is not a range of a text of {len(text)} characters"
            )
        actual, surface = text[start:end], value.get("text")
        if isinstance(surface, str) and not same_but_whitespace(actual, surface):
            raise DataError(f"the label on {surface!r} is at {actual!r}; was the text changed after it was labelled?")
        confidence = score_value(result.get("score"), repr(actual))
        labels = value["labels"]
        if not labels or not all(isinstance(label, str) and label.strip() for label in labels):
            raise DataError(f"the labels of {actual!r} must be a list of strings that are not blank, not {labels!r}")
        mentions += [Mention(start, end, label, actual, confidence) for label in labels]
    return mentions


def _fitting_count(text: str, values: Sequence[Mapping[str, Any]]) -> FindCodePoint:
    """A function from an export's offsets to code points: the first way of counting that fits the labels' texts."""
    labels = [
        (value["start"], value.get("end"), value["text"]) for value in values if isinstance(value.get("text"), str)
    ]
    counts = [code_points(text)]
    if labels:
        counts += [utf16_units(text), crlf_as_one(text)]
    for find_code_point in counts:
        ranges = [(find_code_point(start), find_code_point(end), surface) for start, end, surface in labels]
        if all(
            start is not None and end is not None and same_but_whitespace(text[start:end], surface)
            for start, end, surface in ranges
        ):
            return find_code_point
    return counts[0]
