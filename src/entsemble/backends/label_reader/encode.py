"""Labels and words as the label reader's input: `[CLS] [unused1] label [unused1] label ... [SEP] words [SEP]`.

A label is its name, or `name: definition`. Its vector is that of its name; the definition is context, as the text is.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from entsemble._lib.optional import require
from entsemble.types import Label

Indices = npt.NDArray[np.int64]

LABEL_MARKER = "[unused1]"

MAX_LABEL_PIECES, MAX_WORD_PIECES, MAX_ROW_PIECES = 64, 8, 448
"""Word pieces kept of a label with its definition, of a word, and of a whole row."""

MAX_PIECES_OF_ALL_LABELS = 256
"""Shared evenly by the labels of a row, so that long definitions leave room for the text."""

MIN_LABEL_PIECES = 6

_LATIN_LETTER = re.compile("[A-Za-z\u00c0-\u024f]")


class ShownLabel(NamedTuple):
    """A label as the reader sees it.

    Attributes:
        name: what its vector is made of.
        text: the name, and its definition if there is one.
    """

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class EncodedRow:
    """One text with its labels.

    Attributes:
        pieces: ids of word pieces.
        labels: (first, last) piece of each label's name, with the marker before it.
        words: (first, last) piece of each word that fits.
    """

    pieces: list[int]
    labels: list[tuple[int, int]]
    words: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Batch:
    """Input of the network: B rows of N pieces, L labels and W words, and spans of up to K words.

    Attributes:
        arrays: name of an input -> int64; `input_ids`, `attention_mask` [B, N]; `label_first`, `label_last` [B, L];
            `word_first`, `word_last` [B, W]; `span_last` [W, K], the last word of the span that starts at a word and
            has k + 1 words; `label_mask` [B, L], which labels exist.
        span_mask: [B, W, K], which spans exist.
    """

    arrays: dict[str, Indices]
    span_mask: npt.NDArray[np.bool_]


class LabelReaderEncoder:
    """Tokenises labels and words.

    Args:
        tokenizer_file: a WordPiece tokenizer, as `tokenizers` saves it.

    Raises:
        MissingExtraError: `tokenizers` is not installed.
        ValueError: the vocabulary lacks a special token.
    """

    def __init__(self, tokenizer_file: Path) -> None:
        tokenizers: Any = require("tokenizers", "embedded", "the label reader")
        self._tokenizer = tokenizers.Tokenizer.from_file(str(tokenizer_file))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        special_tokens = ("[CLS]", "[SEP]", "[PAD]", "[UNK]", LABEL_MARKER)
        self._start, self._separator, self._padding, self._unknown, self._marker = map(self._id_of, special_tokens)
        self._pieces = lru_cache(1 << 16)(self._tokenize)

    def _id_of(self, token: str) -> int:
        identifier = self._tokenizer.token_to_id(token)
        if identifier is None:
            raise ValueError(f"the vocabulary has no {token}")
        return int(identifier)

    def _tokenize(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer.encode(text, add_special_tokens=False).ids) or (self._unknown,)

    def encode_row(self, words: Sequence[str], labels: Sequence[ShownLabel]) -> EncodedRow:
        """Lay out one text; words at the end that do not fit are left out.

        Args:
            words: of the text.
            labels: of `show_labels`.
        """
        pieces, label_ranges, word_ranges = [self._start], list[tuple[int, int]](), list[tuple[int, int]]()
        share = MAX_PIECES_OF_ALL_LABELS // max(1, len(labels))
        max_label_pieces = max(MIN_LABEL_PIECES, min(MAX_LABEL_PIECES, share))
        for label in labels:
            first, name = len(pieces), self._pieces(label.name)[:max_label_pieces]
            pieces += [self._marker, *self._pieces(label.text)[:max_label_pieces]]
            label_ranges.append((first, first + len(name)))
        pieces.append(self._separator)
        for word in words:
            word_pieces = self._pieces(word)[:MAX_WORD_PIECES]
            if len(pieces) + len(word_pieces) >= MAX_ROW_PIECES:
                break
            word_ranges.append((len(pieces), len(pieces) + len(word_pieces) - 1))
            pieces += word_pieces
        return EncodedRow([*pieces, self._separator], label_ranges, word_ranges)

    def build_batch(self, rows: Sequence[EncodedRow], span_width: int) -> Batch:
        """Pad rows, each with one word at least, to one size.

        Args:
            rows: encoded texts.
            span_width: words of the longest span, K.
        """
        label_counts, word_counts = [len(row.labels) for row in rows], np.array([len(row.words) for row in rows])
        last_words = np.arange(word_counts.max())[:, None] + np.arange(span_width)
        arrays = {
            "input_ids": _pad([row.pieces for row in rows], self._padding),
            "attention_mask": _pad([[1] * len(row.pieces) for row in rows], 0),
            "label_first": _pad([[first for first, _ in row.labels] for row in rows], 0),
            "label_last": _pad([[last for _, last in row.labels] for row in rows], 0),
            "word_first": _pad([[first for first, _ in row.words] for row in rows], 0),
            "word_last": _pad([[last for _, last in row.words] for row in rows], 0),
            "span_last": np.minimum(last_words, word_counts.max() - 1),
            "label_mask": _pad([[1] * count for count in label_counts], 0),
        }
        return Batch(arrays, last_words[None] < word_counts[:, None, None])


def show_labels(labels: Iterable[Label]) -> list[ShownLabel]:
    """The labels as in training: readable names, with definitions if there are any, but without counter-examples.

    A name without Latin letters, or that another label has but for case, says nothing to the reader: its definition
    stands in its place.
    """
    every = list(labels)
    counts = Counter(label.readable.casefold() for label in every)
    shown = []
    for label in every:
        name, definition = label.readable, label.meaning
        if definition and (counts[name.casefold()] > 1 or not is_readable(name)):
            name, definition = definition, ""
        shown.append(ShownLabel(name, f"{name}: {definition}" if definition else name))
    return shown


def is_readable(text: str) -> bool:
    """Whether the reader, which was trained on English labels, may know a word of the text."""
    return text.isascii() or _LATIN_LETTER.search(text) is not None


def _pad(rows: Sequence[Sequence[int]], padding: int) -> Indices:
    width = max(map(len, rows))
    return np.array([[*row, *[padding] * (width - len(row))] for row in rows], dtype=np.int64)
