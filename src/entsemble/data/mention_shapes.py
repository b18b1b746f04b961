"""Mentions as annotation tools write them, in one shape: `{"start", "end", "label", "text", "score", "votes"}`.

Known are, beside our own: Prodigy and Presidio (`spans`), spaCy and displaCy (`entities`, `ents`), doccano (`label`,
`labels`), Label Studio's JSON-MIN (`label`), LightTag and Argilla 1 (`annotations`, `annotation`), DataTurks
(`annotation`), Argilla 2 (`spans.responses`), langextract (`extractions`), and the answers of AWS, Azure, Google and
Stanza.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from typing import Any

from entsemble.data.json_values import first_value, list_value
from entsemble.errors import DataError, warn
from entsemble.types import Document

TEXT_KEYS = ("text", "full_text", "content", "sentence", "data", "Text", "document", "source_text")

_SURE_KEYS = ("mentions", "spans", "entities", "ents")
"""What lies here must be mentions; under the other keys it may be something else."""

MENTION_KEYS = (
    *_SURE_KEYS,
    "labels",
    "label",
    "annotations",
    "annotation",
    "extractions",
    "Entities",
    "spans.responses",
    "privacy_mask",
    "prediction",
)
START_KEYS = (
    "start",
    "start_offset",
    "start_position",
    "begin",
    "start_char",
    "start_pos",
    "startOffset",
    "BeginOffset",
    "beginOffset",
    "offset",
)
END_KEYS = ("end", "end_offset", "end_position", "end_char", "end_pos", "endOffset", "EndOffset")
LABEL_KEYS = (
    "label",
    "entity_type",
    "entity_group",
    "type",
    "labels",
    "tag",
    "entity",
    "category",
    "extraction_class",
    "Type",
)
_SURFACE_KEYS = ("text", "entity_value", "extraction_text", "Text")
_OTHER_SURFACE_KEYS = ("word", "result", "surface", "value", "name")
_NAME_KEYS = ("ner", "named_entities", "entity", "names")
"""Where names are listed without offsets."""

_OTHER_RANGES = ("meta", "tokens", "sents")
_NESTED_KEYS = ("points", "char_interval", "mentions")
_OTHER_LABEL_KEYS = ("categories", "classes", "class", "displayName", "display_name", "properties")
_TOKEN_LABEL_KEYS = ("entityLabel", "entity", "ent_type", "ner", "label")

_OFFSETS_ADVICE = "names without offsets cannot be placed: write start, end and label, in code points from 0"

_ANNOTATED_TEXT = re.compile(
    r"<(ENAMEX|START:)"
    r"|(?<!\S)(?:[^\s/]+/(?:O|[A-Z][A-Z-]*)\s+){4}"
    r"|<((?!TITLE|STRONG|CODE|PRE|SPAN|DIV|BODY|HEAD|TABLE|LINK|BIG|SUP|SUB|CENTER|FONT)[A-Z][A-Z_-]{2,})>[^<>\n]+</\2>"
    r"|(?m:^[ \t]*- .*\[[^\]\n]+\](?:\([A-Za-z_]\w*\)|\{\"entity\"))"
    r"|[\"']entities[\"']\s*:\s*\[\s*[\[(]\s*[0-9]+\s*,"
)
"""Names that are marked up in a text, as in MUC, OpenNLP and Rasa, words with tags, as the Stanford tagger has them, or
Python code for spaCy 2."""

_LOOK_AHEAD = 1 << 13
_MAX_DEPTH, _MAX_ITEMS = 8, 50
"""How far annotation that is not read is searched."""


def take_mentions(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The mentions of a document, in one shape. Their key, and keys of the same kind that are empty, are removed.

    Of several keys, the first one counts that is not empty. A string, number or list of strings under `label` is not a
    mention.

    Raises:
        DataError: what must be a list of mentions is none; the message names no file.
    """
    mention_key = next((key for key in MENTION_KEYS if holds_mentions(record.get(key), key)), None)
    if mention_key and isinstance(record[mention_key], dict):
        record[mention_key] = _by_label(record[mention_key]) or record[mention_key]
    if mention_key and isinstance(record[mention_key], dict):
        raise DataError(f"`{mention_key}` must be a list of mentions, not an object; {_OFFSETS_ADVICE}")
    values = list_value(record.pop(mention_key), mention_key) if mention_key else []
    for key in MENTION_KEYS:
        if key in record and (record[key] is None or (key in (*_SURE_KEYS, "label", "labels") and record[key] == [])):
            del record[key]
    if mention_key == "spans.responses":
        values = [item for response in values for item in list_value(response, mention_key)]
    return [mention for number, value in enumerate(values, 1) for mention in _unfold(value, f"mention {number}")]


def looks_annotated(text: str) -> bool:
    """Whether names are marked up at the beginning of a text."""
    return _ANNOTATED_TEXT.search(text[:_LOOK_AHEAD]) is not None


def _by_label(value: dict[str, Any]) -> list[Any] | None:
    """Mentions that are listed under their labels, as GATE and TextRazor write them; `None` for anything else."""
    mentions = []
    for label, items in value.items():
        for item in items if isinstance(items, list) else [items]:
            pair = item.get("indices") if isinstance(item, dict) else item
            if isinstance(pair, list) and _is_pair(pair):
                mentions.append({"start": pair[0], "end": pair[1], "label": label})
            elif isinstance(item, dict) and _has_start(item):
                mentions.append({**item, "label": label})
            else:
                return None
    return mentions


def warn_of_unread(document: Document | None, record: object, place: str) -> bool:
    """Warn if a document has no mentions, but what was not read of its record holds some; returns whether it did."""
    if document is None or document.mentions or not isinstance(record, dict):
        return False
    unread_keys = [key for key in record if key in document.meta and key not in _OTHER_RANGES]
    annotated = (key for key in unread_keys if _holds_labelled_ranges(record[key], _MAX_DEPTH))
    tagged = (key for key in unread_keys if _looks_like_tags(record[key], record.get("tokens")))
    labelled_tokens = ("tokens" for token in record.get("tokens") or () if _has_token_label(token))
    listed = (key for key in unread_keys if key in _NAME_KEYS and isinstance(record[key], (list, dict)) and record[key])
    key = next(chain(annotated, tagged, labelled_tokens, listed), None)
    if key is None and looks_annotated(document.text):
        warn(f"{place}: some of the text looks like annotation, which is read as text; if it is that, convert it first")
        return True
    if key is not None:
        message = f"{place}: what looks like annotation under {key!r} is not read"
        warn(f"{message}; if it is, write it under 'mentions', as start, end and label")
    return key is not None


def _looks_like_tags(value: object, words: object) -> bool:
    """Whether a value has a tag, or the number of one, for each word."""
    if not isinstance(value, list) or not isinstance(words, list) or len(value) != len(words) or not value:
        return False
    has_words = all(isinstance(word, str) for word in words)
    return has_words and (all(type(tag) is int for tag in value) or all(map(_is_tag, value)))


def _is_tag(value: object) -> bool:
    return isinstance(value, str) and (value == "O" or value[:2] in ("B-", "I-", "E-", "S-", "L-", "U-"))


def _has_token_label(token: object) -> bool:
    label = first_value(token, _TOKEN_LABEL_KEYS) if isinstance(token, dict) else None
    return isinstance(label, str) and label.strip() not in ("", "O")


def _holds_labelled_ranges(value: object, depth: int) -> bool:
    """Whether ranges with labels, or pairs of offsets under labels, are anywhere in a value."""
    if not depth or not isinstance(value, (dict, list)):
        return False
    if isinstance(value, list):
        is_ranges = _looks_like_mentions(value) and all(isinstance(item, list) for item in value)
        return is_ranges or any(_holds_labelled_ranges(item, depth - 1) for item in value[:_MAX_ITEMS])
    has_label = first_value(value, (*LABEL_KEYS, *_OTHER_LABEL_KEYS)) is not None
    has_surface = isinstance(first_value(value, (*_SURFACE_KEYS, *_OTHER_SURFACE_KEYS)), str)
    has_end = type(first_value(value, END_KEYS)) is int
    if (has_label or (has_surface and has_end)) and _looks_like_mention(value):
        return True
    if value and all(isinstance(pairs, list) and pairs and all(map(_is_pair, pairs)) for pairs in value.values()):
        return True
    return any(_holds_labelled_ranges(item, depth - 1) for key, item in value.items() if key not in _OTHER_RANGES)


def _is_pair(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(offset) is int for offset in value)


def holds_mentions(value: object, key: str) -> bool:
    """Whether the value of one of `MENTION_KEYS` has mentions."""
    if value is None or value == []:
        return False
    if key in _SURE_KEYS:
        return True
    if key == "spans.responses" and isinstance(value, list):
        return all(isinstance(response, list) for response in value)
    return _looks_like_mentions(value)


def _looks_like_mentions(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_looks_like_mention, value))


def _looks_like_mention(value: object) -> bool:
    if isinstance(value, list):
        return len(value) == 3 and all(type(offset) is int for offset in value[:2]) and isinstance(value[2], str)
    if not isinstance(value, dict):
        return False
    if "char_interval" in value:
        return True
    nested = first_value(value, _NESTED_KEYS)
    if isinstance(nested, list):
        nested = nested[0] if nested else None
    return any(isinstance(item, dict) and _has_start(item) for item in (value, nested))


def _has_start(item: dict[str, Any]) -> bool:
    offset = first_value(item, START_KEYS)
    return type(offset) is int or isinstance(item.get("text"), dict)


def _unfold(value: object, mention_name: str) -> Iterator[dict[str, Any]]:
    """The mentions of an item: several if it has several ranges or labels, none if its tool could not place it."""
    if isinstance(value, list) and len(value) == 3:
        value = dict(zip(("start", "end", "label"), value, strict=True))
    if not isinstance(value, dict):
        raise DataError(f"{mention_name}: a mention is an object with start, end and label, or a list of these three")
    label = first_value(value, LABEL_KEYS)
    for item in _ranges(value):
        start, end = _offset(first_value(item, START_KEYS)), _offset(first_value(item, END_KEYS))
        if end is None and type(start) is int and type(item.get("length")) is int:
            end = start + item["length"]
        if end is not None and "points" in value and type(end) is int:
            end += 1  # DataTurks counts the last character in
        surface = first_value(item, _SURFACE_KEYS)
        if isinstance(surface, dict):
            start, surface = first_value(surface, START_KEYS), surface.get("content")
            end = start + len(surface) if type(start) is int and isinstance(surface, str) else end
        if start is None and end is None:
            raise DataError(f"{mention_name} has no start and end; {_OFFSETS_ADVICE}")
        for one_label in label if isinstance(label, list) and label else [label]:
            yield {
                "start": start,
                "end": end,
                "label": one_label,
                "text": surface,
                "is_loose": isinstance(label, list),
                "score": first_value(value, ("score", "confidenceScore", "Score")),
                "votes": value.get("votes"),
            }


def _offset(value: object) -> object:
    """An offset as an integer, if it is one in a string, or with a fraction of 0, as tables make them."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 16:
        return int(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _ranges(value: dict[str, Any]) -> list[dict[str, Any]]:
    """The parts of an item that hold offsets."""
    if isinstance(value.get("points"), list) and "start" not in value:
        return [point for point in value["points"] if isinstance(point, dict)]
    if "char_interval" in value:
        interval = value["char_interval"]
        return [{"extraction_text": value.get("extraction_text"), **interval}] if isinstance(interval, dict) else []
    if isinstance(value.get("mentions"), list) and "start" not in value:
        return [mention for mention in value["mentions"] if isinstance(mention, dict)]
    return [value]
