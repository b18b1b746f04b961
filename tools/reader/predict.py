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
    """Reads texts with any labels."""

    model: LabelReader
    encoder: Encoder
    group_size: int = MOST_LABELS

    def candidates(
        self, sentence_texts: Sequence[str], label_wordings: Sequence[str], minimum_score: float
    ) -> list[list[Candidate]]:
        """For each text every span and label with a score above `minimum_score`, the highest first.

        A span in two windows keeps its higher score.
        """
        text_windows = [
            (text_index, word_places)
            for text_index, sentence_text in enumerate(sentence_texts)
            for word_places in windows_of(sentence_text)
        ]
        best_scores: list[dict[tuple[int, int, int], float]] = [{} for _ in sentence_texts]
        for label_group in groups_of(len(label_wordings), self.group_size):
            group_wordings = [label_wordings[label_number] for label_number in label_group]
            for (text_index, word_places), scored_spans in zip(
                text_windows, self._scores(sentence_texts, text_windows, group_wordings, minimum_score), strict=True
            ):
                for first_word, last_word, label_number, probability in scored_spans:
                    span_key = (word_places[first_word][0], word_places[last_word][1], label_group[label_number])
                    best_scores[text_index][span_key] = max(probability, best_scores[text_index].get(span_key, 0.0))
        ordered_scores = [
            sorted(span_scores.items(), key=lambda candidate: (-candidate[1], candidate[0]))
            for span_scores in best_scores
        ]
        return [
            [Candidate(*span_key, probability) for span_key, probability in sorted_items]
            for sorted_items in ordered_scores
        ]

    def _scores(
        self,
        sentence_texts: Sequence[str],
        text_windows: Sequence[tuple[int, list[tuple[int, int]]]],
        label_wordings: Sequence[str],
        minimum_score: float,
    ) -> list[list[tuple[int, int, int, float]]]:
        """For each piece (first word, last word, label, score)."""
        self.model.eval()
        encoded_rows = [
            self.encoder.row(
                [sentence_texts[text_index][word_start:word_end] for word_start, word_end in word_places],
                label_wordings,
            )
            for text_index, word_places in text_windows
        ]
        if not encoded_rows:
            return []
        input_batch = self.encoder.batch(encoded_rows)
        with torch.inference_mode():
            span_logits, _ = self.model(*input_batch.inputs())
        span_scores = (
            span_logits.sigmoid() * input_batch.span_mask.unsqueeze(-1) * input_batch.label_mask[:, None, None]
        )
        scored_spans: list[list[tuple[int, int, int, float]]] = [[] for _ in encoded_rows]
        score_places = (span_scores > minimum_score).nonzero()
        for (row_index, word_index, extra_words, label_index), probability in zip(
            score_places.tolist(), span_scores[tuple(score_places.T)].tolist(), strict=True
        ):
            scored_spans[row_index].append((word_index, word_index + extra_words, label_index, probability))
        return scored_spans


def decode(candidates: Sequence[Candidate], threshold: float, *, nested: bool = False) -> list[Candidate]:
    """The best candidates that do not overlap; nested ones may lie within each other but not cross.

    A span has one label, the best.
    """
    accepted: list[Candidate] = []
    for candidate in candidates:
        if candidate.score <= threshold:
            break
        if not any(_conflict(candidate, accepted_candidate, nested=nested) for accepted_candidate in accepted):
            accepted.append(candidate)
    return sorted(accepted, key=lambda candidate: (candidate.start, candidate.end))


def _conflict(candidate: Candidate, accepted_candidate: Candidate, *, nested: bool) -> bool:
    no_overlap = candidate.end <= accepted_candidate.start or accepted_candidate.end <= candidate.start
    if no_overlap or not nested:
        return not no_overlap
    same_span = (candidate.start, candidate.end) == (accepted_candidate.start, accepted_candidate.end)
    one_within_other = (candidate.start >= accepted_candidate.start and candidate.end <= accepted_candidate.end) or (
        accepted_candidate.start >= candidate.start and accepted_candidate.end <= candidate.end
    )
    return same_span or not one_within_other


def windows_of(sentence_text: str) -> list[list[tuple[int, int]]]:
    """The places of a text's words, in windows that overlap."""
    score_places = [word_match.span() for word_match in WORD.finditer(sentence_text)]
    window_step = WINDOW_WORDS - OVERLAP_WORDS
    window_starts = range(0, max(1, len(score_places) - OVERLAP_WORDS), window_step)
    return [score_places[window_start : window_start + WINDOW_WORDS] for window_start in window_starts if score_places]


def groups_of(label_count: int, maximum_size: int) -> list[list[int]]:
    """Numbers 0 to `count` in as few groups of at most `most` as possible, of nearly one size."""
    group_count = -(-label_count // maximum_size)
    return [list(range(label_group, label_count, group_count)) for label_group in range(group_count)]


def load_predictor(weights_file: Path, encoder_folder: Path) -> Predictor:
    """A reader from released or snapshot weights and the encoder's configuration and tokenizer."""
    reader_model = LabelReader(load_encoder(encoder_folder))
    reader_model.load_state_dict(
        {weight_name: weight_value.float() for weight_name, weight_value in load_file(weights_file).items()}
    )
    reader_model.eval()
    return Predictor(reader_model, Encoder(encoder_folder / "tokenizer.json"))
