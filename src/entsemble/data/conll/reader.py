"""Reads the CoNLL family: one token per line, tags in columns, blank lines between sentences.

Each sentence is a document, except where a marker gives the id of a document, as our writer's do. Columns, separator,
comments, document markers and the tag scheme are detected; a line that does not fit is an error that names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, groupby, islice

from entsemble._lib.cancellation import until_cancelled
from entsemble.data.conll import conllu, tags
from entsemble.data.conll import layout as conll_layout
from entsemble.data.conll.detokenise import detokenise, join_with_spaces
from entsemble.data.conll.layout import DOCUMENT_MARKER, Conventions
from entsemble.data.options import ConllFormat, ReadOptions
from entsemble.data.source import Source
from entsemble.errors import DataError
from entsemble.types import Document, Mention, Span


@dataclass(slots=True)
class _Sentence:
    """The lines of one sentence.

    Attributes:
        document_number: the number of its document, from 1.
        document_id: the id of its document, if a marker gives one.
        line_numbers: one per token.
        tokens: the words.
        tags: the tags of each token, one per level of nesting.
    """

    document_number: int
    document_id: str | None = None
    line_numbers: list[int] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    tags: list[list[str]] = field(default_factory=list)


def read(source: Source, options: ReadOptions) -> Iterator[Document]:
    """The sentences of a file, each as a document called `<name>:<line of its first token>`.

    Blank tokens are left out of the text; a sentence of only such tokens is a document without text. Levels of nesting
    are merged: a mention on two levels with the same label is one mention. The sentences of a document whose id is
    given are joined by spaces, and are its text without tokens.

    Raises:
        DataError: no column holds tags, a line is malformed, a tag is not valid, a mention covers blank tokens only, or
            there is no sentence.
    """
    lines = until_cancelled(source.lines())
    first_lines = list(islice(lines, conll_layout.LOOK_AHEAD))
    heads = [line for _, line in first_lines]
    if options.conll is None and conllu.is_conllu(heads) and conll_layout.detect_columns(heads) is None:
        yield from conllu.read(chain(first_lines, lines), source)
        return
    layout, conventions = _detect(first_lines, source, options.conll)
    is_empty = True
    sentences = _sentences(chain(first_lines, lines), layout, conventions, source)
    for (_, document_id), group in groupby(sentences, lambda item: (item.document_number, item.document_id)):
        is_empty = False
        parts = (_document(sentence, conventions, source, options) for sentence in group)
        yield from parts if document_id is None else [_joined(document_id, parts)]
    if is_empty:
        raise DataError("the file has no sentence; give a file with one token per line", source.place)


def _detect(
    first_lines: list[tuple[int, str]], source: Source, layout_option: ConllFormat | None
) -> tuple[ConllFormat, Conventions]:
    lines = [line for _, line in first_lines]
    if not any(line.strip() for line in lines):
        raise DataError("the file is empty; give a file with one token per line", source.place)
    detected = layout_option or conll_layout.detect_columns(lines) or conll_layout.detect_columns(lines, strict=False)
    if detected is None:
        raise DataError(
            "no column holds tags such as O, B-PER, I-PER; name the columns if there are any, or the right format",
            source.place,
        )
    layout = detected
    if layout.separator is None:
        layout = replace(layout, separator=conll_layout.detect_separator(lines))
    return layout, conll_layout.detect_conventions(lines, layout)


def _sentences(
    lines: Iterable[tuple[int, str]], layout: ConllFormat, conventions: Conventions, source: Source
) -> Iterator[_Sentence]:
    sentence = _Sentence(0 if conventions.starts_with_marker else 1)
    for line_number, line in lines:
        row = conll_layout.split_columns(line, layout.separator) if DOCUMENT_MARKER in line else []
        is_marker = bool(row) and conll_layout.is_document_marker(row, layout, bool(sentence.tokens))
        if is_marker or not line.strip():
            if sentence.tokens:
                yield sentence
            sentence = _Sentence(sentence.document_number, sentence.document_id)
        else:
            _add_line(sentence, line_number, line, layout, source)
        if is_marker:
            document_id = conll_layout.marked_id(row, layout)
            sentence = _Sentence(sentence.document_number + 1, document_id)
            if document_id is not None:
                yield _Sentence(sentence.document_number, document_id)  # lest a document without words be lost
    if sentence.tokens:
        yield sentence


def _add_line(sentence: _Sentence, line_number: int, line: str, layout: ConllFormat, source: Source) -> None:
    """Add the token of a line; a comment before the first token is skipped."""
    try:
        token, token_tags = _parse_line(line, layout)
    except DataError as error:
        if not sentence.tokens and conll_layout.may_be_comment(line):
            return
        raise DataError(error.problem, source.place, line_number) from None
    sentence.line_numbers.append(line_number)
    sentence.tokens.append(token)
    sentence.tags.append(token_tags)


def _parse_line(line: str, layout: ConllFormat) -> tuple[str, list[str]]:
    """The token and the tags of a line."""
    row = conll_layout.split_columns(line, layout.separator)
    while layout.columns is not None and len(row) > layout.columns and not row[-1].strip():
        row.pop()
    if layout.columns is not None and len(row) != layout.columns:
        raise DataError(_width_problem(row, layout, str(layout.columns)))
    columns = [layout.token, *layout.tags]
    if not all(-len(row) <= column < len(row) for column in columns):
        min_width = max(column + 1 if column >= 0 else -column for column in columns)
        raise DataError(_width_problem(row, layout, f"at least {min_width}"))
    token_tags = [row[column].strip() for column in layout.tags]
    for tag in token_tags:
        tags.decode([tag], layout.scheme)
    return row[layout.token], token_tags


def _width_problem(row: list[str], layout: ConllFormat, expected: str) -> str:
    separator = "a TAB" if layout.separator == "\t" else "spaces"
    return (
        f"this line has {len(row)} column{'s' * (len(row) != 1)} instead of {expected} separated by {separator}; "
        "correct the line, or name the columns"
    )


def _document(sentence: _Sentence, conventions: Conventions, source: Source, options: ReadOptions) -> Document:
    text, token_spans = _text(sentence.tokens, conventions, options)
    mentions: dict[Mention, None] = {}
    for level_tags in until_cancelled(zip(*sentence.tags, strict=True)):
        for token_range in until_cancelled(tags.decode(level_tags)):
            mentions[_mention(token_range, text, token_spans, sentence, source)] = None
    first_line = sentence.line_numbers[0] if sentence.line_numbers else 0
    return Document(
        f"{source.name}:{first_line}",
        text,
        tuple(mentions),
        tuple(span for span in token_spans if span),
        {"document": sentence.document_number} if conventions.has_document_markers else {},
    )


def _joined(document_id: str, parts: Iterable[Document]) -> Document:
    """The sentences of a document as one, with a space between them."""
    texts: list[str] = []
    mentions: list[Mention] = []
    offset = 0
    for part in until_cancelled(parts):
        mentions += [mention.shifted(offset) for mention in part.mentions]
        if part.text:
            texts.append(part.text)
            offset += len(part.text) + 1
    return Document(document_id, " ".join(texts), tuple(mentions))


def _text(tokens: list[str], conventions: Conventions, options: ReadOptions) -> tuple[str, list[Span | None]]:
    words, continues = tokens, [False] * len(tokens)
    if conventions.numbered_characters:
        digits = [token[-1] if len(token) > 1 and token[-1].isdecimal() else "" for token in tokens]
        words = [token[:-1] if digit else token for token, digit in zip(tokens, digits, strict=True)]
        continues = [digit not in ("", "0") for digit in digits]
    if options.spacing == "spaced":
        return join_with_spaces(words)
    return detokenise(words, continues if conventions.numbered_characters else (), conventions.split_infixes)


def _mention(
    token_range: tags.TokenRange, text: str, token_spans: list[Span | None], sentence: _Sentence, source: Source
) -> Mention:
    spans = [span for span in token_spans[token_range.first : token_range.end] if span]
    if not spans:
        raise DataError(
            f"the {token_range.label} that begins here covers blank tokens only; tag it O",
            source.place,
            sentence.line_numbers[token_range.first],
        )
    start, end = spans[0].start, spans[-1].end
    return Mention(start, end, token_range.label, text[start:end])
