"""BioC and BigBio as parsed JSON: documents in passages, with annotations, as records in the shape of our JSON Lines.

What annotations, passages and documents say besides is kept in `meta`: `infons` has the ids of concepts by range,
`passages` what is known of each passage, and `relations` and the like are as they were.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import Any

from entsemble.data.biomedical.passages import Annotation, Passage, to_record
from entsemble.data.json_values import describe_type, list_value
from entsemble.data.mention_shapes import TEXT_KEYS
from entsemble.data.options import Discontinuous
from entsemble.errors import DataError

_LABEL_INFONS = ("type", "label", "entity", "Type", "class", "category", "semtype")
_PASSAGE_KEYS = ("text", "sentences", "annotations")
_COLLECTION_KEYS = ("documents", "PubTator3")


def documents_of(value: object) -> list[Any] | None:
    """The documents in a collection; `None` if a value is none."""
    if not isinstance(value, dict):
        return None
    documents = next((value[key] for key in _COLLECTION_KEYS if isinstance(value.get(key), list)), None)
    return documents if documents and all(map(_is_document, documents)) else None


def with_text(record: dict[str, Any], discontinuous: Discontinuous) -> dict[str, Any]:
    """A document of BioC or BigBio as a record with a text and its mentions; any other record as it is.

    Args:
        record: a parsed JSON object; not changed.
        discontinuous: what to do with an annotation in several pieces.

    Raises:
        DataError: it has no text, or an annotation is not at its offsets; the message names no file.
    """
    if not _is_document(record):
        return record
    passages = list(_passages(record))
    unplaced = _add_to_passages(passages, _items(record, "annotations"))
    if "infons" not in record:
        unplaced += _add_to_passages(passages, _items(record, "entities"))
    used_keys = ("id", "infons", "passages", "annotations", "entities", "meta")
    meta = {**_infons(record), **{key: value for key, value in record.items() if key not in used_keys and value != []}}
    if unplaced:
        meta["annotations"] = unplaced
    if isinstance(record.get("meta"), dict):
        meta |= record["meta"]
    return {"id": record.get("id"), **to_record(passages, meta, discontinuous)}


def _is_document(value: object) -> bool:
    """Whether a value has passages in place of a text."""
    if not isinstance(value, dict) or any(isinstance(value.get(key), str) for key in TEXT_KEYS):
        return False
    passages = value.get("passages")
    if not isinstance(passages, list) or not all(isinstance(passage, dict) for passage in passages):
        return False
    return "infons" in value or any(key in passage for passage in passages for key in _PASSAGE_KEYS)


def _passages(record: Mapping[str, Any]) -> Iterator[Passage]:
    """The passages of a document, or their sentences, with their annotations."""
    for value in record["passages"]:
        infons = {**_infons(value), **{key: value[key] for key in ("id", "type", "relations") if value.get(key)}}
        sentences = _items(value, "sentences")
        annotations = _items(value, "annotations")
        if _text(value) or not sentences:
            annotations += [item for sentence in sentences for item in _items(sentence, "annotations")]
            parts = [_passage(value, "\n", infons)]
        else:
            parts = [_passage(item, " " if number else "\n", _infons(item)) for number, item in enumerate(sentences)]
            for part, item in zip(parts, sentences, strict=True):
                unplaced = _add_to_passages([part], _items(item, "annotations"))
                part.infons |= {"annotations": unplaced} if unplaced else {}
            parts[0].infons = {**infons, **parts[0].infons}
        if unplaced := _add_to_passages(parts, annotations):
            parts[0].infons["annotations"] = unplaced
        yield from parts


def _passage(value: Mapping[str, Any], separator: str, infons: dict[str, Any]) -> Passage:
    offset = value.get("offset")
    offsets = value.get("offsets")
    if offset is None and isinstance(offsets, list) and offsets and isinstance(offsets[0], list) and offsets[0]:
        offset = offsets[0][0]
    if offset is not None and type(offset) is not int:
        raise DataError(f"the `offset` of a passage must be an integer, not {offset!r}")
    return Passage(_text(value), offset, [], separator, infons)


def _text(value: Mapping[str, Any]) -> str:
    text = value.get("text")
    if isinstance(text, list) and all(isinstance(part, str) for part in text):  # BigBio
        text = " ".join(text)
    if text is not None and not isinstance(text, str):
        raise DataError(f"the `text` of a passage must be a string, not {describe_type(text)}")
    return text or ""


def _add_to_passages(passages: list[Passage], values: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add annotations to the passages where they begin; returns those without a place, which concern all of a text."""
    unplaced = []
    starts = [passage.offset or 0 for passage in passages]
    for value in values:
        pieces = _pieces(value)
        if not pieces:
            unplaced.append(value)
            continue
        if not passages:
            raise DataError("there are annotations, but no passages that their offsets could count in")
        number = max(0, bisect_right(starts, min(pieces)[0]) - 1) if len(passages) > 1 else 0
        if not passages[number].text:
            raise DataError("there are annotations, but their passage has no text; take the file with the texts")
        passages[number].annotations.append(_annotation(value, pieces))
    return unplaced


def _annotation(value: Mapping[str, Any], pieces: list[tuple[int, int]]) -> Annotation:
    surface = value.get("text")
    if isinstance(surface, list) and all(isinstance(part, str) for part in surface):
        surface = " ".join(surface)
    infons = _infons(value)
    if "infons" not in value:  # BigBio
        infons = {key: item for key, item in value.items() if key not in ("text", "offsets", "id") and item != []}
    label_key = next((key for key in _LABEL_INFONS if infons.get(key) is not None), None)
    if label_key is None:
        keys = ", ".join(infons) or "none"
        raise DataError(f"the annotation {surface!r} has no infon `type`, which is its label; it has: {keys}")
    label = infons.pop(label_key)
    return Annotation(label, pieces, surface if isinstance(surface, str) else "", infons, value.get("id"))


def _pieces(value: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Start and end of each piece of an annotation that is not empty."""
    pieces: list[tuple[int, int]] = []
    for location in list_value(value.get("locations"), "locations"):
        start, length = (
            (location.get(key) for key in ("offset", "length")) if isinstance(location, dict) else (None, None)
        )
        if type(start) is not int or type(length) is not int:
            raise DataError(f"a location has an offset and a length, integers; this is none: {location!r}")
        pieces += [(start, start + length)] if length else []
    for pair in list_value(value.get("offsets"), "offsets"):
        if not isinstance(pair, list) or len(pair) != 2 or not all(type(offset) is int for offset in pair):
            raise DataError(f"`offsets` are pairs of integers; this is none: {pair!r}")
        pieces.append((pair[0], pair[1]))
    return pieces


def _infons(value: Mapping[str, Any]) -> dict[str, Any]:
    infons = value.get("infons")
    if infons is not None and not isinstance(infons, dict):
        raise DataError(f"`infons` must be an object, not {describe_type(infons)}")
    return dict(infons or {})


def _items(value: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """The objects in the list under a key."""
    items = list_value(value.get(key), key)
    if not all(isinstance(item, dict) for item in items):
        raise DataError(f"`{key}` must be a list of objects")
    return [*items]
