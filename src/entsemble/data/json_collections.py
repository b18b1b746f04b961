"""JSON values that hold several documents: collections of BioC and LightTag, rows of a server of data sets, and others.

Also here: examples of Prodigy that were rejected, which are no documents at all.
"""

from __future__ import annotations

from typing import Any

from entsemble.data.biomedical import bioc
from entsemble.data.class_names import ClassNames
from entsemble.data.mention_shapes import TEXT_KEYS
from entsemble.data.source import Source
from entsemble.errors import warn

_RASA_KEY = "rasa_nlu_data"
_LIST_KEYS = ("examples", "documents", "data", "items", "records", "results", "texts", "sentences", _RASA_KEY)
"""Where tools list documents: LightTag, Rasa, and what people write themselves."""


def unfold(value: object, names: ClassNames) -> tuple[list[object] | None, ClassNames]:
    """The documents in a JSON value, and the names of their tags that are numbers; `None` if it is one document.

    Args:
        value: the parsed JSON.
        names: those of the file, for values that bring none.
    """
    if not isinstance(value, dict):
        return None, names
    if "classes" in value and isinstance(value.get("annotations"), list):
        return [pair for pair in value["annotations"] if pair is not None], names
    if "features" in value and isinstance(value.get("rows"), list):
        rows = [row.get("row") if isinstance(row, dict) else row for row in value["rows"]]
        return rows, ClassNames(features=value["features"])
    return bioc.documents_of(value) or _listed_documents(value), names


def _listed_documents(value: dict[str, Any]) -> list[object] | None:
    """The documents in an object that has no text itself: in a list under a usual key, or under their ids."""
    if _has_text(value):
        return None
    for key in _LIST_KEYS:
        inner = value.get(key)
        if key == _RASA_KEY and isinstance(inner, dict):
            inner = inner.get("common_examples")
        if isinstance(inner, list) and inner and all(map(_has_text, inner)):
            others = [other for other in value if other != key and value[other] not in ([], {}, None, "")]
            if others:
                warn(f"only the documents under `{key}` are read, and not: {', '.join(others)}")
            return [*inner]
    if len(value) > 1 and all(map(_has_text, value.values())):
        return [{"id": name, **document} for name, document in value.items()]
    return None


def _has_text(value: object) -> bool:
    """Whether a value is an object with a text."""
    return isinstance(value, dict) and any(isinstance(value.get(key), str) for key in TEXT_KEYS)


def is_rejected(value: object) -> bool:
    """Whether a value is an example of Prodigy that was rejected or ignored there: its spans are not right."""
    return isinstance(value, dict) and value.get("answer") in ("reject", "ignore")


def warn_of_rejected(left_out: int, source: Source) -> None:
    """Say how many examples of Prodigy were left out, if any."""
    if left_out:
        noun = "example that was" if left_out == 1 else "examples that were"
        warn(f"{source.place}: {left_out} {noun} rejected or ignored in Prodigy left out")
