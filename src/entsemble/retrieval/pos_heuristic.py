"""Part of speech without a tagger: the stated fallback, for any language and script.

It looks at letters alone: a word with a capital, a digit beside a letter, or a mark of social media (`@`, `#`) counts
as a proper noun; words of scripts without case count as proper nouns too, since nothing tells them apart; English
pronouns are known by name; all else is a common noun. What it cannot tell apart costs little: the tags only weigh spans
that a model proposed as names.
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
    """Tags by the look of a span's words; see the module."""

    name = "surface-1"

    def tag_spans(self, text: str, spans: Sequence[Span]) -> list[str]:
        """One of `PROPN`, `NOUN`, `PRON`, `X` (no word at all) a span."""
        return [_tag(span.slice(text)) for span in spans]


def _tag(surface: str) -> str:
    words = _WORD.findall(surface)
    if not words:
        return "X"
    if all(word.lower() in _PRONOUNS for word in words):
        return "PRON"
    return "PROPN" if any(map(_looks_like_a_name, words)) else "NOUN"


def _looks_like_a_name(word: str) -> bool:
    uncased = word.lower() == word.upper() and any(c.isalpha() for c in word)
    digit_and_letter = any(c.isdigit() for c in word) and any(c.isalpha() for c in word)
    return word[0] in "@#" or any(c.isupper() for c in word) or uncased or digit_and_letter
