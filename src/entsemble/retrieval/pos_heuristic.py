"""Part-of-speech tags without a tagger: a fallback for any language and script.

Only the characters count. Proper nouns are words with a capital, a digit next to a letter, or a social-media sign (`@`,
`#`), and all words of scripts without case; pronouns are those of English; other words are common nouns. Errors cost
little: the tags only weight spans that a model proposed as names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from entsemble.types import Span

_PRONOUNS = frozenset(
    word
    for words in (
        "i me my mine we us our ours you your yours",
        "he him his she her hers it its they them their theirs",
        "this that these those who whom whose which what",
        "myself himself herself itself themselves",
    )
    for word in words.split()
)
_WORD = re.compile(r"[\w@#][\w.'\u2019&-]*")


class HeuristicPosTagger:
    """A `PosTagger` that looks at the characters of a span's words; see the module."""

    name = "surface-1"

    def tag_spans(self, text: str, spans: Sequence[Span]) -> list[str]:
        """One of `PROPN`, `NOUN`, `PRON` or `X` (no word) for each span."""
        return [_tag(span.slice(text)) for span in spans]


def _tag(surface: str) -> str:
    words = _WORD.findall(surface)
    if not words:
        return "X"
    if all(word.lower() in _PRONOUNS for word in words):
        return "PRON"
    return "PROPN" if any(map(_is_proper_noun, words)) else "NOUN"


def _is_proper_noun(word: str) -> bool:
    has_letter = any(map(str.isalpha, word))
    has_letter_and_digit = has_letter and any(map(str.isdigit, word))
    has_capital = any(map(str.isupper, word))
    is_uncased = has_letter and word.lower() == word.upper()
    return word[0] in "@#" or has_capital or is_uncased or has_letter_and_digit
