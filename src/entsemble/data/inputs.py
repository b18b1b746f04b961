"""What callers give as labels, texts and examples, as values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from entsemble._lib import toml
from entsemble.data.conll.tags import is_tag
from entsemble.errors import ConfigError, DataError, warn
from entsemble.types import Document, Label, mention_at

Labels = str | Path | Mapping[str, str] | Iterable[str | Label]
"""Names, in a list or separated by commas; name -> definition; `Label` values; or a TOML file of definitions."""

_USUAL_LABELS = re.compile(
    r"(pers?|persons?|people|names?|loc|locations?|places?|gpe|cit(y|ies)|countr(y|ies)|address(es)?|org|misc"
    r"|organi[sz]ations?|compan(y|ies)|dates?|time|events?|products?|works?|artists?|books?|films?|songs?|drugs?"
    r"|diseases?|genes?|proteins?|chemicals?|species|money|amount|quantity|units?|ingredients?|e?mails?|phone)",
    re.IGNORECASE,
)
"""Labels of one word, which are labels each if they stand between blanks."""

Annotation = tuple[str, Iterable[tuple[int, int, str]]]
"""A text and its mentions as (start, end, label): a half-open range of code points."""

Examples = str | Path | Document | Iterable[str | Path | Document | Annotation]
"""Files of annotated texts, annotated documents, or annotations."""


def label_definitions(labels: Labels) -> dict[str, str]:
    """Label names with their definitions, `""` for a label that has none.

    Raises:
        ConfigError: there is no label, or a file that cannot be read.
    """
    if isinstance(labels, Path) or (isinstance(labels, str) and labels.endswith(".toml")):
        return _definitions_in(Path(labels))
    if isinstance(labels, str):
        labels = _split_names(labels)
    if isinstance(labels, Mapping):
        definitions = dict(labels)
    else:
        pairs = [(label.name, label.definition) if isinstance(label, Label) else (label, "") for label in labels]
        definitions = _without_prefixes({name.strip(): definition for name, definition in pairs if name.strip()})
    if not definitions:
        raise ConfigError('the labels name no label; write them as "person,organisation"')
    return definitions


def _split_names(labels: str) -> list[str]:
    """The names in a string: between commas or semicolons, or between blanks if every word is a usual label.

    Raises:
        ConfigError: it names a file.
    """
    if _is_file(labels):
        raise ConfigError(f"{labels} is a file; labels with definitions are in a TOML file, whose name ends in .toml")
    names, words = re.split(r"[,;\n]", labels), labels.split()
    if len(names) > 1 or len(words) < 2:
        return names
    if all(map(_USUAL_LABELS.fullmatch, words)):
        return words
    several = ",".join(words)
    warn(f'"{labels}" is one label; if you mean several, write "{several}"')
    return names


def _without_prefixes(definitions: dict[str, str]) -> dict[str, str]:
    """The labels of tags such as B-person and O, as CoNLL files have them; other labels as they are.

    A single one may be a label that only looks like a tag: B-cell. That all are tags is certain if O is among them, or
    if two tags have the same label.
    """
    if not definitions or not all(map(is_tag, definitions)):
        return definitions
    by_label: dict[str, str] = {}
    for tag, definition in definitions.items():
        label = tag.partition("-")[2]
        if label:
            by_label[label] = by_label.get(label) or definition
    tags = ", ".join(definitions)
    if not by_label:
        raise ConfigError(f"{tags} marks words that are in no mention, and is no label; name what to find")
    if len(by_label) == len(definitions):
        warn(f"{tags}: taken as written; if these are tags of a CoNLL file, write: {', '.join(by_label)}")
        return definitions
    warn(f"{tags} are tags of a CoNLL file; their labels are: {', '.join(by_label)}")
    return by_label


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except OSError:  # too long for a name
        return False


def _definitions_in(path: Path) -> dict[str, str]:
    """The labels of a TOML file, at its top level or under `[labels]`."""
    try:
        values = toml.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"cannot read the labels in {path}: {error.strerror}") from error
    except (UnicodeDecodeError, toml.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read the labels in {path}: {error}") from error
    table = values.get("labels", values)
    if not isinstance(table, dict) or not all(isinstance(definition, str) for definition in table.values()):
        raise ConfigError(f'{path}: labels are written name = "definition", one a line')
    return dict(table)


def as_documents(texts: Iterable[object]) -> Iterator[Document]:
    """Documents as they are, and a document for each text, whose id is its position, counted from 1.

    Raises:
        TypeError: one is neither, or there is a single text in place of several.
    """
    if isinstance(texts, str | Document):
        raise TypeError("several texts are expected, in a list for instance; `extract` takes a single one")
    for position, text in enumerate(texts, 1):
        if not isinstance(text, str | Document):
            advice = "; `extract_many` takes several texts" if isinstance(text, list | tuple) else ""
            raise TypeError(f"text {position} must be a str or a Document, not {type(text).__name__}{advice}")
        yield text if isinstance(text, Document) else Document(str(position), text)


def split_examples(examples: Examples) -> tuple[list[Path], list[Document]]:
    """The files and the annotated documents among examples.

    Raises:
        DataError: an annotation is not on its text.
    """
    if isinstance(examples, str | Path | Document):
        examples = [examples]
    paths: list[Path] = []
    documents: list[Document] = []
    for position, example in enumerate(examples, 1):
        if isinstance(example, Document):
            documents.append(example)
        elif isinstance(example, str | Path):
            paths.append(Path(example))
        else:
            documents.append(_annotated(example, position))
    return paths, documents


def _annotated(annotation: Annotation, position: int) -> Document:
    try:
        text, spans = annotation
        mentions = tuple(mention_at(text, start, end, label) for start, end, label in spans)
        return Document(f"example {position}", text, mentions)
    except (TypeError, ValueError) as error:
        raise DataError(f"example {position}: {error}; write (text, [(start, end, label), ...])") from error
