"""Documents to correct, and the keys that correct each of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from entsemble.types import Document, Mention

CORRECTIONS = 5
"""In each document: two labels, a mention to reject, one to add and one to shorten."""

_NAMES = ("Ann", "Bob", "Cleo", "Dan", "Eva", "Finn")
_FILLERS = ("then", "the", "whole", "town", "had", "gone", "to", "see", "ships", "come", "in", "while", "rain", "fell")
_SENTENCES, _WORDS = 10, 15
_NAME_AT, _MISSED_AT, _WRONG_AT = 4, 7, 10
_LABEL_IS_WRONG, _HAS_FALSE, _HAS_MISSED, _HAS_LONG = (1, 6), 3, 4, 8
"""Sentences with a wrong label, with a word that is no name, with a name that was missed, with a mention too long."""

PageName = Literal["new", "old"]


@dataclass(frozen=True, slots=True)
class WalkDocument:
    """A document with mentions as extracted, and as they should be."""

    predicted: Document
    gold: Document
    sentences: tuple[tuple[int, int], ...]

    def corrected_sentences(self) -> Iterator[tuple[str, list[tuple[int, int, str]]]]:
        """Text of each sentence with something wrong, and start, end and label of its right mentions."""
        for start, end in self.sentences:
            right, wrong = (
                [(m.start - start, m.end - start, m.label) for m in document.mentions if start <= m.start < end]
                for document in (self.gold, self.predicted)
            )
            if right != wrong:
                yield self.gold.text[start:end], right


def walk_document(number: int) -> WalkDocument:
    """A text of 150 words in ten sentences."""
    text = ""
    predicted: list[Mention] = []
    gold: list[Mention] = []
    sentences: list[tuple[int, int]] = []
    for sentence in range(_SENTENCES):
        words = _sentence(number, sentence)
        start = len(text)
        gold.append(_mention(words, start, _NAME_AT))
        if sentence == _HAS_MISSED:
            gold.append(_mention(words, start, _MISSED_AT))
        label = "location" if sentence in _LABEL_IS_WRONG else "person"
        predicted.append(_mention(words, start, _NAME_AT, label, 2 if sentence == _HAS_LONG else 1))
        if sentence == _HAS_FALSE:
            predicted.append(_mention(words, start, _WRONG_AT))
        text += " ".join(words)
        sentences.append((start, len(text)))
        text += "\n"
    name, text = f"walk {number}", text.removesuffix("\n")
    return WalkDocument(Document(name, text, tuple(predicted)), Document(name, text, tuple(gold)), tuple(sentences))


def _sentence(number: int, sentence: int) -> list[str]:
    words = [_FILLERS[(7 * number + 3 * sentence + at) % len(_FILLERS)] for at in range(_WORDS)]
    words[1] = str(100 * number + sentence)  # each sentence is another one
    words[_NAME_AT] = _NAMES[(sentence + number) % len(_NAMES)]
    if sentence == _HAS_MISSED:
        words[_MISSED_AT] = _NAMES[(sentence + number + 1) % len(_NAMES)]
    return [words[0].capitalize(), *words[1:-1], f"{words[-1]}."]


def _mention(words: Sequence[str], start: int, at: int, label: str = "person", count: int = 1) -> Mention:
    first = start + sum(len(word) + 1 for word in words[:at])
    surface = " ".join(words[at : at + count])
    return Mention(first, first + len(surface), label, surface, 0.8)


def walk_keys(page: PageName) -> list[str]:
    """The keys that correct any of the documents.

    The new page goes on to the next mention after a label, and to the next document after `d`; `n` adds a word, and
    moves on by one each time. On the old one, which shows all documents below one another, the arrow goes on to the
    next mention, the edges of an added word are moved, and `s` saves.
    """
    keys = ["ArrowRight"]  # to the first mention
    words = _MISSED_AT - _NAME_AT
    if page == "new":
        relabel, add, shorten = ["1"], ["n"] * words, "k"
    else:
        relabel, shorten = ["1", "ArrowRight"], "{"
        add = ["n", *["}", "]"] * (words - 1)]
    for sentence in range(_SENTENCES):
        if sentence in _LABEL_IS_WRONG:
            keys += relabel
            continue
        if sentence == _HAS_MISSED:
            keys += add
        if sentence == _HAS_LONG:
            keys.append(shorten)
            if page == "new":
                return [*keys, "d"]  # what follows is right, and has been read
        keys.append("ArrowRight")
        if sentence == _HAS_FALSE:
            keys.append("x")
    return [*keys[:-1], "s"]
