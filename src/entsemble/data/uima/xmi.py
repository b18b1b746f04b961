"""XMI, the XML of a UIMA CAS, as INCEpTION and DKPro export it."""

from __future__ import annotations

from collections.abc import Iterator

from entsemble.data.jsonl import from_json
from entsemble.data.options import ReadOptions
from entsemble.data.source import Source
from entsemble.data.uima.cas import to_text
from entsemble.data.xml_tree import local_name, read_elements
from entsemble.errors import DataError
from entsemble.types import Document

ROOT = "XMI"
"""The outermost element."""


def read(source: Source, options: ReadOptions) -> Iterator[Document]:  # noqa: ARG001
    """The document of a file.

    Raises:
        DataError: it is not XMI, has no text, or an annotation is not in the text.
    """
    for line, root in read_elements(source, (ROOT,), ROOT):
        structures = [
            (_type_name(element.tag), {local_name(name): value for name, value in element.items()}) for element in root
        ]
        try:
            yield from_json({"id": source.name, **to_text(structures, source.place)}, source.name)
        except DataError as error:
            raise DataError(error.problem, source.place, line) from error


def _type_name(tag: str) -> str:
    """The full name of a type: `http:///uima/cas.ecore}Sofa` is `uima.cas.Sofa`."""
    namespace, _, name = tag.rpartition("}")
    package = namespace.removeprefix("http:///").removesuffix(".ecore").replace("/", ".")
    return f"{package}.{name}" if package else name
