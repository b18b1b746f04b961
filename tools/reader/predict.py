"""Entities from the scores: labels in groups, long texts in windows, flat or nested."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file

from tools.reader.encode import Encoder
from tools.reader.model import LabelReader, load_encoder
from tools.reader.prompts import MOST_LABELS, WORD

WINDOW_WORDS, OVERLAP_WORDS = 120, 24


@dataclass(frozen=True)
class Candidate:
    """A scored span: characters of the text, index of the label, probability."""

    start: int
    end: int
    label: int
    score: float


@dataclass
class Predictor:
    """Reads texts with given labels."""

    model: LabelReader
    encoder: Encoder
    group_size: int = MOST_LABELS

    def candidates(self, texts: Sequence[str], labels: Sequence[str], lowest: float) -> list[list[Candidate]]:
        """For each text every span and label with a score above `lowest`, the highest first.

        A span in two windows keeps its higher score.
        """
        pieces = [(index, words) for index, text in enumerate(texts) for words in windows_of(text)]
        best: list[dict[tuple[int, int, int], float]] = [{} for _ in texts]
        for group in groups_of(len(labels), self.group_size):
            shown = [labels[number] for number in group]
            for (index, words), found in zip(pieces, self._scores(texts, pieces, shown, lowest), strict=True):
                for first, last, number, score in found:
                    key = (words[first][0], words[last][1], group[number])
                    best[index][key] = max(score, best[index].get(key, 0.0))
        ordered = [sorted(scores.items(), key=lambda item: (-item[1], item[0])) for scores in best]
        return [[Candidate(*key, score) for key, score in items] for items in ordered]

    def _scores(
        self,
        texts: Sequence[str],
        pieces: Sequence[tuple[int, list[tuple[int, int]]]],
        labels: Sequence[str],
        lowest: float,
    ) -> list[list[tuple[int, int, int, float]]]:
        """For each piece (first word, last word, label, score)."""
        self.model.eval()
        rows = [self.encoder.row([texts[index][a:b] for a, b in words], labels) for index, words in pieces]
        if not rows:
            return []
        batch = self.encoder.batch(rows)
        with torch.inference_mode():
            logits = self.model(*batch.inputs())
        scores = logits.sigmoid() * batch.span_mask.unsqueeze(-1) * batch.label_mask[:, None, None]
        found: list[list[tuple[int, int, int, float]]] = [[] for _ in rows]
        places = (scores > lowest).nonzero()
        for (row, word, width, label), score in zip(places.tolist(), scores[tuple(places.T)].tolist(), strict=True):
            found[row].append((word, word + width, label, score))
        return found


def decode(candidates: Sequence[Candidate], threshold: float, *, nested: bool = False) -> list[Candidate]:
    """The best candidates that do not overlap; nested ones may lie within each other but not cross.

    A span has one label, the best.
    """
    chosen: list[Candidate] = []
    for candidate in candidates:
        if candidate.score <= threshold:
            break
        if not any(_conflict(candidate, other, nested=nested) for other in chosen):
            chosen.append(candidate)
    return sorted(chosen, key=lambda item: (item.start, item.end))


def _conflict(one: Candidate, other: Candidate, *, nested: bool) -> bool:
    apart = one.end <= other.start or other.end <= one.start
    if apart or not nested:
        return not apart
    same = (one.start, one.end) == (other.start, other.end)
    within = (one.start >= other.start and one.end <= other.end) or (other.start >= one.start and other.end <= one.end)
    return same or not within


def windows_of(text: str) -> list[list[tuple[int, int]]]:
    """The places of a text's words, in windows that overlap."""
    places = [match.span() for match in WORD.finditer(text)]
    step = WINDOW_WORDS - OVERLAP_WORDS
    starts = range(0, max(1, len(places) - OVERLAP_WORDS), step)
    return [places[start : start + WINDOW_WORDS] for start in starts if places]


def groups_of(count: int, most: int) -> list[list[int]]:
    """Numbers 0 to `count` in as few groups of at most `most` as possible, of nearly one size."""
    groups = -(-count // most)
    return [list(range(group, count, groups)) for group in range(groups)]


def load_predictor(weights: Path, encoder_folder: Path) -> Predictor:
    """A reader from released or snapshot weights and the encoder's configuration and tokenizer."""
    model = LabelReader(load_encoder(encoder_folder))
    model.load_state_dict({name: value.float() for name, value in load_file(weights).items()})
    model.eval()
    return Predictor(model, Encoder(encoder_folder / "tokenizer.json"))
