"""A CAS, UIMA's text with annotations of many layers, as parsed from XMI or from the JSON of INCEpTION.

Offsets count UTF-16 code units. Of several views, the first is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from entsemble.data.offset_counts import FindCodePoint, utf16_units
from entsemble.data.uima.layers import Annotation, to_record
from entsemble.errors import DataError

_JSON_KEY = "%FEATURE_STRUCTURES"
_SOFA = "uima.cas.Sofa"
_INITIAL_VIEW = "_InitialView"
_NO_FEATURES = ("sofa", "begin", "end", "id", "sofaString", "sofaNum", "sofaID", "mimeType")

Structure = tuple[str, Mapping[str, Any]]
"""The full name of the type of a feature structure, and its features, the id of its text (`sofa`) among them."""


def with_text(record: dict[str, Any]) -> dict[str, Any]:
    """A CAS in JSON as a record with a text and its mentions; any other record as it is.

    Raises:
        DataError: as for `to_text`.
    """
    structures = record.get(_JSON_KEY)
    if isinstance(structures, dict):
        structures = [{"%ID": name, **item} for name, item in structures.items() if isinstance(item, dict)]
    if not isinstance(structures, list) or not all(isinstance(item, dict) for item in structures):
        return record
    return to_text([*map(_json_structure, structures)], "CAS in JSON") if structures else record


def _json_structure(item: Mapping[str, Any]) -> Structure:
    features = {name: value for name, value in item.items() if not name.startswith(("%", "@", "^"))}
    return str(item.get("%TYPE")), {**features, "id": item.get("%ID"), "sofa": item.get("@sofa")}


def to_text(structures: Sequence[Structure], place: str) -> dict[str, Any]:
    """The text, mentions and meta of a CAS in the shape of our JSON Lines.

    Raises:
        DataError: there is no text, or an annotation is not in it; the message names no file.
    """
    sofas = [features for name, features in structures if name == _SOFA and isinstance(features.get("sofaString"), str)]
    sofa = next((sofa for sofa in sofas if sofa.get("sofaID") == _INITIAL_VIEW), sofas[0] if sofas else None)
    if sofa is None:
        raise DataError("there is no text in this CAS; export it with its text")
    text = sofa["sofaString"]
    annotations = list(_annotations(structures, utf16_units(text), str(sofa.get("id"))))
    return to_record(text, annotations, (), place)


def _annotations(structures: Sequence[Structure], find: FindCodePoint, sofa_id: str) -> Iterator[Annotation]:
    for name, features in structures:
        if "begin" not in features or "end" not in features or str(features.get("sofa")) != sofa_id:
            continue
        start, end = (find(_integer(features[key])) for key in ("begin", "end"))
        if start is None or end is None or start > end:
            raise DataError(f"{name} at [{features['begin']}, {features['end']}) is not in the text; correct it")
        strings = {key: value for key, value in features.items() if key not in _NO_FEATURES and isinstance(value, str)}
        if start < end:
            yield Annotation(name, start, end, strings)


def _integer(value: object) -> object:
    """An offset, which is a string in XML."""
    return int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 16 else value
