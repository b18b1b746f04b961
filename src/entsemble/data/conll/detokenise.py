"""Joins tokens to a natural text, with the exact offsets of each token.

The spacing is a guess, the offsets are exact: tokens are copied unchanged and their ranges recorded. The rules use
characters and their Unicode categories; English contractions are the only words they know.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence

from entsemble._lib.text import HAN_AND_KANA
from entsemble.types import Span

INFIXES = "-/"
PREFIXES = "@#"

_MIN_STANDALONE = 10
_MAX_INSIDE_SHARE = 50
"""Punctuation counts as split if at least `_MIN_STANDALONE` tokens are it, and 50 times as many as contain it."""

_CONTRACTION_PARTS = [("n", "t"), ("", "s"), ("", "re"), ("", "ve"), ("", "ll"), ("", "d"), ("", "m")]
_CONTRACTIONS = frozenset(
    f"{before}{apostrophe}{after}" for apostrophe in ("'", "\u2019") for before, after in _CONTRACTION_PARTS
)
_SUFFIXES = frozenset(("s", "t", "re", "ve", "ll", "d", "m"))
_CLOSING = frozenset(".,;:!?…%’”、。，！？；：")  # noqa: RUF001
_SENTENCE_END = re.compile(r"[.!?…。！？]+|''")  # noqa: RUF001
_OPENING_OR_CLOSING = frozenset("\"'«»“＂")  # noqa: RUF001
_OPENING = frozenset(["„", "‚", "‘", "``", "¿", "¡"])  # noqa: RUF001
_CJK = re.compile(f"[\u3000-\u303f{HAN_AND_KANA}\uff00-\uffef]")


def join_with_spaces(tokens: Iterable[str]) -> tuple[str, list[Span | None]]:
    """The tokens with one space between them; the result is that of `detokenise`."""
    return _join(tokens, lambda _left, _right: True)


def detokenise(
    tokens: Sequence[str], continues: Sequence[bool] = (), split_infixes: frozenset[str] = frozenset()
) -> tuple[str, list[Span | None]]:
    """The tokens as natural text.

    Args:
        tokens: the words. Whitespace around a token is dropped, and a blank token has no range.
        continues: one per token, if the source has this information: whether it belongs to the same word as the token
            before it.
        split_infixes: punctuation that the source's tokeniser separates from words, see `find_split_punctuation`.

    Returns:
        The text, and the range of each token, `None` for a blank one.
    """
    if continues:
        return _join(tokens, lambda _left, right: not continues[right] and _separates_words(tokens, right))
    spacing = _Spacing([token.strip() for token in tokens], split_infixes)
    return _join(tokens, spacing.has_space_between)


def find_split_punctuation(tokens: Sequence[str]) -> frozenset[str]:
    """The infixes and prefixes that are always tokens of their own, although people write them inside words.

    Biomedical corpora split `IL-4` into `IL` `-` `4`, corpora of tweets split `@name` into `@` `name`. The result is
    empty for few tokens.
    """
    inside_patterns = [(infix, rf"\w{infix}\w") for infix in INFIXES]
    inside_patterns += [(prefix, rf"^{prefix}\w") for prefix in PREFIXES]
    split_punctuation = set()
    for character, inside_pattern in inside_patterns:
        standalone = sum(token == character for token in tokens)
        inside = sum(1 for token in tokens if character in token and re.search(inside_pattern, token))
        if standalone >= _MIN_STANDALONE and inside * _MAX_INSIDE_SHARE <= standalone:
            split_punctuation.add(character)
    return frozenset(split_punctuation)


class _Spacing:
    """Decides whether there is a space between neighbours.

    Args:
        tokens: of the whole text, because quotation marks open and close in turn.
        split_infixes: see `detokenise`.
    """

    def __init__(self, tokens: Sequence[str], split_infixes: frozenset[str]) -> None:
        self._tokens, self._split_infixes = tokens, split_infixes
        self._quote_sides = _quote_sides(tokens)

    def has_space_between(self, left: int, right: int) -> bool:
        """Whether there is a space between the tokens with the indices `left` and `right`, which are neighbours."""
        before, after = self._tokens[left], self._tokens[right]
        if self._quote_sides.get(left) in ("open", "both") or self._quote_sides.get(right) in ("close", "both"):
            return False
        if right not in self._quote_sides and (_attaches_left(after, before) or after.lower() in _CONTRACTIONS):
            return False
        if left not in self._quote_sides and _attaches_right(before, after):
            return False
        return not (_CJK.match(before[-1]) and _CJK.match(after[0])) and not self._is_split_word(left, right)

    def _is_split_word(self, left: int, right: int) -> bool:
        """Whether the tokeniser split a word here."""
        before, after = self._tokens[left], self._tokens[right]
        if before in self._split_infixes and before in PREFIXES:
            return after[0].isalnum() or after[0] == "_"
        if after in self._split_infixes and after in INFIXES:
            return before[-1].isalnum()
        word_start = self._tokens[left - 1] if left else ""
        is_infix = before in self._split_infixes and before in INFIXES
        return is_infix and word_start[-1:].isalnum() and after[0].isalnum()


def _quote_sides(tokens: Sequence[str]) -> dict[int, str]:
    """Index of a quotation mark -> its side: "open", "close", or "both" for an apostrophe inside a word."""
    sides: dict[int, str] = {}
    open_quotes: set[str] = set()
    for index, token in enumerate(tokens):
        if token not in _OPENING_OR_CLOSING:
            if token == "„":
                open_quotes.add("“")
            continue
        quote = "«" if token == "»" else token
        if token == "'" and _is_apostrophe(tokens, index):
            sides[index] = "both"
        elif quote in open_quotes:
            sides[index] = "close"
            open_quotes.discard(quote)
        elif quote != "'" or "'" in tokens[index + 1 :]:
            sides[index] = "open"
            open_quotes.add(quote)
        else:
            sides[index] = "close"  # a lone apostrophe: the possessive of a plural
    return sides


def _is_apostrophe(tokens: Sequence[str], index: int) -> bool:
    following = tokens[index + 1].lower() if index + 1 < len(tokens) else ""
    return index > 0 and tokens[index - 1][-1:].isalnum() and following in _SUFFIXES


def _attaches_left(token: str, before: str) -> bool:
    if token == "%":
        return before[-1].isdigit()
    if len(token) > 1:
        return bool(_SENTENCE_END.fullmatch(token))
    return token in _CLOSING or unicodedata.category(token) == "Pe"


def _attaches_right(token: str, after: str) -> bool:
    if len(token) == 1 and unicodedata.category(token) == "Sc":
        return after[0].isdigit()
    return token in _OPENING or (len(token) == 1 and unicodedata.category(token) == "Ps")


def _separates_words(tokens: Sequence[str], right: int) -> bool:
    """Whether two words of a script with spaces meet before the token; Chinese characters are not separated."""
    left = next((token for token in reversed(tokens[:right]) if token.strip()), "")
    return left[-1:].isascii() and left[-1:].isalnum() and tokens[right][:1].isascii() and tokens[right][:1].isalnum()


def _join(tokens: Iterable[str], has_space: Callable[[int, int], bool]) -> tuple[str, list[Span | None]]:
    parts: list[str] = []
    spans: list[Span | None] = []
    length, left = 0, -1
    for right, token in enumerate(tokens):
        word = token.strip()
        if not word:
            spans.append(None)
            continue
        if left >= 0 and has_space(left, right):
            parts.append(" ")
            length += 1
        spans.append(Span(length, length + len(word)))
        parts.append(word)
        length += len(word)
        left = right
    return "".join(parts), spans
