"""JSON values that hold several documents: collections of BioC, files of NER Annotator, rows of a server of data sets.

Also here: examples of Prodigy that were rejected, which are no documents at all.
"""

from __future__ import annotations

from entsemble.data.biomedical import bioc
from entsemble.data.class_names import ClassNames
from entsemble.data.source import Source
from entsemble.errors import warn


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
    return bioc.documents_of(value), names


def is_rejected(value: object) -> bool:
    """Whether a value is an example of Prodigy that was rejected or ignored there: its spans are not right."""
    return isinstance(value, dict) and value.get("answer") in ("reject", "ignore")


def warn_of_rejected(left_out: int, source: Source) -> None:
    """Say how many examples of Prodigy were left out, if any."""
    if left_out:
        noun = "example that was" if left_out == 1 else "examples that were"
        warn(f"{source.place}: {left_out} {noun} rejected or ignored in Prodigy left out")
