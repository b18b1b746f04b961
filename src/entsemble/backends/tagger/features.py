"""The features of a word for the sequence tagger: itself, its shape and affixes, and its neighbours.

Those of textbook taggers for named entities (L. Ratinov and D. Roth, 2009; J. Lafferty et al., 2001, for the model).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

MAX_AFFIX = 4
"""Characters of the longest prefix and suffix."""

MAX_SHAPE = 12
"""Characters of a word's shape, so that long words share one."""

_OUTSIDE = ("<outside>",)


def word_features(words: Sequence[str]) -> list[list[str]]:
    """For each word of a sentence, the names of its features.

    Args:
        words: words and punctuation marks.
    """
    inner = [_inner_features(word) for word in words]
    outer = [_outer_features(word) for word in words]
    features = []
    for index, word in enumerate(words):
        row = ["bias", *inner[index]]
        for offset in (-2, -1, 1, 2):
            position = index + offset
            neighbour = outer[position] if 0 <= position < len(words) else _OUTSIDE
            row += [f"{offset}:{name}" for name in (neighbour if abs(offset) == 1 else neighbour[:2])]
        row.append(f"-1&0:{words[index - 1].lower() if index else ''} {word.lower()}")
        features.append(row)
    return features


@lru_cache(1 << 16)
def _inner_features(word: str) -> tuple[str, ...]:
    lowercase = word.lower()
    lengths = range(1, min(MAX_AFFIX, len(lowercase)) + 1)
    prefixes, suffixes = (f"prefix={lowercase[:n]}" for n in lengths), (f"suffix={lowercase[-n:]}" for n in lengths)
    return (*_outer_features(word), f"exact={word}", *prefixes, *suffixes)


@lru_cache(1 << 16)
def _outer_features(word: str) -> tuple[str, ...]:
    shape = "".join(map(_shape_of, word))[:MAX_SHAPE]
    flags = [name for name in ("istitle", "isupper", "isdigit") if getattr(word, name)()]
    return (f"word={word.lower()}", f"shape={shape}", f"ending={word[-3:].lower()}", *flags)


def _shape_of(character: str) -> str:
    if character.isalpha():
        return "X" if character.isupper() else "x"
    return "d" if character.isdigit() else character
