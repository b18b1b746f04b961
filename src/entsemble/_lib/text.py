"""Words and scripts, texts on one line, and whether two texts are the same."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from itertools import pairwise

from entsemble.types import Span

HAN_AND_KANA = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Character ranges for use inside the brackets of a regular expression."""

UNSPACED_SCRIPTS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff" + HAN_AND_KANA
"""The scripts written without spaces between words: Thai, Lao, Burmese, Khmer, kana and Han; ranges as above."""

_UNSPACED_CHARACTER = re.compile(f"[{UNSPACED_SCRIPTS}]")
_QUOTES_AND_STOPS = " \t\n.,;:!?'\"()[]{}\u2018\u2019\u201c\u201d\u00ab\u00bb"
_POSSESSIVE = re.compile("['\u2019]s$")
_LINE_BREAK = re.compile(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]")
_EMOJI = "[\u2600-\u2775\u2794-\u27bf\u2b00-\u2bff\U0001f000-\U0001f0ff\U0001f300-\U0001faff]"
_FLAG = "[\U0001f1e6-\U0001f1ff]{2}"
_EMOJI_MARKS = "\ufe0f\u20e3"
"""What makes an emoji of the character before it: `1` and both of these are a keycap."""

_EMOJI_SEQUENCE = f"{_FLAG}|{_EMOJI}(?:[{_EMOJI_MARKS}\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]|\u200d{_EMOJI})*"
_WORD_OR_PUNCTUATION = re.compile(rf"\w+|{_EMOJI_SEQUENCE}|[^\w\s]")
_SYMBOL_CATEGORIES = {"So", "Sk", "Cf", "Mn", "Me"}
"""Of emoji, their modifiers and joiners, and other characters that are not seen."""

_SIGNS = frozenset("°©®") | {chr(code) for code in (*range(0x2100, 0x2190), *range(0x3300, 0x3400))}
"""Symbols that stand for words or units, such as ™, №, ℃ and ㎏."""


def one_line(text: str) -> str:
    """`text` with each line break replaced by one space, so that offsets stay the same."""
    return _LINE_BREAK.sub(" ", text)


def message_line(*parts: object) -> str:
    r"""A message of the command line, its parts separated by colons: one line, of characters that can be shown.

    Names of files, ids of documents and messages of libraries may hold anything. Others are escaped: a terminal would
    obey them, or show what follows in another order.

    >>> print(message_line("entsemble", "a\nb", chr(27)))
    entsemble: a b: \x1b
    """
    line = _LINE_BREAK.sub(" ", ": ".join(map(str, parts)))
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in line)


def same_text_key(text: str) -> str:
    """A key that two texts share if they differ in whitespace and case only."""
    return re.sub(r"\s+", "", text).casefold()


def same_text_digest(text: str) -> bytes:
    """16 bytes that stand for `same_text_key(text)`, however long the text is."""
    return hashlib.blake2b(same_text_key(text).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def name_key(name: str) -> str:
    """A key that two names share if they differ in case, whitespace, surrounding punctuation or a possessive s only.

    >>> name_key("Ada  Lovelace's") == name_key("ADA LOVELACE,")
    True
    """
    folded = " ".join(unicodedata.normalize("NFKC", name).split()).casefold()
    return _POSSESSIVE.sub("", folded.strip(_QUOTES_AND_STOPS)) or folded


def word_spans(text: str) -> list[Span]:
    """The words, emoji and punctuation characters of a text, in order.

    Words of scripts without spaces are split into characters, so that a span may start and end at any of them. A
    combining mark belongs to the character before it, and an emoji of several characters is one.
    """
    if text.isascii():  # neither marks nor scripts without spaces
        return [Span(*match.span()) for match in _WORD_OR_PUNCTUATION.finditer(text)]
    spans: list[Span] = []
    for match in _WORD_OR_PUNCTUATION.finditer(text):
        start, end = match.span()
        inner = () if match[0].isascii() else range(start + 1, end)
        breaks = [index for index in inner if is_unspaced(text[index]) or is_unspaced(text[index - 1])]
        for piece_start, piece_end in pairwise([start, *breaks, end]):
            if spans and spans[-1].end == piece_start and _joined_by_mark(text, piece_start):
                spans[-1] = Span(spans[-1].start, piece_end)
            else:
                spans.append(Span(piece_start, piece_end))
    return spans


def _joined_by_mark(text: str, position: int) -> bool:
    """Whether a combining mark joins the characters before and after `position`."""
    is_mark = [_is_mark(text[position - 1]), _is_mark(text[position])]
    return any(is_mark) and is_inside_word(text, position)


def is_inside_word(text: str, position: int) -> bool:
    """Whether the characters before and after `position` belong to the same word."""
    if not 0 < position < len(text):
        return False
    following = text[position]
    if _is_mark(following):
        return True
    index = position - 1
    while index > 0 and _is_mark(text[index]):
        if text[index] in _EMOJI_MARKS:
            return False
        index -= 1
    preceding = text[index]
    if not (preceding.isalnum() and following.isalnum()):
        return False
    return not (is_unspaced(preceding) or is_unspaced(following))


def is_symbol(word: str) -> bool:
    """Whether a word is an emoji, or consists of characters that are not seen, and so has nothing to read.

    Signs of units and marks, such as ° and ™, belong to names and measurements.
    """
    return not word.isascii() and all(
        unicodedata.category(character) in _SYMBOL_CATEGORIES and character not in _SIGNS for character in word
    )


def whole_words(text: str, span: Span) -> Span | None:
    """The span without white space at its edges, expanded to whole words; `None` if it is all white space."""
    start, end = span.start, span.end
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start == end:
        return None
    while is_inside_word(text, start):
        start -= 1
    while is_inside_word(text, end):
        end += 1
    return Span(start, end)


def is_unspaced(character: str) -> bool:
    """Whether the character's script is written without spaces between words."""
    return _UNSPACED_CHARACTER.match(character) is not None


def _is_mark(character: str) -> bool:
    return not character.isascii() and unicodedata.category(character)[0] == "M"


def pluralize(count: int, noun: str) -> str:
    """The count followed by the noun in singular or plural.

    >>> pluralize(1, "document"), pluralize(1200, "document")
    ('1 document', '1,200 documents')
    """
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
