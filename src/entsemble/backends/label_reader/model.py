"""The label reader on ONNX Runtime: texts and labels in, scored spans out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from entsemble._lib.cancellation import until_cancelled
from entsemble._lib.digest import sha256
from entsemble._lib.optional import require
from entsemble._lib.text import is_symbol, word_spans
from entsemble.backends.label_reader.encode import LabelReaderEncoder, ShownLabel, is_readable, show_labels
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

    def span(self, first: int, extra: int) -> Span:
        """From a word to the one so many words later."""
        return Span(self.words[first].start, self.words[first + extra].end)


@dataclass(frozen=True, slots=True)
class _WindowScores:
    """What the network says of a window.

    Attributes:
        span_mask: [words, K], which spans exist.
        logits: [words, K, labels], after Platt scaling.
        vectors: [words, K, S], of the spans, if they were requested.
    """

    span_mask: npt.NDArray[np.bool_]
    logits: npt.NDArray[np.float32]
    vectors: npt.NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class SpanTable:
    """Spans of a text.

    Attributes:
        spans: n of them.
        logits: [n, labels], log-odds of each label, after Platt scaling.
        vectors: [n, S], from which, and from the labels' vectors, the network computes most of the log-odds.
    """

    spans: list[Span]
    logits: npt.NDArray[np.float32]
    vectors: npt.NDArray[np.float32]

    @classmethod
    def join(cls, tables: Sequence[SpanTable]) -> SpanTable | None:
        """The spans of all tables, those of an earlier one before those of a later; `None` for no tables."""
        if not tables:
            return None
        rows = {span: row for row, span in reversed([*enumerate(span for table in tables for span in table.spans)])}
        chosen = sorted(rows.values())
        logits = np.concatenate([table.logits for table in tables])[chosen]
        vectors = np.concatenate([table.vectors for table in tables])[chosen]
        return cls([span for span, row in sorted(rows.items(), key=lambda item: item[1])], logits, vectors)


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
        self.name, self.folder = name, folder
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
            for window, read in self._read_windows(texts, windows, show_labels(group)):
                probabilities = np.where(read.span_mask[..., None], _sigmoid(read.logits), _NO_SPAN)
                for first, extra in np.argwhere(probabilities.max(axis=-1) >= minimum).tolist():
                    by_label = scores[window.text_index].setdefault(window.span(first, extra), {})
                    for label, value in zip(group, probabilities[first, extra].tolist(), strict=True):
                        by_label[label.name] = max(value, by_label.get(label.name, 0.0))
        zeros = dict.fromkeys(labels.names, 0.0)
        return [
            [ScoredSpan(span, {**zeros, **by_label}) for span, by_label in sorted(by_span.items())]
            for by_span in scores
        ]

    def read_spans(self, texts: Sequence[str], labels: LabelSet, minimum: float) -> list[SpanTable | None]:
        """For each text, the spans with a label whose probability is at least `minimum`, with what the scores rest on.

        A text without words has no table.

        Args:
            texts: of any length; of a span in two windows, the first counts.
            labels: at most `MAX_LABELS`, so that they are read together.
            minimum: in [0, 1].
        """
        windows = [window for index, text in enumerate(texts) for window in _split_into_windows(index, text)]
        parts: list[list[SpanTable]] = [[] for _ in texts]
        for window, read in self._read_windows(texts, windows, show_labels(labels), vectors=True):
            assert read.vectors is not None  # requested
            is_probable = read.span_mask & (_sigmoid(read.logits).max(axis=-1) >= minimum)
            spans = [window.span(first, extra) for first, extra in np.argwhere(is_probable).tolist()]
            parts[window.text_index].append(SpanTable(spans, read.logits[is_probable], read.vectors[is_probable]))
        return [SpanTable.join(tables) for tables in parts]

    def _read_windows(
        self, texts: Sequence[str], windows: Sequence[_Window], labels: Sequence[ShownLabel], *, vectors: bool = False
    ) -> Iterator[tuple[_Window, _WindowScores]]:
        """The windows with what the network says of them, short ones first."""
        rows = [
            self._encoder.encode_row([word.slice(texts[window.text_index]) for word in window.words], labels)
            for window in windows
        ]
        outputs = ["logits", "span_vectors"] if vectors else ["logits"]
        order = sorted(range(len(rows)), key=lambda index: len(rows[index].pieces))
        for indices in until_cancelled(_split_into_batches(order, [len(row.pieces) for row in rows])):
            batch = self._encoder.build_batch([rows[index] for index in indices], self._config.span_width)
            logits, *span_vectors = self._session.run(outputs, batch.arrays)
            logits = self._config.slope * logits + self._config.intercept
            for row, index in enumerate(indices):
                word_count = len(rows[index].words)
                of_window = [array[row, :word_count] for array in (batch.span_mask, logits, *span_vectors)]
                yield windows[index], _WindowScores(*of_window)

    def close(self) -> None:
        """Free the network's memory."""
        self._session = None


def _sigmoid(log_odds: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.asarray(1 / (1 + np.exp(-log_odds)), dtype=np.float32)


def describe_unclear_labels(labels: LabelSet) -> list[str]:
    """What to do about labels that the reader cannot read, or cannot tell apart, without a definition."""
    texts = [shown.text.casefold() for shown in show_labels(labels)]
    text_of = dict(zip(labels.names, texts, strict=True))
    foreign = [name for name, text in text_of.items() if not is_readable(text)]
    counts = Counter(texts)
    alike = [name for name, text in text_of.items() if counts[text] > 1]
    advice = []
    if foreign:
        advice.append(
            "the label reader was trained on English labels and cannot tell what these mean: "
            f"{', '.join(foreign)}; define them in English, in a label file: '{foreign[0]}' = \"person\""
        )
    if alike:
        advice.append(
            f"the label reader cannot tell these labels apart: {', '.join(alike)}; define each in a label file, or "
            "keep one"
        )
    return advice


def group_labels(labels: LabelSet) -> list[list[Label]]:
    """As few groups of at most `MAX_LABELS` labels as possible, of nearly the same size."""
    every = list(labels)
    groups = -(-len(every) // MAX_LABELS)
    return [every[first::groups] for first in range(groups)]


def _split_into_windows(text_index: int, text: str) -> list[_Window]:
    words = tuple(span for span in word_spans(text) if not is_symbol(span.slice(text)))  # its vocabulary has none
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
