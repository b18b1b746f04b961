"""The label reader adapted to a pool: one linear layer on its span vectors, trained in seconds, the network unchanged.

The adapted log-odds of a label are those of the reader, scaled, plus a linear function of the span's vector: a
multinomial logistic regression with the reader's answer as offset and an L2 penalty, so that without examples it is the
reader. As with a linear probe (G. Alain and Y. Bengio, 2016), no gradient passes through the network, and PyTorch is
not needed.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from entsemble._lib.arrays import pack_arrays, unpack_arrays
from entsemble._lib.math import FloatArray
from entsemble._lib.optional import require
from entsemble.backends.label_reader.model import MAX_LABELS, LabelReader, SpanTable
from entsemble.types import Document, LabelSet, ScoredSpan

_MIN_PROBABILITY = 1e-3
"""Spans that the reader finds less probable stay without a label, whatever the examples say."""

_MIN_TRAINING_PROBABILITY, _MIN_TRAINING_SPANS = 1e-2, 50
"""Spans below the first are trained on only if they are mentions, or among so many of the most probable of their
sentence: most spans are below it, and say little; but where only examples tell what a label means, all may be."""

_PRECISION, _SLOPE_PRECISION = 1.0, 5.0
"""Inverse variances of the Gaussian prior of weights and biases and, around 1, of the slope.

A tenth of the first is as good on texts like the pool, and worse on texts of another source; ten times as much is worse
on texts like the pool."""

_BATCH_SENTENCES = 32
"""Sentences whose spans are all in memory, before those that are not trained on are left out."""

_ITERATIONS, _TOLERANCE = 100, 1e-4
"""At most so many steps; the relative decrease of the loss at which they end."""


@dataclass(frozen=True, slots=True)
class ReaderAdapter:
    """The layer.

    Attributes:
        labels: in the order of the columns.
        mean: [S], subtracted from a span's vector.
        weights: [S, labels].
        bias: [labels].
        slope: of the reader's log-odds.
    """

    labels: tuple[str, ...]
    mean: FloatArray
    weights: FloatArray
    bias: FloatArray
    slope: float

    def probabilities(self, table: SpanTable) -> FloatArray:
        """[n, labels]; the rest to 1 is the probability of no entity."""
        log_odds = self.slope * table.logits + self.bias + (table.vectors - self.mean) @ self.weights
        shift = np.maximum(log_odds.max(axis=1, keepdims=True), 0.0)
        odds = np.exp(log_odds - shift)
        result: FloatArray = odds / (odds.sum(axis=1, keepdims=True) + np.exp(-shift))
        return result

    def to_bytes(self) -> bytes:
        """The layer without loss."""
        arrays = {"mean": self.mean, "weights": self.weights, "bias": self.bias}
        return pack_arrays({"labels": self.labels, "slope": self.slope}, arrays)

    @classmethod
    def from_bytes(cls, content: bytes) -> ReaderAdapter:
        """The layer that `to_bytes` wrote.

        Raises:
            ValueError: the content is no such layer.
        """
        try:
            header, arrays = unpack_arrays(content)
            labels, slope = tuple(header["labels"]), float(header["slope"])
            return cls(labels, arrays["mean"], arrays["weights"], arrays["bias"], slope)
        except (KeyError, ValueError) as error:
            raise ValueError(f"not an adapted label reader: {error}") from error


class AdaptedReader:
    """The label reader with a layer that was trained on a pool; see `protocols.SpanScorer`.

    Args:
        reader: closed by whoever loaded it.
        adapter: for the labels that are requested.
    """

    def __init__(self, reader: LabelReader, adapter: ReaderAdapter) -> None:
        self.reader, self.adapter, self.name, self.parameters = reader, adapter, reader.name, reader.parameters

    @property
    def fingerprint(self) -> str:
        """Identifies the network and the layer."""
        return f"{self.reader.fingerprint}:{hashlib.sha256(self.adapter.to_bytes()).hexdigest()}"

    def score_spans(self, texts: Sequence[str], labels: LabelSet, minimum: float) -> list[list[ScoredSpan]]:
        """See `SpanScorer.score_spans`."""
        scored = []
        for table in self.reader.read_spans(texts, labels, min(minimum, _MIN_PROBABILITY)):
            rows = [] if table is None else self.adapter.probabilities(table).tolist()
            spans = [] if table is None else table.spans
            by_span = [
                ScoredSpan(span, dict(zip(self.adapter.labels, row, strict=True)))
                for span, row in zip(spans, rows, strict=True)
                if max(row) >= minimum
            ]
            scored.append(sorted(by_span, key=lambda scored_span: scored_span.span))
        return scored

    def close(self) -> None:
        """Nothing to free: the reader is shared."""


def read_pool(
    reader: LabelReader,
    documents: Sequence[Document],
    labels: LabelSet,
    on_step: Callable[[int], None] = lambda _: None,
) -> list[SpanTable | None]:
    """What `fit_adapter` needs of each sentence; read once, for as many fits as there are folds.

    Args:
        reader: as it is.
        documents: annotated sentences.
        labels: at most `MAX_LABELS`.
        on_step: called with the number of sentences that have been read.

    Raises:
        ValueError: there are more labels than the reader reads together.
    """
    if len(labels.names) > MAX_LABELS:
        raise ValueError(f"{len(labels.names)} labels, and {MAX_LABELS} can be read together")
    tables: list[SpanTable | None] = []
    for first in range(0, len(documents), _BATCH_SENTENCES):
        batch = documents[first : first + _BATCH_SENTENCES]
        read = reader.read_spans([document.text for document in batch], labels, _MIN_PROBABILITY)
        tables += [table and _trained_part(document, table) for document, table in zip(batch, read, strict=True)]
        on_step(len(tables))
    return tables


def _trained_part(document: Document, table: SpanTable) -> SpanTable:
    """The spans that are trained on."""
    mentions = {(mention.start, mention.end) for mention in document.mentions}
    log_odds = table.logits.max(axis=1, initial=-math.inf)
    least_of_most_probable = np.sort(log_odds)[-_MIN_TRAINING_SPANS:].min(initial=math.inf)
    is_probable = log_odds >= min(math.log(_MIN_TRAINING_PROBABILITY), least_of_most_probable)
    rows = [row for row, span in enumerate(table.spans) if is_probable[row] or (span.start, span.end) in mentions]
    return SpanTable([table.spans[row] for row in rows], table.logits[rows], table.vectors[rows])


def fit_adapter(
    documents: Sequence[Document], tables: Sequence[SpanTable | None], labels: LabelSet
) -> ReaderAdapter | None:
    """The maximum a posteriori layer for annotated sentences; `None` if no span can be learned from.

    Args:
        documents: annotated sentences.
        tables: what `read_pool` returned for them.
        labels: in the order of the tables' columns.

    Raises:
        MissingExtraError: scipy is not installed.
    """
    pairs = [(document, table) for document, table in zip(documents, tables, strict=True) if table and table.spans]
    if not pairs:
        return None
    columns = {label: index for index, label in enumerate(labels.names)}
    targets = np.concatenate([_targets(document, table, columns) for document, table in pairs])
    vectors = np.concatenate([table.vectors for _, table in pairs])
    logits = np.concatenate([table.logits for _, table in pairs])
    mean = vectors.mean(axis=0)
    scale = float(vectors.std(axis=0).mean()) or 1.0
    weights, bias, slope = _minimise((vectors - mean) / scale, logits, targets)
    return ReaderAdapter(tuple(labels.names), mean.astype(np.float64), weights / scale, bias, slope)


def _targets(document: Document, table: SpanTable, columns: dict[str, int]) -> npt.NDArray[np.int64]:
    """[n]: the column of each span's label, -1 for no entity."""
    gold = {(mention.start, mention.end): columns[mention.label] for mention in document.mentions}
    return np.array([gold.get((span.start, span.end), -1) for span in table.spans], dtype=np.int64)


def _minimise(
    vectors: npt.NDArray[np.float32], logits: npt.NDArray[np.float32], targets: npt.NDArray[np.int64]
) -> tuple[FloatArray, FloatArray, float]:
    """Weights [S, labels], biases [labels] and slope, by L-BFGS.

    The vectors vary much more in some directions than in others, so that L-BFGS would converge slowly. It runs in the
    basis of their principal components, which leaves the prior as it is, with parameters in units of their posterior's
    standard deviations, roughly.
    """
    optimize: Any = require("scipy.optimize", "embedded", "the adapted label reader")
    size, label_count = vectors.shape[1], logits.shape[1]
    is_mention = np.flatnonzero(targets >= 0)
    variances, components = np.linalg.eigh(vectors.T @ vectors)
    rotated = vectors @ components
    rate = (len(is_mention) + 1) / (len(targets) * label_count + 1)
    information = rate * np.maximum(np.append(variances, len(targets)), 0.0) + _PRECISION
    unit = np.append(np.repeat(1 / np.sqrt(information), label_count), 1 / math.sqrt(_SLOPE_PRECISION))
    precisions = np.full(len(unit), _PRECISION)
    precisions[-1] = _SLOPE_PRECISION

    def loss_and_gradient(scaled: FloatArray) -> tuple[float, FloatArray]:
        deviation = scaled * unit
        weights = deviation[: size * label_count].reshape(size, label_count).astype(np.float32)
        bias, slope = deviation[-label_count - 1 : -1], 1.0 + deviation[-1]
        log_odds = slope * logits + bias + rotated @ weights
        shift = np.maximum(log_odds.max(axis=1), 0.0)
        odds = np.exp(log_odds - shift[:, None])
        total = odds.sum(axis=1) + np.exp(-shift)
        residuals = odds / total[:, None]
        residuals[is_mention, targets[is_mention]] -= 1.0
        loss = float((shift + np.log(total)).sum() - log_odds[is_mention, targets[is_mention]].sum())
        loss += float((precisions * deviation**2).sum()) / 2
        gradient = np.concatenate(
            [
                (rotated.T @ residuals.astype(np.float32)).ravel(),
                residuals.sum(axis=0),
                [float((residuals * logits).sum())],
            ]
        )
        return loss, (gradient + precisions * deviation) * unit

    options = {"maxiter": _ITERATIONS, "ftol": _TOLERANCE}
    result = optimize.minimize(loss_and_gradient, np.zeros(len(unit)), jac=True, method="L-BFGS-B", options=options)
    deviation: FloatArray = result.x * unit
    weights = components @ deviation[: size * label_count].reshape(size, label_count)
    return weights, deviation[-label_count - 1 : -1], float(1.0 + deviation[-1])
