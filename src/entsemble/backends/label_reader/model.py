"""The label reader on ONNX Runtime: texts and labels in, scored spans out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from entsemble._lib.digest import sha256
from entsemble._lib.optional import require
from entsemble._lib.text import word_spans
from entsemble.backends.label_reader.encode import LabelReaderEncoder
from entsemble.errors import ModelUnavailableError
from entsemble.types import Label, LabelSet, ScoredSpan, Span

BUNDLED_READER = Path(__file__).with_name("label-reader")
"""The folder of the reader that comes with entsemble."""

NETWORK, TOKENIZER, CONFIG = "reader.onnx", "tokenizer.json", "reader.json"

WINDOW_WORDS, OVERLAP_WORDS = 120, 24
"""A longer text is read in windows of so many words, which overlap."""

MAX_LABELS = 20
"""Labels that are read together, as many as in training; more of them are read in groups."""

_NO_SPAN = -1.0

_BATCH_PIECES = 8192
"""Padded word pieces of a batch, so that memory stays bounded."""


@dataclass(frozen=True, slots=True)
class ReaderConfig:
    """What belongs to the weights.

    Attributes:
        span_width: words of the longest span.
        slope, intercept: Platt scaling of the scores, fitted on held-out domains.
        parameters: number of weights.
    """

    span_width: int
    slope: float = 1.0
    intercept: float = 0.0
    parameters: int | None = None

    @classmethod
    def from_file(cls, file: Path) -> ReaderConfig:
        """What `reader.json` says; unknown keys are ignored."""
        values = json.loads(file.read_text(encoding="utf-8"))
        return cls(**{name: values[name] for name in cls.__dataclass_fields__ if name in values})


@dataclass(frozen=True, slots=True)
class _Window:
    """A part of a text: which one, and its words."""

    text_index: int
    words: tuple[Span, ...]


class LabelReader:
    """Scores the spans of texts for any labels; see `protocols.SpanScorer`.

    Args:
        name: identifies it in votes and reports.
        folder: holds the network, the tokenizer and the configuration.
        threads: CPU threads.

    Raises:
        MissingExtraError: onnxruntime or tokenizers is not installed.
        ModelUnavailableError: a file is missing or damaged.
    """

    def __init__(self, name: str, folder: Path, *, threads: int = 1) -> None:
        runtime: Any = require("onnxruntime", "embedded", "the label reader")
        for file_name in (NETWORK, TOKENIZER, CONFIG):
            if not (folder / file_name).is_file():
                raise ModelUnavailableError(f"{folder} is not a label reader: it has no {file_name}")
        self.name = name
        self.fingerprint = f"label-reader:{sha256(folder / NETWORK)}"
        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # other work shares the cores
        options.log_severity_level = 3
        try:
            self._config = ReaderConfig.from_file(folder / CONFIG)
            self._encoder = LabelReaderEncoder(folder / TOKENIZER)
            providers = ["CPUExecutionProvider"]
            self._session = runtime.InferenceSession(str(folder / NETWORK), options, providers=providers)
        except Exception as error:  # each library raises its own kinds for a damaged file
            raise ModelUnavailableError(f"{folder} is not a label reader that can be loaded: {error}") from error
        self.parameters = self._config.parameters

    def score_spans(self, texts: Sequence[str], labels: LabelSet, minimum: float) -> list[list[ScoredSpan]]:
        """See `SpanScorer.score_spans`. A span in two windows keeps its higher probabilities."""
        windows = [window for index, text in enumerate(texts) for window in _split_into_windows(index, text)]
        scores: list[dict[Span, dict[str, float]]] = [{} for _ in texts]
        for group in group_labels(labels):
            shown = [_display(label) for label in group]
            for window, probabilities in zip(windows, self._score_windows(texts, windows, shown), strict=True):
                for word, width in np.argwhere(probabilities.max(axis=-1) >= minimum):
                    span = Span(window.words[word].start, window.words[word + width].end)
                    by_label = scores[window.text_index].setdefault(span, {})
                    for label, value in zip(group, probabilities[word, width].tolist(), strict=True):
                        by_label[label.name] = max(value, by_label.get(label.name, 0.0))
        zeros = dict.fromkeys(labels.names, 0.0)
        return [
            [ScoredSpan(span, {**zeros, **by_label}) for span, by_label in sorted(by_span.items())]
            for by_span in scores
        ]

    def _score_windows(
        self, texts: Sequence[str], windows: Sequence[_Window], labels: Sequence[str]
    ) -> list[npt.NDArray[np.float32]]:
        """For each window, probabilities [words, K, labels]; `_NO_SPAN` for spans that end behind the window."""
        rows = [
            self._encoder.encode_row([word.slice(texts[window.text_index]) for word in window.words], labels)
            for window in windows
        ]
        probabilities: list[npt.NDArray[np.float32]] = [np.empty(0, dtype=np.float32)] * len(rows)
        order = sorted(range(len(rows)), key=lambda index: len(rows[index].pieces))
        for batch_indices in _split_into_batches(order, [len(row.pieces) for row in rows]):
            batch = self._encoder.build_batch([rows[index] for index in batch_indices], self._config.span_width)
            logits = self._session.run(None, batch.arrays)[0]
            scaled = self._config.slope * logits + self._config.intercept
            values = np.where(batch.span_mask[..., None], 1 / (1 + np.exp(-scaled)), _NO_SPAN).astype(np.float32)
            for row, index in enumerate(batch_indices):
                probabilities[index] = values[row, : len(rows[index].words)]
        return probabilities

    def close(self) -> None:
        """Free the network's memory."""
        self._session = None


def _display(label: Label) -> str:
    """The label as in training: its readable name, and its definition if there is one."""
    return f"{label.readable}: {label.definition}" if label.definition else label.readable


def group_labels(labels: LabelSet) -> list[list[Label]]:
    """As few groups of at most `MAX_LABELS` labels as possible, of nearly the same size."""
    every = list(labels)
    groups = -(-len(every) // MAX_LABELS)
    return [every[first::groups] for first in range(groups)]


def _split_into_windows(text_index: int, text: str) -> list[_Window]:
    words = tuple(word_spans(text))
    starts = range(0, max(1, len(words) - OVERLAP_WORDS), WINDOW_WORDS - OVERLAP_WORDS)
    return [_Window(text_index, words[start : start + WINDOW_WORDS]) for start in starts if words]


def _split_into_batches(order: Sequence[int], lengths: Sequence[int]) -> list[list[int]]:
    """Indices in this order, which is by length, in batches of at most `_BATCH_PIECES` padded pieces."""
    batches: list[list[int]] = []
    for index in order:
        if not batches or (len(batches[-1]) + 1) * lengths[index] > _BATCH_PIECES:
            batches.append([])
        batches[-1].append(index)
    return batches
