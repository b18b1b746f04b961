"""Reader of the CoNLL family: one token a line, tags in columns, blank lines between sentences.

Every sentence becomes a document. Columns, separator, comments, document marks and the tag scheme are recognised; a
line that does not fit is an error that names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain, islice

from entsemble.data.conll import layout as columns
from entsemble.data.conll import tags
from entsemble.data.conll.detokenise import detokenise, spaced
from entsemble.data.conll.layout import DOCUMENT_MARK, Traits
from entsemble.data.options import ConllFormat, ReadOptions
from entsemble.data.source import Source
from entsemble.errors import DataError
from entsemble.types import Document, Mention, Span


@dataclass(slots=True)
class _Sentence:
    """The lines of one sentence.

    Attributes:
        document: which document it belongs to, from 1.
        lines: the line number of each token.
        tokens: the words.
        tags: the tags of each token, one a level.
    """

    document: int
    lines: list[int] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    tags: list[list[str]] = field(default_factory=list)


def read(source: Source, options: ReadOptions) -> Iterator[Document]:
    """The sentences of a file, each as a document called `<name>:<line of its first token>`.

    Tokens of blanks alone are left out of the text; a sentence of nothing else is a document without text. Levels of
    nesting are read together: a mention that two levels mark alike is one mention.

    Raises:
        DataError: no column of tags, a malformed line, an unknown tag, a mention of blank tokens alone, or no sentence.
    """
    lines = source.lines()
    ahead = list(islice(lines, columns.LOOK_AHEAD))
    layout, traits = _known(ahead, source, options.conll)
    found = False
    for sentence in _sentences(chain(ahead, lines), layout, traits, source):
        found = True
        yield _document(sentence, traits, source, options)
    if not found:
        raise DataError("the file holds no sentence; give a file with one token a line", source.place)


def _known(ahead: list[tuple[int, str]], source: Source, given: ConllFormat | None) -> tuple[ConllFormat, Traits]:
    lines = [line for _, line in ahead]
    if not any(line.strip() for line in lines):
        raise DataError("the file is empty; give a file with one token a line", source.place)
    layout = given or columns.recognise(lines) or columns.recognise(lines, strict=False)
    if layout is None:
        raise DataError(
            "no column holds tags such as O, B-PER, I-PER; name the columns if there are any, or the right format",
            source.place,
        )
    if layout.separator is None:
        layout = replace(layout, separator=columns.separator_of(lines))
    return layout, columns.traits(lines, layout)


def _sentences(
    lines: Iterable[tuple[int, str]], layout: ConllFormat, traits: Traits, source: Source
) -> Iterator[_Sentence]:
    current = _Sentence(0 if traits.mark_first else 1)
    for number, line in lines:
        mark = DOCUMENT_MARK in line and DOCUMENT_MARK in columns.fields(line, layout.separator)
        if mark or not line.strip():
            if current.tokens:
                yield current
            current = _Sentence(current.document + mark)
        else:
            _add(current, number, line, layout, source)
    if current.tokens:
        yield current


def _add(sentence: _Sentence, number: int, line: str, layout: ConllFormat, source: Source) -> None:
    """Take one line into `sentence`; a comment before its first token is skipped."""
    try:
        token, tag_row = _row(line, layout)
    except DataError as error:
        if not sentence.tokens and columns.looks_like_comment(line):
            return
        raise DataError(error.problem, source.place, number) from None
    sentence.lines.append(number)
    sentence.tokens.append(token)
    sentence.tags.append(tag_row)


def _row(line: str, layout: ConllFormat) -> tuple[str, list[str]]:
    """The token and the tags of one line."""
    row = columns.fields(line, layout.separator)
    while layout.columns is not None and len(row) > layout.columns and not row[-1].strip():
        row.pop()
    needed = [layout.token, *layout.tags]
    if layout.columns is not None and len(row) != layout.columns:
        raise DataError(_width_problem(row, layout, str(layout.columns)))
    if not all(-len(row) <= i < len(row) for i in needed):
        raise DataError(_width_problem(row, layout, f"at least {max(i + 1 if i >= 0 else -i for i in needed)}"))
    found = [row[i].strip() for i in layout.tags]
    for tag in found:
        tags.decode([tag], layout.scheme)
    return row[layout.token], found


def _width_problem(row: list[str], layout: ConllFormat, wanted: str) -> str:
    between = "a TAB" if layout.separator == "\t" else "blanks"
    return (
        f"this line has {len(row)} column{'s' * (len(row) != 1)} where {wanted} separated by {between} should be; "
        "mend the line, or name the columns"
    )


def _document(sentence: _Sentence, traits: Traits, source: Source, options: ReadOptions) -> Document:
    text, places = _text(sentence.tokens, traits, options)
    mentions: dict[Mention, None] = {}
    for level in zip(*sentence.tags, strict=True):
        for found in tags.decode(level):
            mentions[_mention(found, text, places, sentence, source)] = None
    return Document(
        f"{source.name}:{sentence.lines[0]}",
        text,
        tuple(mentions),
        tuple(p for p in places if p),
        {"document": sentence.document} if traits.numbered else {},
    )


def _text(tokens: list[str], traits: Traits, options: ReadOptions) -> tuple[str, list[Span | None]]:
    words, continues = tokens, [False] * len(tokens)
    if traits.word_digits:
        digits = [t[-1] if len(t) > 1 and t[-1].isdecimal() else "" for t in tokens]
        words = [t[:-1] if d else t for t, d in zip(tokens, digits, strict=True)]
        continues = [d not in ("", "0") for d in digits]
    if options.spacing == "spaced":
        return spaced(words)
    return detokenise(words, continues if traits.word_digits else (), traits.split_marks)


def _mention(
    found: tags.TokenRange, text: str, places: list[Span | None], sentence: _Sentence, source: Source
) -> Mention:
    visible = [p for p in places[found.first : found.end] if p]
    if not visible:
        raise DataError(
            f"the {found.label} that begins here covers blank tokens only; tag it O",
            source.place,
            sentence.lines[found.first],
        )
    start, end = visible[0].start, visible[-1].end
    return Mention(start, end, found.label, text[start:end])
