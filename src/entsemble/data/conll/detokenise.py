"""Tokens -> a text as people write it, with the exact place of each token.

The spacing is a guess, the offsets are not: a token is copied as it is and its place recorded. Rules look at characters
and their Unicode classes; the only words known are English contractions.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence

from entsemble.types import Span

INFIX_MARKS = "-/"
PREFIX_MARKS = "@#"

_FEWEST_MARKS = 10
_CONTRACTED = [("n", "t"), ("", "s"), ("", "re"), ("", "ve"), ("", "ll"), ("", "d"), ("", "m")]
_CONTRACTIONS = frozenset(f"{before}{mark}{after}" for mark in ("'", "\u2019") for before, after in _CONTRACTED)
_SUFFIXES = frozenset(("s", "t", "re", "ve", "ll", "d", "m"))
_CLOSERS = frozenset(".,;:!?…%’”、。，！？；：")  # noqa: RUF001
_ENDERS = re.compile(r"[.!?…。！？]+|''")  # noqa: RUF001
_TOGGLED = frozenset("\"'«»“＂")  # noqa: RUF001
_OPENERS = frozenset(["„", "‚", "‘", "``", "¿", "¡"])  # noqa: RUF001
_CJK = re.compile(r"[\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]")


def spaced(tokens: Iterable[str]) -> tuple[str, list[Span | None]]:
    """The tokens joined by single blanks; see `detokenise` for blank tokens."""
    return _joined(tokens, lambda _left, _right: True)


def detokenise(
    tokens: Sequence[str], continues: Sequence[bool] = (), split_marks: frozenset[str] = frozenset()
) -> tuple[str, list[Span | None]]:
    """The tokens as running text.

    Args:
        tokens: the words. Blanks around a token are not part of it, and a token of blanks alone gets no place.
        continues: one flag a token, where the source says so: whether it belongs to the word before.
        split_marks: marks that the source's tokeniser cut out of words, see `split_marks_of`.

    Returns:
        The text, and for each token its range, or `None` for a blank token.
    """
    if continues:
        return _joined(tokens, lambda _left, right: not continues[right] and _between_words(tokens, right))
    spacer = _Spacer([t.strip() for t in tokens], split_marks)
    return _joined(tokens, spacer.space_between)


def split_marks_of(tokens: Sequence[str]) -> frozenset[str]:
    """The marks that always stand alone in these tokens although people write them inside words.

    Biomedical corpora cut `IL-4` into `IL` `-` `4`, tweet corpora `@name` into `@` `name`. Few tokens tell nothing.
    """
    found = set()
    for mark, inside in [(m, rf"\w{m}\w") for m in INFIX_MARKS] + [(m, rf"^{m}\w") for m in PREFIX_MARKS]:
        alone = sum(t == mark for t in tokens)
        kept = sum(1 for t in tokens if mark in t and re.search(inside, t))
        if alone >= _FEWEST_MARKS and kept * 50 <= alone:
            found.add(mark)
    return frozenset(found)


class _Spacer:
    """Decides about the blank between neighbours, from left to right, remembering which quotes are open."""

    def __init__(self, tokens: Sequence[str], split_marks: frozenset[str]) -> None:
        self._tokens, self._marks = tokens, split_marks
        self._sides = _quote_sides(tokens)

    def space_between(self, left: int, right: int) -> bool:
        """Whether a blank stands between the tokens at `left` and `right`, which follow each other."""
        a, b = self._tokens[left], self._tokens[right]
        if self._sides.get(left) in ("open", "both") or self._sides.get(right) in ("close", "both"):
            return False
        if right not in self._sides and (_closes(b, a) or b.lower() in _CONTRACTIONS):
            return False
        if left not in self._sides and _opens(a, b):
            return False
        return not (_CJK.match(a[-1]) and _CJK.match(b[0])) and not self._marked(left, right)

    def _marked(self, left: int, right: int) -> bool:
        a, b = self._tokens[left], self._tokens[right]
        if a in self._marks and a in PREFIX_MARKS:
            return b[0].isalnum() or b[0] == "_"
        if b in self._marks and b in INFIX_MARKS:
            return a[-1].isalnum()
        before = self._tokens[left - 1] if left else ""
        return a in self._marks and a in INFIX_MARKS and before[-1:].isalnum() and b[0].isalnum()


def _quote_sides(tokens: Sequence[str]) -> dict[int, str]:
    """Which side each token of quotation marks is: "open", "close", or "both" for an apostrophe cut out of a word."""
    sides: dict[int, str] = {}
    is_open: set[str] = set()
    for i, token in enumerate(tokens):
        if token not in _TOGGLED:
            if token == "„":
                is_open.add("“")
            continue
        kind = "«" if token == "»" else token
        if token == "'" and _inside_word(tokens, i):
            sides[i] = "both"
        elif kind in is_open:
            sides[i] = "close"
            is_open.discard(kind)
        elif kind != "'" or "'" in tokens[i + 1 :]:
            sides[i] = "open"
            is_open.add(kind)
        else:
            sides[i] = "close"  # a lone apostrophe: the possessive of a plural
    return sides


def _inside_word(tokens: Sequence[str], i: int) -> bool:
    following = tokens[i + 1].lower() if i + 1 < len(tokens) else ""
    return i > 0 and tokens[i - 1][-1:].isalnum() and following in _SUFFIXES


def _closes(token: str, before: str) -> bool:
    if token == "%":
        return before[-1].isdigit()
    if len(token) > 1:
        return bool(_ENDERS.fullmatch(token))
    return token in _CLOSERS or unicodedata.category(token) == "Pe"


def _opens(token: str, after: str) -> bool:
    if len(token) == 1 and unicodedata.category(token) == "Sc":
        return after[0].isdigit()
    return token in _OPENERS or (len(token) == 1 and unicodedata.category(token) == "Ps")


def _between_words(tokens: Sequence[str], right: int) -> bool:
    """Whether two words of a script with blanks meet; between characters of Chinese nothing stands."""
    left = next((t for t in reversed(tokens[:right]) if t.strip()), "")
    return left[-1:].isascii() and left[-1:].isalnum() and tokens[right][:1].isascii() and tokens[right][:1].isalnum()


def _joined(tokens: Iterable[str], space: Callable[[int, int], bool]) -> tuple[str, list[Span | None]]:
    parts: list[str] = []
    spans: list[Span | None] = []
    length, left = 0, -1
    for right, token in enumerate(tokens):
        word = token.strip()
        if not word:
            spans.append(None)
            continue
        if left >= 0 and space(left, right):
            parts.append(" ")
            length += 1
        spans.append(Span(length, length + len(word)))
        parts.append(word)
        length += len(word)
        left = right
    return "".join(parts), spans
