"""The corpora of `sources.toml`, read into one shape."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SOURCES_FILE = Path(__file__).parent / "sources.toml"


@dataclass(frozen=True)
class Mention:
    """A labelled stretch of characters, `text[start:end]`."""

    start: int
    end: int
    label: str


@dataclass(frozen=True)
class Document:
    """A sentence with its mentions; `known_labels` are all that its annotators looked for."""

    source: str
    text: str
    mentions: tuple[Mention, ...]
    split: str
    known_labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """One row of `sources.toml`."""

    name: str
    path: str
    reader: str
    group: str
    domain: str
    language: str
    licence: str
    attribution: str
    files: tuple[str, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    subsets: tuple[str, ...] = ()
    tag_columns: tuple[int, ...] = ()
    held_out: bool = False
    limit: int | None = None


def load_sources(path: Path = SOURCES_FILE) -> list[Source]:
    """The table of sources, in the order of the file."""
    rows: list[dict[str, Any]] = tomllib.loads(path.read_text(encoding="utf-8"))["source"]
    return [_source_of(row) for row in rows]


def _source_of(row: dict[str, Any]) -> Source:
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
    return Source(**fields)


def data_folder(argument: Path | None) -> Path:
    """`--data`, else what `ENTSEMBLE_DATA` names, else `../shared/data`."""
    folder = argument or Path(os.environ.get("ENTSEMBLE_DATA", "../shared/data"))
    if not folder.is_dir():
        raise SystemExit(f"no data folder at {folder}: name one with --data or ENTSEMBLE_DATA")
    return folder


def read_source(source: Source, data: Path) -> list[Document]:
    """All documents of a source, every split; `known_labels` is filled in for each."""
    if source.reader == "diverse":
        return _read_diverse(source, data / source.path)
    if source.reader == "presidio":
        rows = _read_presidio(source, data / source.path)
    else:
        rows = [
            Document(source.name, text, _renamed(mentions, source), "train")
            for file in source.files
            for text, mentions in read_columns(data / source.path / file, source.tag_columns)
        ]
    known = tuple(sorted({mention.label for row in rows for mention in row.mentions}))
    return [Document(row.source, row.text, row.mentions, row.split, known) for row in rows]


def read_definitions(source: Source, data: Path) -> dict[str, list[str]]:
    """Label to its definitions, where the corpus has any."""
    folder, definitions = data / source.path, dict[str, list[str]]()
    if (folder / "labels.json").exists():
        for label, text in _load_json(folder / "labels.json").items():
            definitions[label] = [text] if text else []
    if (folder / "labels_variants.json").exists():
        for label, variants in _load_json(folder / "labels_variants.json").items():
            paraphrased = [text for texts in variants["paraphrased_names"].values() for text in texts]
            definitions.setdefault(label, []).extend([*variants["descriptions"], *paraphrased])
    return definitions


def read_synonyms(source: Source, data: Path) -> dict[str, list[str]]:
    """Label to other names of it, where the corpus has any."""
    file = data / source.path / "labels_variants.json"
    variants = _load_json(file) if file.exists() else {}
    return {label: list(row["paraphrased_names"]) for label, row in variants.items()}


def read_columns(path: Path, tag_columns: tuple[int, ...] = ()) -> Iterator[tuple[str, list[Mention]]]:
    """Sentences of a file in columns, words joined by blanks; without `tag_columns` every tag-like column is read.

    IOB1, IOB2 and IOBES are read alike: a mention ends where the label changes or where `B-` or `S-` begins another.
    """
    rows: list[list[str]] = []
    for line in [*path.read_text(encoding="utf-8-sig").splitlines(), ""]:
        columns = line.split("\t") if "\t" in line else line.split(" ")
        if line.strip() and not line.startswith(("# ", "-DOCSTART-")):
            rows.append([column for column in columns if column] if "\t" not in line else columns)
        elif rows:
            yield _sentence_of(rows, tag_columns)
            rows = []


def _sentence_of(rows: list[list[str]], tag_columns: tuple[int, ...]) -> tuple[str, list[Mention]]:
    numbered = bool(tag_columns)  # treebank files number their words in the first column
    words = [row[1 if numbered else 0].strip() or "_" for row in rows]
    if not numbered and all(re.fullmatch(r"O|[BIES]-\S+", row[0]) and len(row) == 2 for row in rows):
        words, rows = [row[1] for row in rows], [[row[1], row[0]] for row in rows]  # tag before word
    width = min(map(len, rows))
    columns = tag_columns or [
        column for column in range(1, width) if all(re.fullmatch(r"O|[BIES]-\S+", row[column].strip()) for row in rows)
    ]
    starts, position = [], 0
    for word in words:
        starts.append(position)
        position += len(word) + 1
    mentions: list[Mention] = []
    for column in columns:
        mentions.extend(_mentions_of([row[column].strip() for row in rows], words, starts))
    return " ".join(words), sorted(set(mentions), key=lambda mention: (mention.start, mention.end, mention.label))


def _mentions_of(tags: list[str], words: list[str], starts: list[int]) -> Iterator[Mention]:
    begin: int | None = None
    for index, tag in enumerate([*tags, "O"]):
        previous = tags[index - 1] if index else "O"
        if begin is not None and (tag == "O" or tag[:1] in "BS" or tag[2:] != previous[2:]):
            yield Mention(starts[begin], starts[index - 1] + len(words[index - 1]), previous[2:])
            begin = None
        if begin is None and tag != "O":
            begin = index


def _read_diverse(source: Source, folder: Path) -> list[Document]:
    every_label = tuple(_load_json(folder / "labels.json"))
    label_sets: dict[str, list[str]] = {}
    if (folder / "labelsets.json").exists():
        label_sets = _load_json(folder / "labelsets.json")
    documents = []
    for line in (folder / f"{source.name}.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        subset = row.get("subset")
        if source.subsets and subset not in source.subsets:
            continue
        known = tuple(label_sets.get(subset, every_label)) if label_sets else every_label
        mentions = tuple(Mention(item["start"], item["end"], item["label"]) for item in row["mentions"])
        documents.append(Document(source.name, row["text"], mentions, row["split"], known))
    return documents


def _read_presidio(source: Source, folder: Path) -> list[Document]:
    """Split by template, as sentences of one template differ in the values only."""
    documents = []
    for row in _load_json(folder / source.files[0]):
        spans = [Mention(span["start_position"], span["end_position"], span["entity_type"]) for span in row["spans"]]
        split = "dev" if row["template_id"] % 5 == 0 else "train"
        documents.append(Document(source.name, row["full_text"], _renamed(spans, source), split))
    return documents


def _renamed(mentions: list[Mention], source: Source) -> tuple[Mention, ...]:
    return tuple(
        Mention(item.start, item.end, source.labels.get(item.label, item.label.replace("_", " ").lower()))
        for item in mentions
    )


def _load_json(path: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    return json.loads(path.read_text(encoding="utf-8"))
