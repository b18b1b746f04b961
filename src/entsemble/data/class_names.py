"""The labels that numbers stand for, as Hugging Face `datasets` stores them, with a file or beside it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from entsemble.data.source import reading
from entsemble.errors import DataError

INFO_FILES = ("dataset_info.json", "dataset_infos.json")
"""Files that describe the columns of the files beside them, or in folders below."""

_SPLITS_FILE = "dataset_dict.json"
_LEVELS = 3
"""Folders in which a description is searched: that of the file, and those above it."""

_MAX_DEPTH = 6


class ClassNames:
    """The names of the classes of each column, which are only searched if a column has numbers.

    Args:
        path: the file of the columns, with whose folder the search for a description begins.
        features: the columns as `datasets` describes them, if the file does so itself.
    """

    def __init__(self, path: Path | None = None, features: object = None) -> None:
        self._path, self._features = path, features

    def of(self, column: str) -> Sequence[str] | None:
        """The names by number, or `None` if nothing says them."""
        return self._names.get(column)

    @cached_property
    def _names(self) -> dict[str, list[str]]:
        names = _names_of_columns(self._features)
        return names or (_described_beside(self._path) if self._path else {})


def from_schema(path: Path, metadata: Mapping[bytes, bytes] | None) -> ClassNames:
    """The names that the schema of a Parquet or Arrow file holds, or that are beside it."""
    try:
        description = json.loads((metadata or {}).get(b"huggingface", b"{}"))
    except (ValueError, RecursionError):
        description = {}
    info = description.get("info") if isinstance(description, dict) else None
    return ClassNames(path, info.get("features") if isinstance(info, dict) else None)


def is_description(path: Path) -> bool:
    """Whether a file of a saved data set has no documents, but says what is in the others."""
    return path.name in INFO_FILES or (path.name == "state.json" and path.with_name(INFO_FILES[0]).exists())


def splits(folder: Path) -> list[str]:
    """The folders of the splits of a saved data set, if it has splits."""
    if not (folder / _SPLITS_FILE).is_file():
        return []
    return sorted(path.parent.name for path in folder.glob(f"*/{INFO_FILES[0]}"))


def _described_beside(path: Path) -> dict[str, list[str]]:
    folders = [path.absolute().parent, *path.absolute().parents[1:_LEVELS]]
    for file in (folder / name for folder in folders for name in INFO_FILES):
        if file.is_file():
            return _read_description(file)
    return {}


def _read_description(file: Path) -> dict[str, list[str]]:
    try:
        with reading(file):
            description = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file} is not valid JSON: {error}; is it complete?") from error
    configurations = [description, *description.values()] if isinstance(description, dict) else []
    features = [item.get("features") for item in configurations if isinstance(item, dict)]
    return {column: names for item in reversed(features) for column, names in _names_of_columns(item).items()}


def _names_of_columns(features: object) -> dict[str, list[str]]:
    columns: Iterable[tuple[Any, object]] = ()
    if isinstance(features, Mapping):
        columns = features.items()
    elif isinstance(features, list):
        columns = [(item.get("name"), item) for item in features if isinstance(item, dict)]
    candidates = ((column, _find_names(feature, _MAX_DEPTH)) for column, feature in columns)
    return {str(column): names for column, names in candidates if names}


def _find_names(feature: object, depth: int) -> list[str]:
    if not isinstance(feature, Mapping) or not depth:
        return []
    names = feature.get("names")
    values = [*names.values()] if isinstance(names, dict) else names
    if isinstance(values, list) and values and all(isinstance(name, str) for name in values):
        return values
    return next(filter(None, (_find_names(item, depth - 1) for item in feature.values())), [])
