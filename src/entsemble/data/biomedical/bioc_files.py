"""Files of BioC: XML, which is read one document at a time, and JSON."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TextIO

from entsemble.data import jsonl
from entsemble.data.biomedical.passages import INFONS_KEY
from entsemble.data.json_values import write_json
from entsemble.data.options import ReadOptions
from entsemble.data.source import Source
from entsemble.data.xml_tree import children, read_elements, text_of
from entsemble.errors import DataError
from entsemble.types import Document

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

ROOT = "collection"
"""The outermost element."""

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;", '"': "&quot;"})
_ATTRIBUTE_ESCAPES = {**_ESCAPES, **str.maketrans({"\n": "&#10;", "\t": "&#9;"})}
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE collection SYSTEM "BioC.dtd">\n'
_SOURCE = {"source": "entsemble", "date": "", "key": "entsemble.key"}


def read(source: Source, options: ReadOptions) -> Iterator[Document]:
    """The documents of a collection in XML or JSON. What is known of the collection as a whole is not read.

    Raises:
        DataError: it is not BioC, or an annotation is not at its offsets.
    """
    if not source.head().lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        yield from jsonl.read_array(source, options)
        return
    for number, (line, element) in enumerate(read_elements(source, ("document",), ROOT), 1):
        yield _document(element, number, line, source, options)


def _document(element: Element, number: int, line: int, source: Source, options: ReadOptions) -> Document:
    try:
        return jsonl.from_json(_document_value(element), f"{source.name}:{number}", options.discontinuous)
    except DataError as error:
        raise DataError(f"document {number}: {error.problem}", source.place, line) from error


def write_xml(documents: Iterable[Document], stream: TextIO) -> None:
    """A collection in XML: a passage for each document, whose meta become infons; values that are no texts, as JSON.

    Raises:
        DataError: a document has a character that XML cannot hold.
    """
    stream.write(f"{_HEAD}<{ROOT}>\n")
    stream.writelines(_xml(key, value) + "\n" for key, value in _SOURCE.items())
    for document in documents:
        value = _value(document)
        passage = value["passages"][0]
        annotations = "".join(map(_annotation_xml, passage["annotations"]))
        content = f"<offset>0</offset>{_xml('text', document.text)}{annotations}"
        xml = f"<document>{_xml('id', document.id)}{_infons_xml(value)}<passage>{content}</passage></document>\n"
        if unwritable := _NO_XML.search(xml):
            problem = f"document {document.id!r} has the character U+{ord(unwritable[0]):04X}, which XML cannot hold"
            raise DataError(f"{problem}; remove it, or write bioc-json")
        stream.write(xml)
    stream.write(f"</{ROOT}>\n")


def write_json_file(documents: Iterable[Document], stream: TextIO) -> None:
    """A collection in JSON, with a document per line.

    Raises:
        DataError: a document's meta cannot be written as JSON.
    """
    separator = write_json({**_SOURCE, "infons": {}}, "")[:-1] + ', "documents": [\n'
    for document in documents:
        stream.write(separator + write_json(_value(document), document.id))
        separator = ",\n"
    stream.write("\n]}\n" if separator == ",\n" else separator + "]}\n")


def _value(document: Document) -> dict[str, Any]:
    """A document as the JSON of BioC."""
    meta = dict(document.meta)
    infons = _take_infons(meta)
    annotations = []
    for number, mention in enumerate(document.mentions, 1):
        key = (mention.start, mention.end, mention.label)
        entry = infons[key].pop(0) if infons.get(key) else {}
        score = {} if mention.score is None else {"score": mention.score}
        annotations.append(
            {
                "id": str(entry.get("id", f"T{number}")),
                "infons": {"type": mention.label, **entry.get("infons", {}), **score},
                "text": mention.text,
                "locations": [{"offset": mention.start, "length": mention.end - mention.start}],
            }
        )
    passage = {"offset": 0, "infons": {}, "text": document.text, "sentences": [], "annotations": annotations}
    return {"id": document.id, "infons": meta, "passages": [passage | {"relations": []}], "relations": []}


def _take_infons(meta: dict[str, Any]) -> dict[tuple[Any, ...], list[dict[str, Any]]]:
    """Start, end and label -> what BioC or PubTator said of such annotations; removed from the meta of a document."""
    entries = meta.get(INFONS_KEY)
    keys = {"start", "end", "label", "infons"}
    if not isinstance(entries, list) or not all(isinstance(entry, dict) and keys <= entry.keys() for entry in entries):
        return {}
    del meta[INFONS_KEY]
    infons: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for entry in entries:
        infons.setdefault((entry["start"], entry["end"], entry["label"]), []).append(entry)
    return infons


def _annotation_xml(value: Mapping[str, Any]) -> str:
    (location,) = value["locations"]
    place = f'<location offset="{location["offset"]}" length="{location["length"]}"/>'
    name = value["id"].translate(_ATTRIBUTE_ESCAPES)
    return f'<annotation id="{name}">{_infons_xml(value)}{place}{_xml("text", value["text"])}</annotation>'


def _infons_xml(value: Mapping[str, Any]) -> str:
    return "".join(
        f'<infon key="{key.translate(_ATTRIBUTE_ESCAPES)}">'
        f"{(infon if isinstance(infon, str) else write_json(infon, key)).translate(_ESCAPES)}</infon>"
        for key, infon in value["infons"].items()
    )


def _xml(name: str, text: str) -> str:
    return f"<{name}>{text.translate(_ESCAPES)}</{name}>"


def _document_value(element: Element) -> dict[str, Any]:
    """The JSON of a document in XML."""
    return {
        "id": text_of(element, "id").strip() or None,
        "infons": _infons(element),
        "passages": [_part_value(passage) for passage in children(element, "passage")],
        "annotations": [_annotation_value(annotation) for annotation in children(element, "annotation")],
        "relations": [_relation_value(relation) for relation in children(element, "relation")],
    }


def _part_value(element: Element) -> dict[str, Any]:
    """A passage or a sentence."""
    return {
        "offset": _integer(text_of(element, "offset").strip() or "0", "the offset of a passage"),
        "infons": _infons(element),
        "text": text_of(element, "text"),
        "sentences": [_part_value(sentence) for sentence in children(element, "sentence")],
        "annotations": [_annotation_value(annotation) for annotation in children(element, "annotation")],
        "relations": [_relation_value(relation) for relation in children(element, "relation")],
    }


def _annotation_value(element: Element) -> dict[str, Any]:
    locations = [
        {key: _integer(location.get(key, ""), f"the {key} of a location") for key in ("offset", "length")}
        for location in children(element, "location")
    ]
    name, infons = element.get("id"), _infons(element)
    return {"id": name, "infons": infons, "locations": locations, "text": text_of(element, "text")}


def _relation_value(element: Element) -> dict[str, Any]:
    nodes = [dict(node.items()) for node in children(element, "node")]
    return {"id": element.get("id"), "infons": _infons(element), "nodes": nodes}


def _infons(element: Element) -> dict[str, Any]:
    """The infons by key; those with the same key are a list."""
    infons: dict[str, Any] = {}
    for infon in children(element, "infon"):
        key, value = infon.get("key", ""), "".join(infon.itertext())
        if key in infons:
            earlier = infons[key]
            infons[key] = [*(earlier if isinstance(earlier, list) else [earlier]), value]
        else:
            infons[key] = value
    return infons


def _integer(value: str, name: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise DataError(f"{name} must be an integer, not {value!r}") from None
