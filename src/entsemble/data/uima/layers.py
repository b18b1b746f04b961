"""Layers of annotation, of which some mark names and others words, lemmas and the like.

The layer `NamedEntity` is read, or, without it, all layers that users of WebAnno and INCEpTION have defined. The label
is the feature `value`, or the first that may be one; what else an annotation says is kept in `meta`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from entsemble.errors import DataError, warn

_NAMED_ENTITY = "NamedEntity"
_CUSTOM = re.compile(r"(^|\.)custom\.")
_LABEL_FEATURES = ("value", "label", "type", "entity", "category", "class", "tag", "name", "ne", "entitytype", "labels")
_NO_LABELS = ("identifier", "comment", "note", "order", "confidence", "uiorder")


@dataclass(frozen=True, slots=True)
class Annotation:
    """An annotation of a layer.

    Attributes:
        layer: the full name of its type: `custom.Person`.
        start, end: half-open range of the text, in code points.
        features: name -> value, of those that have one.
    """

    layer: str
    start: int
    end: int
    features: dict[str, str]


def to_record(text: str, annotations: Sequence[Annotation], other_layers: Iterable[str], place: str) -> dict[str, Any]:
    """The text, mentions and meta of a document in the shape of our JSON Lines.

    Args:
        text: of the document.
        annotations: of all layers.
        other_layers: layers that the file describes.
        place: of the file, for a warning that names layers that are not read.

    Raises:
        DataError: there are annotations, but no layer of names; the message names no file.
    """
    layers = sorted({annotation.layer for annotation in annotations} | {*other_layers})
    read_layers = [layer for layer in layers if _short_name(layer) == _NAMED_ENTITY]
    custom_layers = [layer for layer in layers if _CUSTOM.search(layer)]
    read_layers = read_layers or custom_layers
    if annotations and not read_layers:
        listed = ", ".join(map(_short_name, layers))
        problem = f"no layer marks names: there is neither {_NAMED_ENTITY} nor a custom layer, but {listed}"
        raise DataError(f"{problem}; export the layer of names as CoNLL 2002")
    unread = [layer for layer in custom_layers if layer not in read_layers]
    if unread_count := sum(annotation.layer in unread for annotation in annotations):
        names = ", ".join(map(_short_name, unread))
        annotated = "annotation" if unread_count == 1 else "annotations"
        warn(f"{place}: {unread_count:,} {annotated} not read, of the layers {names}; {_NAMED_ENTITY} is")
    mentions, infons = [], []
    for annotation in annotations:
        if annotation.layer in read_layers:
            features = dict(annotation.features)
            label_feature = _label_feature(features)
            label = features.pop(label_feature) if label_feature else _short_name(annotation.layer)
            mention = {"start": annotation.start, "end": annotation.end, "label": label}
            mentions.append(mention)
            if features:
                infons.append({**mention, "infons": features})
    return {"text": text, "mentions": mentions, "meta": {"infons": infons} if infons else {}}


def _label_feature(features: dict[str, str]) -> str | None:
    """The feature that holds the label; `None` if no feature may."""
    by_name = {name.casefold(): name for name, value in features.items() if value.strip()}
    usual = next((by_name[name] for name in _LABEL_FEATURES if name in by_name), None)
    return usual or next((name for folded, name in by_name.items() if folded not in _NO_LABELS), None)


def _short_name(layer: str) -> str:
    return layer.rpartition(".")[2]
