"""XML files as trees: read one element at a time, in UTF-8, and without entities that a file defines itself."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, NoReturn

from entsemble.data.source import Source
from entsemble.errors import DataError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element, TreeBuilder

MAX_DEPTH = 200
"""Elements inside one another; annotated texts have a few dozen."""


class _TreeParser:
    """Builds the trees of the elements with certain names; of all others it keeps nothing."""

    def __init__(self, names: Collection[str], root: str) -> None:
        from xml.parsers import expat  # as the other imports within functions here: few runs read XML

        self._names, self._root = names, root
        self._depth = 0
        self._builder: TreeBuilder | None = None
        self._top_depth = self._top_line = 0
        self._complete: list[tuple[int, Element]] = []
        self._parser = expat.ParserCreate("utf-8", namespace_separator="}")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._add_text
        self._parser.EntityDeclHandler = self._refuse_entity
        self._parser.SkippedEntityHandler = self._refuse_unknown_entity

    def feed(self, content: bytes, is_final: bool = False) -> list[tuple[int, Element]]:
        """Read on; returns the elements that are complete, and their lines."""
        self._parser.Parse(content, is_final)
        complete, self._complete = self._complete, []
        return complete

    @property
    def line(self) -> int:
        """The line that is read."""
        return self._parser.CurrentLineNumber

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise DataError(f"more than {MAX_DEPTH} elements are inside one another; is it what it should be?")
        if self._depth == 1 and local_name(name) != self._root:
            raise DataError(f"the outermost element must be {self._root}, not {local_name(name)}; name another format")
        if self._builder is None and local_name(name) in self._names:
            from xml.etree.ElementTree import TreeBuilder

            self._builder, self._top_depth = TreeBuilder(), self._depth
            self._top_line = self._parser.CurrentLineNumber
        if self._builder is not None:
            self._builder.start(name, attributes)

    def _end(self, name: str) -> None:
        if self._builder is not None:
            self._builder.end(name)
            if self._depth == self._top_depth:
                self._complete.append((self._top_line, self._builder.close()))
                self._builder = None
        self._depth -= 1

    def _add_text(self, text: str) -> None:
        if self._builder is not None:
            self._builder.data(text)

    def _refuse_entity(self, name: str, *_: object) -> NoReturn:
        raise DataError(f"it defines the entity &{name};, and such files are not read; write its characters instead")

    def _refuse_unknown_entity(self, name: str, *_: object) -> NoReturn:
        raise DataError(f"the entity &{name}; is defined elsewhere; write its characters instead")


def read_elements(source: Source, names: Collection[str], root: str) -> Iterator[tuple[int, Element]]:
    """The outermost elements with one of these names, whole, and the lines on which they begin.

    The file is read as UTF-8, whatever it declares. Names of elements and attributes are `namespace}name`, or without
    a namespace the name alone.

    Args:
        source: the file.
        names: local names, without namespaces.
        root: the local name of the outermost element.

    Raises:
        DataError: it is not UTF-8 or not XML, has another outermost element, or has entities beside those of XML.
    """
    from xml.parsers import expat

    parser = _TreeParser(names, root)
    try:
        for _, line in source.lines():
            yield from parser.feed(line.encode("utf-8", "surrogatepass"))
        yield from parser.feed(b"", is_final=True)
    except expat.ExpatError as error:
        problem = f"not valid XML: {expat.errors.messages.get(error.code, str(error))}, at column {error.offset + 1}"
        raise DataError(f"{problem}; is the file complete?", source.place, error.lineno) from error
    except DataError as error:
        raise DataError(error.problem, source.place, error.line or parser.line) from error


def local_name(name: str) -> str:
    """The name of an element or an attribute without its namespace."""
    return name.rpartition("}")[2]


def text_of(element: Element, name: str) -> str:
    """The text in the first child with this local name; empty if there is none."""
    return next(("".join(child.itertext()) for child in children(element, name)), "")


def children(element: Element, name: str) -> Iterator[Element]:
    """The children of an element with this local name."""
    return (child for child in element if local_name(child.tag) == name)
