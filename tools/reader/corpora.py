"""The corpora of `sources.toml`, read into one shape."""

from __future__ import annotations

import json
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


def load_sources(file_path: Path = SOURCES_FILE) -> list[Source]:
    """The table of sources, in the order of the file."""
    table_rows: list[dict[str, Any]] = tomllib.loads(file_path.read_text(encoding="utf-8"))["source"]
    return [_source_of(table_row) for table_row in table_rows]


def _source_of(table_row: dict[str, Any]) -> Source:
    field_values: dict[str, Any] = {
        field_name: tuple(field_value) if isinstance(field_value, list) else field_value
        for field_name, field_value in table_row.items()
    }
    return Source(**field_values)


def read_source(source: Source, data_root: Path) -> list[Document]:
    """All documents of a source, every split; `known_labels` is filled in for each."""
    if source.reader == "diverse":
        return _read_diverse(source, data_root / source.path)
    if source.reader == "presidio":
        documents = _read_presidio(source, data_root / source.path)
    else:
        documents = [
            Document(source.name, text, _renamed(mentions, source), "train")
            for file_name in source.files
            for text, mentions in read_columns(data_root / source.path / file_name, source.tag_columns)
        ]
    known_labels = tuple(sorted({mention.label for document in documents for mention in document.mentions}))
    return [
        Document(document.source, document.text, document.mentions, document.split, known_labels)
        for document in documents
    ]


def read_definitions(source: Source, data_root: Path) -> dict[str, list[str]]:
    """Label to its definitions, where the corpus has any."""
    corpus_folder, definitions = data_root / source.path, dict[str, list[str]]()
    if (corpus_folder / "labels.json").exists():
        for label, text in _load_json(corpus_folder / "labels.json").items():
            definitions[label] = [text] if text else []
    if (corpus_folder / "labels_variants.json").exists():
        for label, name_variants in _load_json(corpus_folder / "labels_variants.json").items():
            paraphrased = [text for texts in name_variants["paraphrased_names"].values() for text in texts]
            definitions.setdefault(label, []).extend([*name_variants["descriptions"], *paraphrased])
    return definitions


def read_synonyms(source: Source, data_root: Path) -> dict[str, list[str]]:
    """Label to other names of it, where the corpus has any."""
    variants_file = data_root / source.path / "labels_variants.json"
    name_variants = _load_json(variants_file) if variants_file.exists() else {}
    return {label: list(row_values["paraphrased_names"]) for label, row_values in name_variants.items()}


def read_columns(file_path: Path, tag_columns: tuple[int, ...] = ()) -> Iterator[tuple[str, list[Mention]]]:
    """Sentences of a file in columns, words joined by blanks; without `tag_columns` every tag-like column is read.

    IOB1, IOB2 and IOBES are read alike: a mention ends where the label changes or where `B-` or `S-` begins another.
    """
    token_rows: list[list[str]] = []
    for file_line in [*file_path.read_text(encoding="utf-8-sig").splitlines(), ""]:
        row_cells = file_line.split("\t") if "\t" in file_line else file_line.split(" ")
        if file_line.strip() and not file_line.startswith(("# ", "-DOCSTART-")):
            token_rows.append([cell for cell in row_cells if cell] if "\t" not in file_line else row_cells)
        elif token_rows:
            yield _sentence_of(token_rows, tag_columns)
            token_rows = []


def _sentence_of(token_rows: list[list[str]], tag_columns: tuple[int, ...]) -> tuple[str, list[Mention]]:
    words_numbered = bool(tag_columns)  # treebank files number their words in the first column
    words = [token_row[1 if words_numbered else 0].strip() or "_" for token_row in token_rows]
    if not words_numbered and all(
        re.fullmatch(r"O|[BIES]-\S+", token_row[0]) and len(token_row) == 2 for token_row in token_rows
    ):
        words, token_rows = (
            [token_row[1] for token_row in token_rows],
            [[token_row[1], token_row[0]] for token_row in token_rows],
        )  # tag before word
    column_count = min(map(len, token_rows))
    tag_columns_used = tag_columns or [
        tag_column
        for tag_column in range(1, column_count)
        if all(re.fullmatch(r"O|[BIES]-\S+", token_row[tag_column].strip()) for token_row in token_rows)
    ]
    word_starts, character_offset = [], 0
    for word in words:
        word_starts.append(character_offset)
        character_offset += len(word) + 1
    mentions: list[Mention] = []
    for tag_column in tag_columns_used:
        mentions.extend(_mentions_of([token_row[tag_column].strip() for token_row in token_rows], words, word_starts))
    return " ".join(words), sorted(set(mentions), key=lambda mention: (mention.start, mention.end, mention.label))


def _mentions_of(word_tags: list[str], words: list[str], word_starts: list[int]) -> Iterator[Mention]:
    first_tagged: int | None = None
    for word_index, current_tag in enumerate([*word_tags, "O"]):
        previous_tag = word_tags[word_index - 1] if word_index else "O"
        if first_tagged is not None and (
            current_tag == "O" or current_tag[:1] in "BS" or current_tag[2:] != previous_tag[2:]
        ):
            yield Mention(
                word_starts[first_tagged], word_starts[word_index - 1] + len(words[word_index - 1]), previous_tag[2:]
            )
            first_tagged = None
        if first_tagged is None and current_tag != "O":
            first_tagged = word_index


def _read_diverse(source: Source, corpus_folder: Path) -> list[Document]:
    every_label = tuple(_load_json(corpus_folder / "labels.json"))
    label_sets: dict[str, list[str]] = {}
    if (corpus_folder / "labelsets.json").exists():
        label_sets = _load_json(corpus_folder / "labelsets.json")
    documents = []
    for file_line in (corpus_folder / f"{source.name}.jsonl").read_text(encoding="utf-8").splitlines():
        row_values = json.loads(file_line)
        subset_name = row_values.get("subset")
        if source.subsets and subset_name not in source.subsets:
            continue
        known_labels = tuple(label_sets.get(subset_name, every_label)) if label_sets else every_label
        mentions = tuple(
            Mention(mention["start"], mention["end"], mention["label"]) for mention in row_values["mentions"]
        )
        documents.append(Document(source.name, row_values["text"], mentions, row_values["split"], known_labels))
    return documents


def _read_presidio(source: Source, corpus_folder: Path) -> list[Document]:
    """Split by template, as sentences of one template differ in the values only."""
    documents = []
    for row_values in _load_json(corpus_folder / source.files[0]):
        span_mentions = [
            Mention(span_record["start_position"], span_record["end_position"], span_record["entity_type"])
            for span_record in row_values["spans"]
        ]
        split_name = "dev" if row_values["template_id"] % 5 == 0 else "train"
        documents.append(Document(source.name, row_values["full_text"], _renamed(span_mentions, source), split_name))
    return documents


def _renamed(mentions: list[Mention], source: Source) -> tuple[Mention, ...]:
    return tuple(
        Mention(mention.start, mention.end, source.labels.get(mention.label, mention.label.replace("_", " ").lower()))
        for mention in mentions
    )


def _load_json(file_path: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    return json.loads(file_path.read_text(encoding="utf-8"))
