r"""The TSV of WebAnno and INCEpTION, version 3: a token per line, its offsets, and columns for the features of layers.

    #FORMAT=WebAnno TSV 3.3
    #T_SP=de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity|identifier|value

    #Text=Ada King left .
    1-1   0-3     Ada    *[1]    PER[1]
    1-2   4-8     King   *[1]    PER[1]
    1-3   9-13    left   _       _

A value with a number in brackets belongs to one annotation of several tokens; values of several annotations at a token
are separated by `|`, and `_` is none. Offsets count UTF-16 code units; where the tokens do not fit these, code points.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from entsemble.data.jsonl import from_json
from entsemble.data.offset_counts import FindCodePoint, code_points, utf16_units
from entsemble.data.options import ReadOptions
from entsemble.data.source import Source
from entsemble.data.uima.layers import Annotation, to_record
from entsemble.errors import DataError, warn
from entsemble.types import Document

SIGNATURE = "#FORMAT=WebAnno TSV 3"

_TOKEN = re.compile(r"[0-9]{1,9}-([0-9]{1,9})(?:\.[0-9]{1,9})?\t([0-9]{1,12})-([0-9]{1,12})\t([^\t]*)(.*)")
_STACK = re.compile(r"(?:\\.|[^\\|])+")
_NUMBER = re.compile(r"(?<!\\)\[([0-9]{1,9})\]$")
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "b": "\b"}
_NONE, _EMPTY = "_", "*"


class _Token(NamedTuple):
    """A token or a part of one, with the start and end that the file gives, and its cells."""

    number: str
    start: int
    end: int
    surface: str
    cells: list[str]
    line: int


@dataclass(slots=True)
class _Sentence:
    text: str
    line: int
    tokens: list[_Token] = field(default_factory=list)

    @property
    def start(self) -> int:
        """Where the sentence begins, as the file counts."""
        first = self.tokens[0]
        before = max(0, self.text.find(first.surface))
        return first.start - _units(self.text[:before])


def read(source: Source, options: ReadOptions) -> Iterator[Document]:  # noqa: ARG001
    """The document of a file.

    Raises:
        DataError: a line is not as the format has it, or a token is not at its offsets.
    """
    layers: list[tuple[str, list[str]]] = []
    skipped: list[str] = []
    sentences: list[_Sentence] = []
    for line_number, raw_line in source.lines():
        line = raw_line.rstrip("\r\n")
        if line.startswith("#T_SP="):
            name, *features = line[6:].split("|")
            layers.append((name, features or [""]))
        elif line.startswith(("#T_CH=", "#T_RL=")):
            skipped.append(line[6:].partition("|")[0].rpartition(".")[2])
        elif line.startswith("#Text="):
            sentences.append(_Sentence(line[6:], line_number))
        elif token := _TOKEN.fullmatch(line):
            if not sentences:
                raise DataError("there is no line #Text= before this token", source.place, line_number)
            number, start, end, surface, cells = token.groups()
            sentences[-1].tokens.append(
                _Token(number, int(start), int(end), surface, cells.split("\t")[1:], line_number)
            )
        elif line.strip() and not line.startswith("#"):
            problem = "this is no line of WebAnno TSV 3, which has a token's number, offsets, and text, with TABs"
            raise DataError(problem, source.place, line_number)
    sentences = [sentence for sentence in sentences if sentence.tokens]
    text, starts, counts = _join(sentences, source)
    annotations = list(_annotations(sentences, starts, counts, layers))
    if skipped:
        warn(f"{source.place}: relations and chains are not read: {', '.join(skipped)}")
    try:
        record = to_record(text, annotations, [name for name, _ in layers], source.place)
        yield from_json({"id": source.name, **record}, source.name)
    except DataError as error:
        raise DataError(error.problem, source.place) from error


def _join(sentences: Sequence[_Sentence], source: Source) -> tuple[str, list[int], list[FindCodePoint]]:
    """The text of a document, where each sentence begins in it, and how the offsets in each sentence count.

    Between sentences is a space for one character that the file leaves out, and an empty line for more.
    """
    parts: list[str] = []
    starts: list[int] = []
    counts = []
    length = end_in_file = 0
    for sentence in sentences:
        sentence.text, count = _fitting_text(sentence, source)
        gap = sentence.start - end_in_file
        separator = "" if not parts or gap == 0 else " " if gap == 1 else "\n\n" if gap > 1 else "\n"
        end_in_file = sentence.start + _units(sentence.text)
        starts.append(length + len(separator))
        length += len(separator) + len(sentence.text)
        parts += [separator, sentence.text]
        counts.append(count)
    return "".join(parts), starts, counts


def _units(text: str) -> int:
    """The number of UTF-16 code units."""
    return len(text) + sum(character > "\uffff" for character in text)


def _fitting_text(sentence: _Sentence, source: Source) -> tuple[str, FindCodePoint]:
    """The text of a sentence and the way of counting that fit its tokens."""
    raw_text, first = sentence.text, sentence.tokens[0]
    for text in dict.fromkeys((_unescape(raw_text), raw_text)):
        sentence.text = text
        for make_count in (utf16_units, code_points):
            count, base = make_count(text), sentence.start
            if all(_is_at_offsets(token, text, count, base) for token in sentence.tokens):
                return text, count
    problem = f"the tokens of the sentence at line {sentence.line} are not at their offsets in its text"
    raise DataError(f"{problem}; correct them, or export it again", source.place, first.line)


def _is_at_offsets(token: _Token, text: str, count: FindCodePoint, base: int) -> bool:
    start, end = count(token.start - base), count(token.end - base)
    if start is None or end is None:
        return False
    return text[start:end] in (token.surface, _unescape(token.surface))


def _annotations(
    sentences: Sequence[_Sentence],
    starts: Sequence[int],
    counts: Sequence[FindCodePoint],
    layers: Sequence[tuple[str, list[str]]],
) -> Iterator[Annotation]:
    """The annotations of all layers; tokens that follow each other and have the same number belong to one."""
    numbered: dict[tuple[str, str], tuple[int, Annotation]] = {}
    position = 0
    for sentence, first, count in zip(sentences, starts, counts, strict=True):
        base, previous_number = sentence.start, None
        for token in sentence.tokens:
            position += token.number != previous_number
            previous_number = token.number
            start, end = (first + (count(offset - base) or 0) for offset in (token.start, token.end))
            for layer, features, number in _values(token.cells, layers):
                last, annotation = numbered.get((layer, number), (-1, None)) if number else (-1, None)
                if annotation is not None and position - last <= 1:
                    annotation = Annotation(layer, annotation.start, max(end, annotation.end), annotation.features)
                    numbered[layer, number] = position, annotation
                    continue
                if annotation is not None:
                    yield annotation
                if number:
                    numbered[layer, number] = position, Annotation(layer, start, end, features)
                else:
                    yield Annotation(layer, start, end, features)
    yield from (annotation for _, annotation in numbered.values())


def _values(cells: Sequence[str], layers: Sequence[tuple[str, list[str]]]) -> Iterator[tuple[str, dict[str, str], str]]:
    """The layer, features and number of each annotation at a token; the number is empty if there is none."""
    column = 0
    for layer, names in layers:
        stacks = [_STACK.findall(cell) for cell in cells[column : column + len(names)]]
        column += len(names)
        for depth in range(max(map(len, stacks), default=0)):
            values = [stack[depth] if depth < len(stack) else _NONE for stack in stacks]
            if all(value == _NONE for value in values):
                continue
            numbers = [match[1] for value in values if (match := _NUMBER.search(value))]
            plain = {name: _NUMBER.sub("", value) for name, value in zip(names, values, strict=False)}
            features = {
                name: _unescape(value) for name, value in plain.items() if name and value not in (_NONE, _EMPTY)
            }
            yield layer, features, numbers[0] if numbers else ""


def _unescape(value: str) -> str:
    """A value as it was before escaping; Java writes letters outside ASCII as code units of UTF-16."""
    plain = _ESCAPE.sub(lambda match: chr(int(match[1], 16)) if match[1] else _ESCAPED.get(match[2], match[2]), value)
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
