"""From words and labels to tensors.

The text is laid out as ``[CLS] [unused1] label [unused1] label ... [SEP] words [SEP]``; everything that the network
needs to find its way in it is an index tensor, so that the network itself is a fixed graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer

from tools.reader.prompts import SPAN_WIDTH, Example
from tools.reader.wording import name_of

MARKER = "[unused1]"
LABEL_PIECES, WORD_PIECES, ROW_PIECES = 64, 8, 448
ALL_LABEL_PIECES = 256  # shared evenly where many labels have long definitions


@dataclass(frozen=True)
class Batch:
    """The inputs of the network; B rows of N pieces, W words, L labels, K = `SPAN_WIDTH`.

    input_ids, attention_mask (B, N); label_first, label_last (B, L); word_first, word_last (B, W): places in the row;
    span_last (W, K): the last word of the span that starts at a word and has k + 1 words; span_mask (B, W, K) and
    label_mask (B, L): what exists.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    label_first: torch.Tensor
    label_last: torch.Tensor
    word_first: torch.Tensor
    word_last: torch.Tensor
    span_last: torch.Tensor
    span_mask: torch.Tensor
    label_mask: torch.Tensor

    def inputs(self) -> tuple[torch.Tensor, ...]:
        """The arguments of `LabelReader.forward`, in order."""
        return (
            self.input_ids,
            self.attention_mask,
            self.label_first,
            self.label_last,
            self.word_first,
            self.word_last,
            self.span_last,
            self.label_mask,
        )


@dataclass(frozen=True)
class Row:
    """One encoded example: pieces, and (first, last) piece of each label's name and of each word that fits."""

    pieces: list[int]
    labels: list[tuple[int, int]]
    words: list[tuple[int, int]]


class Encoder:
    """Tokenises words and labels, each one once."""

    def __init__(self, tokenizer_file: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(tokenizer_file))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        token_names = ("[CLS]", "[SEP]", "[PAD]", "[UNK]", MARKER)
        self._start, self._separator, self.padding, self._unknown, self._marker = map(self._special, token_names)
        self._known: dict[str, list[int]] = {}

    def _special(self, token_name: str) -> int:
        token_id = self._tokenizer.token_to_id(token_name)
        if token_id is None:
            raise ValueError(f"the vocabulary has no {token_name}")
        return int(token_id)

    def pieces(self, token_text: str, piece_limit: int) -> list[int]:
        """The first pieces of a text, one at least."""
        if token_text not in self._known:
            if len(self._known) > 200_000:
                self._known.clear()
            self._known[token_text] = self._tokenizer.encode(token_text, add_special_tokens=False).ids or [
                self._unknown
            ]
        return self._known[token_text][:piece_limit]

    def row(self, word_texts: Sequence[str], label_texts: Sequence[str]) -> Row:
        """Lay out one example; words that do not fit are left out at the end."""
        pieces, label_places, word_places = [self._start], list[tuple[int, int]](), list[tuple[int, int]]()
        piece_limit = max(6, min(LABEL_PIECES, ALL_LABEL_PIECES // max(1, len(label_texts))))
        for label_text in label_texts:
            first_piece = len(pieces)
            pieces += [self._marker, *self.pieces(label_text, piece_limit)]
            name_length = min(piece_limit, len(self.pieces(name_of(label_text), LABEL_PIECES)))
            label_places.append((first_piece, first_piece + name_length))
        pieces.append(self._separator)
        for word_text in word_texts:
            word_pieces = self.pieces(word_text, WORD_PIECES)
            if len(pieces) + len(word_pieces) >= ROW_PIECES:
                break
            word_places.append((len(pieces), len(pieces) + len(word_pieces) - 1))
            pieces += word_pieces
        return Row([*pieces, self._separator], label_places, word_places)

    def batch(self, encoded_rows: Sequence[Row]) -> Batch:
        """Pad rows to one size."""
        label_count, word_count = (
            max(len(row.labels) for row in encoded_rows),
            max(len(row.words) for row in encoded_rows),
        )
        word_starts = torch.arange(word_count)
        span_last = word_starts.unsqueeze(1) + torch.arange(SPAN_WIDTH)
        word_counts = torch.tensor([len(row.words) for row in encoded_rows])
        return Batch(
            _padded([row.pieces for row in encoded_rows], self.padding),
            _padded([[1] * len(row.pieces) for row in encoded_rows], 0),
            _padded([[first_index for first_index, _ in row.labels] for row in encoded_rows], 0),
            _padded([[last_index for _, last_index in row.labels] for row in encoded_rows], 0),
            _padded([[first_index for first_index, _ in row.words] for row in encoded_rows], 0),
            _padded([[last_index for _, last_index in row.words] for row in encoded_rows], 0),
            span_last.clamp(max=word_count - 1),
            span_last.unsqueeze(0) < word_counts.view(-1, 1, 1),
            torch.arange(label_count).unsqueeze(0)
            < torch.tensor([len(row.labels) for row in encoded_rows]).unsqueeze(1),
        )


@dataclass(frozen=True)
class Targets:
    """What is right for a batch: `scores` (B, W, K, L) of 0 and 1, and each right span as (row, word, k, label)."""

    scores: torch.Tensor
    spans: torch.Tensor


def targets_of(examples: Sequence[Example], batch: Batch) -> Targets:
    """The right answers, those on words that did not fit left out."""
    row_count, word_count, span_width = batch.span_mask.shape
    score_targets = torch.zeros(row_count, word_count, span_width, batch.label_mask.shape[1])
    place_list: list[tuple[int, int, int, int]] = []
    for row_index, current_example in enumerate(examples):
        for first_word, last_word, label_index in current_example.spans:
            if last_word < word_count and bool(batch.span_mask[row_index, first_word, last_word - first_word]):
                place_list.append((row_index, first_word, last_word - first_word, label_index))
    span_places = torch.tensor(sorted(set(place_list)), dtype=torch.long).reshape(-1, 4)
    score_targets[tuple(span_places.unbind(1))] = 1.0
    return Targets(score_targets, span_places)


def _padded(encoded_rows: Sequence[Sequence[int]], padding_id: int) -> torch.Tensor:
    row_width = max(map(len, encoded_rows))
    return torch.tensor([[*row, *[padding_id] * (row_width - len(row))] for row in encoded_rows], dtype=torch.long)
